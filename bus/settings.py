"""`shipfeed.toml` and the environment, read once; each room declares and checks its own section."""

from __future__ import annotations

import os
import re
import ssl
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bus.errors import BadConfig
from schemas.topics import CURSOR_SLOTS, DAY_MS, SHARED_PARTITIONS, Topic

ENVIRONMENT_PREFIX = "SHIPFEED_"
SECTIONS = ("kafka", "poller", "normalizer", "notifier")
TABLES = ("accounts", "subscriptions", "targets")

# Bounds of letting a partition go, besides the commits that are waited for.
PRODUCER_CLOSE_SECONDS_MAX = 4.0
CANCEL_SECONDS_MAX = 2.0  # for canceled tasks to end
DRAIN_SECONDS_MAX = 3.0  # for requests in flight, and never over a third of the session
REJOIN_SECONDS = 5.0  # for the request that joins the group again

UNNAMED = "-"  # the address of a broker that is not started yet
PORT_MAX = 65_535
_ADDRESS = re.compile(r"([^\s,:]+|\[[0-9a-fA-F:]+\]):(?P<port>[0-9]{1,5})")

S = TypeVar("S", bound="Settings")


class Settings(BaseModel):
    """A section: unknown keys are refused by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class HttpSettings(Settings):
    """Where a service answers; part of each service's section."""

    http_host: str = Field("127.0.0.1", description="address of /health /ready /metrics")
    http_port: int = Field(0, ge=0, le=65535, description="0: any free port, told in the log")


