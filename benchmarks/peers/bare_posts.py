"""Bodies posted by a bare loop with the notifier's HTTP client, as many at once, and nothing kept.

No Kafka, no signature, no look at a body: what a delivery costs beyond its request is what the
notifier needs beside this.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
from collections.abc import Iterator, Mapping, Sequence

import httpx2

from benchmarks.inputs.events import events
from bus.clock import SystemClock
from bus.settings import KafkaSettings
from schemas.events import Envelope

WARM_UP_SHARE = 0.1
HEADERS = {
    "content-type": "application/cloudevents+json",
    "user-agent": "bare",
    "accept-encoding": "identity",
    "webhook-timestamp": "1767225600",
    "webhook-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
}

Post = tuple[Mapping[str, str], bytes]


def posts(orders: int) -> list[Post]:
    """The events of so many orders, as they are handed over."""
    found: list[Post] = []
    for record in events(KafkaSettings(), orders):
        envelope = Envelope.read(dict(record.headers), record.value or b"")
        found.append(({**HEADERS, "webhook-id": envelope.id}, envelope.structured()))
    return found


async def posted_per_second(url: str, made: Sequence[Post], clients: int, each: int) -> float:
    """By so many clients with so many posts in flight each; warm-up left out."""
    clock, rest = SystemClock(), iter(made[int(len(made) * WARM_UP_SHARE) :])
    opened = [httpx2.AsyncClient(trust_env=False) for _ in range(clients)]
    try:
        await _all(url, opened, each, iter(made[: int(len(made) * WARM_UP_SHARE)]))
        began = clock.monotonic()
        await _all(url, opened, each, rest)
        return len(made) * (1 - WARM_UP_SHARE) / (clock.monotonic() - began)
    finally:
        await asyncio.gather(*(client.aclose() for client in opened))


async def _all(
    url: str, clients: Sequence[httpx2.AsyncClient], each: int, made: Iterator[Post]
) -> None:
    async def work(client: httpx2.AsyncClient) -> None:
        for headers, body in made:  # one iterator for all: whoever is free takes the next
            (await client.post(url, content=body, headers=headers)).raise_for_status()

    await asyncio.gather(*(work(client) for client in clients for _ in range(each)))


def main() -> None:
    """Post, print posts per second, end."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.bare_posts")
    parser.add_argument("--url", required=True)
    for name in ("orders", "clients", "each"):
        parser.add_argument(f"--{name}", type=int, required=True)
    given = parser.parse_args()
    made = posts(given.orders)
    gc.freeze()
    found = asyncio.run(posted_per_second(given.url, made, given.clients, given.each))
    print(json.dumps({"posts_per_second": found}), flush=True)


if __name__ == "__main__":
    main()
