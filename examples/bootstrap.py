"""All that is known, then what changes: python examples/bootstrap.py HOST:PORT [PREFIX]."""

import asyncio
import json
import sys

from aiokafka import AIOKafkaConsumer as Consumer


async def main(servers: str, prefix: str = "shipfeed") -> None:
    """The state, then events from a bit before it, without those that it holds already."""
    options = {"bootstrap_servers": servers, "isolation_level": "read_committed"}
    options["auto_offset_reset"] = "earliest"
    known: dict[bytes, int] = {}  # keep of the state what you need; here it is its revision
    topics = (f"{prefix}.fulfillments", f"{prefix}.events")
    async with Consumer(topics[0], **options) as states, Consumer(topics[1], **options) as events:
        for place, end in (await events.end_offsets(events.assignment())).items():
            events.seek(place, max(0, end - 10_000))  # more than one transaction holds
        ends = await states.end_offsets(states.assignment())
        while any([await states.position(place) < end for place, end in ends.items()]):
            for found in (await states.getmany(timeout_ms=1000)).values():
                known.update((r.key, json.loads(r.value)["revision"]) for r in found if r.value)
        print("known", len(known), flush=True)
        async for event in events:
            header = json.loads(event.value)["fulfillment"]
            if header["revision"] > known.get(event.key, 0):
                print(dict(event.headers)["ce_type"].decode(), header["key"], flush=True)


asyncio.run(main(*sys.argv[1:]))