class KafkaSettings(Settings):
    """`[kafka]`: where it is, how to reach it, how its topics are laid out."""

    bootstrap_servers: str = Field("", description="HOST:PORT,...; empty: the embedded broker")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "PLAIN", description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
    )
    sasl_username: str = Field("", description="SASL user name")
    sasl_password: str = Field("", description="env:NAME or file:PATH")
    ssl_ca_file: str = Field("", description="PEM file; empty: the system's authorities")
    ssl_certificate_file: str = Field("", description="PEM file of a client certificate")
    ssl_key_file: str = Field("", description="PEM file of the certificate's key")
    prefix: str = Field(
        "shipfeed",
        pattern=r"^[a-zA-Z0-9._-]{1,80}$",
        description="begins the name of every topic, group and transactional id",
    )
    partitions: int = Field(
        SHARED_PARTITIONS, ge=1, le=1024, description="of every topic keyed by fulfillment"
    )
    slots: int = Field(CURSOR_SLOTS, ge=1, le=1024, description="partitions of the cursors topic")
    replication_factor: int = Field(
        1,
        ge=1,
        le=10,
        description="of the topics made here; has to be set where there are several brokers",
    )
    retention_days: dict[
        Literal["raw", "events", "dead-letters", "attempts"], Annotated[int, Field(ge=1)]
    ] = Field(default_factory=dict, description="by topic, such as { events = 60 }")
    session_timeout_ms: int = Field(
        10_000, ge=500, le=300_000, description="a silent copy loses its partitions after this"
    )
    transaction_timeout_ms: int = Field(
        20_000, ge=1_000, le=300_000, description="a dead copy's open transaction ends after this"
    )
    request_timeout_ms: int = Field(
        15_000, ge=1_000, le=300_000, description="one request to the broker"
    )
    start_timeout_seconds: float = Field(60, gt=0, description="how long to wait for the broker")

    @model_validator(mode="after")
    def _refuse_what_does_nothing(self) -> KafkaSettings:
        """A credential that is never sent is a mistake about how the broker is reached."""
        protocol = self.security_protocol
        used = {"sasl": protocol.startswith("SASL"), "ssl": protocol.endswith("SSL")}
        for name in sorted(self.model_fields_set):
            kind = name.partition("_")[0]
            if not used.get(kind, True) and getattr(self, name):
                others = "SASL_PLAINTEXT or SASL_SSL" if kind == "sasl" else "SSL or SASL_SSL"
                raise ValueError(
                    f"{name} does nothing with security_protocol = {protocol}: "
                    f"set that to {others}, or leave {name} out"
                )
        if self.ssl_key_file and not self.ssl_certificate_file:
            raise ValueError("ssl_key_file does nothing without ssl_certificate_file: name both")
        return self

    @property
    def commit_seconds_max(self) -> float:
        """When a commit is given up: before the broker ends the transaction by itself."""
        return self.transaction_timeout_ms / 1000 * 0.8

    @property
    def drain_seconds_max(self) -> float:
        """How long requests in flight may go on once their partition is let go."""
        return min(DRAIN_SECONDS_MAX, self.session_timeout_ms / 3000)

    @property
    def batch_seconds_max(self) -> float:
        """How long a revocation waits for the batch in hand: one commit, and its failure."""
        return self.commit_seconds_max + PRODUCER_CLOSE_SECONDS_MAX

    @property
    def close_seconds_max(self) -> float:
        """How long a revocation waits for what was owned to close."""
        ending = self.drain_seconds_max + CANCEL_SECONDS_MAX
        return ending + self.commit_seconds_max + PRODUCER_CLOSE_SECONDS_MAX

    @property
    def rebalance_timeout_ms(self) -> int:
        """How long the group waits for a member: longer than its revocation can take.

        A member that is late loses its partitions to others while it still closes them.
        """
        seconds = self.batch_seconds_max + self.close_seconds_max + REJOIN_SECONDS
        return int(seconds * 1000)

    @field_validator("bootstrap_servers")
    @classmethod
    def _names_brokers(cls, value: str) -> str:
        return value if value in {"", UNNAMED} else broker_addresses(value)

    def topic(self, topic: Topic) -> str:
        """The name of a catalogue topic on this cluster."""
        return f"{self.prefix}.{topic.name}"

    def partition_count(self, topic: Topic) -> int:
        """How many partitions a catalogue topic has on this cluster."""
        return {"shared": self.partitions, "slots": self.slots, "one": 1}[topic.count]

    def topic_config(self, topic: Topic) -> dict[str, str]:
        """Kafka's own settings of a catalogue topic on this cluster."""
        days = {str(name): days for name, days in self.retention_days.items()}.get(topic.name)
        if days is None:
            return topic.config
        return {**topic.config, "retention.ms": str(days * DAY_MS)}

    def ssl_context(self) -> ssl.SSLContext | None:
        """None without TLS.  Raises BadConfig when a file cannot be read."""
        if not self.security_protocol.endswith("SSL"):
            return None
        try:
            context = ssl.create_default_context(cafile=self.ssl_ca_file or None)
            if self.ssl_certificate_file:
                context.load_cert_chain(self.ssl_certificate_file, self.ssl_key_file or None)
        except OSError as error:
            raise BadConfig(f"[kafka] ssl_*_file: {error}") from error
        return context

    def client_args(self) -> dict[str, Any]:
        """Arguments that every aiokafka client takes."""
        arguments: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers.split(","),
            "security_protocol": self.security_protocol,
            "ssl_context": self.ssl_context(),
            "request_timeout_ms": self.request_timeout_ms,
        }
        if self.security_protocol.startswith("SASL"):
            arguments |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": secret(self.sasl_password, "[kafka] sasl_password"),
            }
        return arguments


def broker_addresses(text: str) -> str:
    """`text` as it is.  Raises ValueError when it is not HOST:PORT,HOST:PORT..."""
    for address in text.split(","):
        found = _ADDRESS.fullmatch(address)
        if found is None or not 1 <= int(found["port"]) <= PORT_MAX:
            raise ValueError(
                f"{address!r} is not the address of a broker; expected HOST:PORT, "
                "for example localhost:9092, several with a comma between"
            )
    return text


