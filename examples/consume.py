"""Print each package that ships: python examples/consume.py HOST:PORT [PREFIX]."""

import asyncio
import json
import sys

from aiokafka import AIOKafkaConsumer


async def main(servers: str, prefix: str = "shipfeed") -> None:
    """Goes on where the group left off; whoever joins it takes over partitions."""
    async with AIOKafkaConsumer(
        f"{prefix}.events",
        bootstrap_servers=servers,
        group_id="my-warehouse",
        auto_offset_reset="earliest",
        isolation_level="read_committed",  # what was aborted never happened
        enable_auto_commit=False,
    ) as consumer:
        async for record in consumer:
            headers = {name: value.decode() for name, value in record.headers}
            if headers["ce_type"] == "package.shipped":  # skip the types you do not know
                package = json.loads(record.value)["package"]
                print(headers["ce_id"], [t["number"] for t in package["trackings"]], flush=True)
            await consumer.commit()  # after the work: a crash repeats it, under the same ce_id


asyncio.run(main(*sys.argv[1:]))
