"""The same security settings in FastStream's words."""

from __future__ import annotations

from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from bus.settings import KafkaSettings, secret

MECHANISMS = {
    "PLAIN": SASLPlaintext,
    "SCRAM-SHA-256": SASLScram256,
    "SCRAM-SHA-512": SASLScram512,
}


def faststream_security(kafka: KafkaSettings) -> BaseSecurity | None:
    """None for a plain, open listener.  Raises BadConfig."""
    if kafka.security_protocol == "PLAINTEXT":
        return None
    context, tls = kafka.ssl_context(), kafka.security_protocol.endswith("SSL")
    if kafka.security_protocol == "SSL":
        return BaseSecurity(ssl_context=context, use_ssl=True)
    return MECHANISMS[kafka.sasl_mechanism](
        username=kafka.sasl_username,
        password=secret(kafka.sasl_password, "[kafka] sasl_password"),
        ssl_context=context,
        use_ssl=tls,
    )