class Config:
    """The whole file with the environment laid over it; sections are checked by their owners."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        for name in values:
            if name not in SECTIONS + TABLES:
                known = ", ".join([*SECTIONS, *TABLES])
                raise BadConfig(f"[{name}] is not a section of shipfeed.toml; there are: {known}")
        self._values = values

    @classmethod
    def read(cls, path: Path | None, environ: Mapping[str, str] = os.environ) -> Config:
        """`path` None: the environment alone.  Raises BadConfig."""
        values: dict[str, Any] = {}
        if path is not None:
            try:
                values = tomllib.loads(path.read_text(encoding="utf-8"))
            except OSError as error:
                raise BadConfig(f"{path}: {error.strerror}; give --config FILE") from error
            except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
                raise BadConfig(f"{path}: {error}") from error
        return cls(_overlaid(values, environ))

    def section(self, name: str, model: type[S]) -> S:
        """Section `[name]` as its settings.  Raises BadConfig naming the key."""
        return checked(model, self._values.get(name, {}), f"[{name}]")

    def kafka(self) -> KafkaSettings:
        """`[kafka]` of a service, which must name its broker.  Raises BadConfig."""
        kafka = self.section("kafka", KafkaSettings)
        if not kafka.bootstrap_servers:
            raise BadConfig(
                "[kafka] bootstrap_servers is not set: give HOST:PORT, or use `shipfeed up`, "
                "which brings its own broker"
            )
        return kafka

    def over(self, section: str, **values: str) -> Config:
        """The same with some scalars of a section replaced."""
        merged = {**self._values.get(section, {}), **values}
        return Config({**self._values, section: merged})

    def tables(self, name: str) -> list[dict[str, Any]]:
        """The tables `[[name]]`, unchecked."""
        tables = self._values.get(name, [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise BadConfig(f"{name} must be written as [[{name}]] tables")
        return tables


def checked(model: type[S], values: object, where: str) -> S:
    """`values` as `model`.  Raises BadConfig: `where`, the key, what is wrong; never the value."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        reason = "unknown key" if first["type"] == "extra_forbidden" else first["msg"]
        reason = reason.removeprefix("Value error, ")  # what our own checks say
        raise BadConfig(f"{where} {key}: {reason}".replace(" :", ":")) from error


def secret(reference: str, where: str, environ: Mapping[str, str] = os.environ) -> str:
    """The secret behind `env:NAME` or `file:PATH`, without white space around it.

    Raises BadConfig, also for a literal, and for what no HTTP header can carry: clients name the
    header they refuse, and with it the secret.
    """
    kind, _, rest = reference.partition(":")
    if kind == "env" and rest:
        value = environ.get(rest, "").strip()
        if not value:
            raise BadConfig(f"{where}: the environment variable {rest} is not set")
    elif kind == "file" and rest:
        try:
            value = Path(rest).read_text(encoding="utf-8", errors="replace").strip()
        except OSError as error:
            raise BadConfig(f"{where}: {rest}: {error.strerror}") from error
        if not value:
            raise BadConfig(f"{where}: the file {rest} is empty: put the secret into it")
    else:
        raise BadConfig(
            f"{where}: a secret may not stand in the file; write env:NAME or file:PATH instead"
        )
    if not (value.isascii() and value.isprintable()):
        raise BadConfig(
            f"{where}: the secret in {rest} has characters that are not printable ASCII; it is "
            "not shown here, copy it anew"
        )
    return value


def _overlaid(values: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """SHIPFEED_KAFKA__BOOTSTRAP_SERVERS=... over [kafka] bootstrap_servers."""
    merged = dict(values)
    for name, text in environ.items():
        section, separator, key = name.removeprefix(ENVIRONMENT_PREFIX).lower().partition("__")
        if not name.startswith(ENVIRONMENT_PREFIX) or not separator:
            continue
        if section not in SECTIONS:
            raise BadConfig(f"{name}: there is no section [{section}]")
        below = merged.get(section, {})
        if not isinstance(below, dict):
            raise BadConfig(f"{section} must be written as the section [{section}]")
        merged[section] = {**below, key: text}
    return merged
