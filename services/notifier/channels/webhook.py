"""Channel `webhook`: a signed POST of the event, as Standard Webhooks asks.

Redirects are never followed and never a success; answers are read up to a cap; the address is
checked where it is dialed (`guard`).  An answer cut short counts as none, since the id makes
sending again harmless.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import httpx2

from bus.errors import BadConfig
from schemas.delivery import Outcome
from schemas.events import Envelope
from schemas.subscription import Subscription, WebhookChannel
from services.notifier.channel import DELIVERY_SETTINGS, Channel, Result, Surroundings, Way
from services.notifier.guard import AddressRefused
from services.notifier.retries import retry_after_seconds
from services.notifier.sealing import bound_to, is_sealed
from services.notifier.settings import check_secret, checked_key
from services.notifier.signing import signed_headers
from services.notifier.transport import USER_AGENT, GuardedTransport, timeouts

WAY: Way = "delivered"
SETTINGS = frozenset(DELIVERY_SETTINGS)
BODIES: Mapping[str, tuple[str, Callable[[Envelope], bytes]]] = {
    "structured": ("application/cloudevents+json", Envelope.structured),
    "plain": ("application/json", Envelope.plain),
}
RESPONSE_READ_BYTES_MAX = 64 * 1024
RESPONSE_KEPT_BYTES_MAX = 2 * 1024
IDLE_CONNECTION_SECONDS = 60.0
DETAIL_LENGTH_MAX = 500  # characters

BUSY = frozenset({429, 503})
PASSING = frozenset({408, 425})


@dataclass(frozen=True, slots=True)
class LiveKey:
    """A signing key and until when it signs."""

    key: bytes = field(repr=False)
    until: datetime | None


class Webhook:
    """One endpoint, with a small pool of its own: one for all collapses (design 6).

    Without a client before it: that follows redirects and keeps cookies, or has to be told not to,
    and takes a quarter of a post's time.
    """

    def __init__(
        self, channel: WebhookChannel, secrets: Sequence[LiveKey], surroundings: Surroundings
    ) -> None:
        self._url = httpx2.URL(channel.url)
        self._content_type, self._body = BODIES[channel.content]
        self._secrets = secrets
        self._clock = surroundings.clock
        self._total_seconds = surroundings.total_timeout_seconds
        self._timeout = timeouts(surroundings.total_timeout_seconds, surroundings)
        self._transport = GuardedTransport(
            channel.url, surroundings, idle_seconds=IDLE_CONNECTION_SECONDS
        )

    async def send(self, envelope: Envelope, attempt: int) -> Result:
        """POST once within the total timeout."""
        began = self._clock.monotonic()

        def result(outcome: Outcome, detail: str) -> Result:
            return Result(
                outcome, detail=detail[:DETAIL_LENGTH_MAX], duration_ms=self._ms_since(began)
            )

        try:
            async with asyncio.timeout(self._total_seconds):
                return await self._post(envelope, began)
        except AddressRefused as refused:
            # No duration: how long it took would tell what is there.
            return Result("blocked", detail=str(refused))
        except (TimeoutError, httpx2.TimeoutException) as error:
            return result("transient", f"no complete answer in time ({type(error).__name__})")
        except Exception as error:
            # Whatever an endpoint manages to break costs it a try, never the other lanes.
            outcome: Outcome = "untrusted" if _untrusted(error) else "transient"
            return result(outcome, f"{type(error).__name__}: {error}")

    async def close(self) -> None:
        """Close its connections."""
        await self._transport.aclose()

    async def _post(self, envelope: Envelope, began: float) -> Result:
        body, now = self._body(envelope), self._clock.now()
        keys = [one.key for one in self._secrets if one.until is None or now < one.until]
        headers = {
            "content-type": self._content_type,
            "user-agent": USER_AGENT,
            "accept": "*/*",
            "accept-encoding": "identity",
            **signed_headers(keys, envelope.id, int(now.timestamp()), body),
        }
        timeout = {"timeout": self._timeout}
        request = httpx2.Request(
            "POST", self._url, content=body, headers=headers, extensions=timeout
        )
        response = await self._transport.handle_async_request(request)
        try:
            kept = await _read(response)
        finally:
            await response.aclose()
        return Result(
            outcome_of(response.status_code),
            status_code=response.status_code,
            response_body=kept,
            retry_after_seconds=retry_after_seconds(response.headers.get("retry-after"), now),
            duration_ms=self._ms_since(began),
        )

    def _ms_since(self, began: float) -> int:
        return round((self._clock.monotonic() - began) * 1000)


def open_channel(subscription: Subscription, surroundings: Surroundings) -> Channel:
    """Raises BadConfig when the secret cannot be had."""
    channel = subscription.channel
    assert isinstance(channel, WebhookChannel)
    return Webhook(channel, live_keys(subscription.id, channel, surroundings), surroundings)


def live_keys(
    subscription: str, channel: WebhookChannel, surroundings: Surroundings
) -> list[LiveKey]:
    """The keys in force, the newest first.  Raises BadConfig when one of them cannot be had.

    All or none: a receiver may have any of them, and what it cannot verify it refuses.
    """
    where, now = f"subscription {subscription} channel.secret", surroundings.clock.now()
    aad = bound_to(surroundings.prefix, subscription)
    keys = [
        LiveKey(
            checked_key(surroundings.sealer.open(one.reference, aad), where)
            if is_sealed(one.reference)
            else check_secret(one.reference, where),
            one.until,
        )
        for one in channel.secrets
        if one.until is None or now < one.until
    ]
    if not keys:
        raise BadConfig(f"{where}: none is in force: rotate the secret")
    return keys


def outcome_of(status_code: int) -> Outcome:
    """What an answer means: only 2xx is a success."""
    if 200 <= status_code < 300:
        return "delivered"
    if 300 <= status_code < 400:
        return "redirect"
    if status_code == 410:
        return "gone"
    if status_code in BUSY:
        return "busy"
    if status_code in PASSING or status_code >= 500:
        return "transient"
    return "rejected"


def _untrusted(error: BaseException | None) -> bool:
    """Whether it comes of a certificate that is not the endpoint's, or of no authority we know."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


async def _read(response: httpx2.Response) -> str | None:
    """The head of the body, as text; raw, so that nothing packed can swell."""
    kept, count = b"", 0
    async for part in response.aiter_raw():
        kept = (kept + part)[:RESPONSE_KEPT_BYTES_MAX]
        count += len(part)
        if count > RESPONSE_READ_BYTES_MAX:
            break
    return kept.decode(errors="replace") or None
