"""Our signatures, judged by the reference library and by the specification's own vector."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from services.notifier.signing import signed_headers, signing_key

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_vector_of_the_specification_comes_out() -> None:
    """The library's published test vector: id, timestamp, body, signature."""
    headers = signed_headers(
        [signing_key(SECRET)], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_reference_library_accepts_the_headers_and_refuses_another_body() -> None:
    """Signed is exactly what is sent."""
    now = int(datetime.now(UTC).timestamp())
    headers = signed_headers([signing_key(SECRET)], "evt_1", now, '{"a": "é"}'.encode())

    assert Webhook(SECRET).verify('{"a": "é"}'.encode(), headers) == {"a": "é"}
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(b'{"a": "e"}', headers)


def test_each_of_several_secrets_verifies_and_no_other() -> None:
    """A receiver that has the old secret or the new one accepts the same headers."""
    now = int(datetime.now(UTC).timestamp())
    secrets = ["whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in range(4)]
    headers = signed_headers([signing_key(one) for one in secrets[:3]], "evt_1", now, b"{}")

    for known in secrets[:3]:
        assert Webhook(known).verify(b"{}", headers) == {}
    with pytest.raises(WebhookVerificationError):
        Webhook(secrets[3]).verify(b"{}", headers)


def test_a_key_is_taken_with_and_without_prefix_and_padding() -> None:
    """As the library reads them."""
    key = bytes(range(32))
    text = base64.b64encode(key).decode()

    assert signing_key(f"whsec_{text}") == signing_key(text.rstrip("=")) == key


@pytest.mark.parametrize("secret", ["whsec_c2hvcnQ=", "not base64 at all!", "é" * 40])
def test_a_bad_secret_is_refused_without_being_told(secret: str) -> None:
    """Too short or no base64: the error does not repeat it."""
    with pytest.raises(ValueError, match="secret") as caught:
        signing_key(secret)

    assert secret.removeprefix("whsec_") not in str(caught.value)
