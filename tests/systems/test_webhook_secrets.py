"""Which secrets a webhook is signed with: sealed ones, several at once, and until when."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from bus.clock import SystemClock
from bus.errors import BadConfig
from schemas.subscription import SigningSecret
from services.notifier.sealing import Sealer, bound_to
from testbed.http import Request, Response, serving
from tests.systems.webhooks import ENVELOPE, channel_to

SEALER = Sealer([bytes(32)])
OLD, NEW = ("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))


class MovedClock(SystemClock):
    """The machine's clock and what `later` says; verifiers accept less than five minutes of it."""

    def __init__(self) -> None:
        self.later = timedelta()

    def now(self) -> datetime:
        return super().now() + self.later


class Verifier:
    """Notes for each request which of the two secrets a receiver could have to accept it."""

    def __init__(self) -> None:
        self.accepted: list[set[str]] = []

    def __call__(self, request: Request) -> Response:
        self.accepted.append({one for one in (OLD, NEW) if _verifies(one, request)})
        return Response(200)


def _verifies(secret: str, request: Request) -> bool:
    try:
        Webhook(secret).verify(request.body, request.headers)
    except WebhookVerificationError:
        return False
    return True


def sealed(secret: str, *, until: datetime | None = None, owner: str = "erp") -> SigningSecret:
    return SigningSecret(reference=SEALER.seal(secret, bound_to("shipfeed", owner)), until=until)


async def test_a_replaced_secret_signs_beside_the_new_one_until_its_time(tmp_path: Path) -> None:
    """On one open channel, too: nothing has to be written for the overlap to end."""
    verifier, clock = Verifier(), MovedClock()
    secrets = [sealed(NEW), sealed(OLD, until=datetime.now(UTC) + timedelta(minutes=2))]
    async with (
        serving(verifier) as url,
        channel_to(url, tmp_path, secrets=secrets, clock=clock, sealer=SEALER) as channel,
    ):
        await channel.send(ENVELOPE, 1)
        clock.later = timedelta(minutes=3)
        await channel.send(ENVELOPE, 2)

    assert verifier.accepted == [{OLD, NEW}, {NEW}]


async def test_a_secret_whose_time_is_over_is_not_even_opened(tmp_path: Path) -> None:
    """It may be gone from wherever it was."""
    verifier, an_hour_ago = Verifier(), datetime.now(UTC) - timedelta(hours=1)
    gone = SigningSecret(reference=f"file:{tmp_path}/none", until=an_hour_ago)
    async with (
        serving(verifier) as url,
        channel_to(url, tmp_path, secrets=[sealed(NEW), gone], sealer=SEALER) as channel,
    ):
        await channel.send(ENVELOPE, 1)

    assert verifier.accepted == [{NEW}]


@pytest.mark.parametrize(
    ("secret", "sealer"),
    [
        (sealed(NEW, owner="shop"), SEALER),
        (sealed(NEW), Sealer()),
        (sealed(NEW), Sealer([bytes([1]) * 32])),
        (sealed("whsec_c2hvcnQ="), SEALER),
        (SigningSecret(reference="sealed:00000000:AAAA"), SEALER),
        (sealed(NEW, until=datetime(2020, 1, 1, tzinfo=UTC)), SEALER),
    ],
)
async def test_a_secret_that_does_not_open_is_our_own_fault(
    secret: SigningSecret, sealer: Sealer, tmp_path: Path
) -> None:
    """Another's, without its key, too short, or none in force: the error names the subscription."""
    with pytest.raises(BadConfig, match="erp") as refused:
        async with channel_to("http://127.0.0.1/", tmp_path, secrets=[secret], sealer=sealer):
            pass

    assert NEW.removeprefix("whsec_") not in str(refused.value)
