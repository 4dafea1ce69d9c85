"""One webhook channel and one event to send through it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal

from bus.clock import Clock, SystemClock
from schemas.events import Envelope
from schemas.subscription import SigningSecret, Subscription, WebhookChannel
from services.notifier.channel import Channel, Result, Surroundings, open_channel
from services.notifier.sealing import Sealer

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()

ENVELOPE = Envelope(
    attributes={
        "specversion": "1.0",
        "id": "evt_1",
        "source": "/zentail/acme",
        "type": "package.shipped",
        "subject": "pkg_é",
        "partitionkey": "zentail/acme/order/1",
        "time": "2026-01-01T00:00:00Z",
        "sequence": "0000000001.0000",
    },
    data=b'{"weight":1.10,"name":"\xc3\xa9"}',
)


@asynccontextmanager
async def channel_to(
    url: str,
    tmp_path: Path,
    *,
    allow: str = "127.0.0.0/8",
    total_seconds: float = 60.0,
    content: Literal["structured", "plain"] = "structured",
    secrets: Sequence[SigningSecret] = (),
    clock: Clock | None = None,
    sealer: Sealer | None = None,
    **surroundings_of: Any,
) -> AsyncIterator[Channel]:
    """Signed with `SECRET`, unless other secrets are given."""
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secrets = secrets or (SigningSecret(reference=f"file:{secret}"),)
    subscription = Subscription(
        id="erp",
        types=("*",),
        channel=WebhookChannel(url=url, secrets=tuple(secrets), content=content),
        start_offsets={},
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    surroundings = Surroundings(
        clock=clock or SystemClock(),
        allow_networks=[ip_network(allow)],
        connect_timeout_seconds=30.0,
        total_timeout_seconds=total_seconds,
        connections_max=4,
        prefix="shipfeed",
        sealer=sealer or Sealer(),
        **surroundings_of,
    )
    channel = open_channel(subscription, surroundings)
    try:
        yield channel
    finally:
        await channel.close()


async def sent(url: str, tmp_path: Path, **limits: Any) -> Result:
    async with channel_to(url, tmp_path, **limits) as channel:
        return await channel.send(ENVELOPE, 1)
