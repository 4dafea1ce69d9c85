"""One embedded Kafka for all workers of a parallel test run, owned by the controller.

The controller outlives every worker, so a worker that dies takes no broker with it, and the broker
ends with the controller however that ends (`bus.child`).
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import threading
import time
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from bus.embedded import EmbeddedKafka

# Files of deleted topics go at once; a broker that many workers keep busy is not taken for dead.
OVERRIDES = {"log.segment.delete.delay.ms": "1000", "broker.session.timeout.ms": "30000"}
WAIT_SECONDS_MAX = 90.0  # of a worker for the broker: both start on a busy machine
POLL_SECONDS = 0.05
PREFIXES_AT_ONCE = 5


class Leftovers:
    """Topics of tests that have ended, deleted some at a time.

    A test makes fifty partitions, and a broker that has to keep those of hundreds of tests runs out
    of memory and files.
    """

    def __init__(self, kafka: str) -> None:
        self._kafka = kafka
        self._prefixes: list[str] = []

    def add(self, prefix: str) -> None:
        """The topics of this prefix are not needed any more."""
        self._prefixes.append(prefix)
        if len(self._prefixes) >= PREFIXES_AT_ONCE:
            prefixes, self._prefixes = tuple(f"{one}." for one in self._prefixes), []
            with asyncio.Runner() as runner:
                runner.run(_delete(self._kafka, prefixes))


async def _delete(kafka: str, prefixes: tuple[str, ...]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    with contextlib.suppress(KafkaError):  # what is left over costs room, and no claim rests on it
        await admin.start()
        try:
            topics = [topic for topic in await admin.list_topics() if topic.startswith(prefixes)]
            await admin.delete_topics(topics)
        finally:
            await admin.close()


class SharedKafka:
    """The controller's side: start the broker beside the run, publish its address, end it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="shipfeed-kafka-"))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shared kafka")

    def start(self) -> None:
        """Return at once; workers wait for the address in `folder`."""
        self._thread.start()

    def stop(self) -> None:
        """End the broker and remove its data."""
        self._ended.set()
        self._thread.join()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self) -> None:
        broker = EmbeddedKafka(self.folder / "broker", overrides=OVERRIDES)
        # A loop of its own, which only turns while the broker starts and stops.
        with asyncio.Runner() as runner:
            try:
                runner.run(broker.start())
            except Exception as error:  # told to every worker, which fails its tests with it
                publish(self.folder, f"error {error}")
                return
            publish(self.folder, f"at {broker.bootstrap_servers}")
            self._ended.wait()
            runner.run(broker.stop())


def publish(folder: Path, word: str) -> None:
    """Write what workers read, whole or not at all."""
    written = folder / "address.new"
    written.write_text(word)
    written.rename(folder / "address")


def address_in(folder: Path) -> str:
    """The bootstrap address, once the controller has published it.  Raises RuntimeError."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while time.monotonic() < deadline:
        if (folder / "address").exists():
            kind, _, word = (folder / "address").read_text().partition(" ")
            if kind == "error":
                raise RuntimeError(f"the shared Kafka did not start: {word}")
            return word
        time.sleep(POLL_SECONDS)
    raise RuntimeError(f"no shared Kafka in {folder} within {WAIT_SECONDS_MAX:g} s")
