"""The services of one machine: an embedded Kafka unless one is named, and copies of all three."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bus.embedded import EmbeddedKafka
from bus.errors import Stop
from bus.settings import UNNAMED, Config, KafkaSettings
from console.processes import Kept, rotate
from services.normalizer import app as normalizer
from services.notifier import app as notifier
from services.poller import app as poller

WATCH_SECONDS = 1.0
ROTATE_SECONDS = 10.0
SERVICES = ("poller", "normalizer", "notifier")


class House:
    """Start order: broker, services.  `refused` is set when a service says it cannot run at all."""

    def __init__(
        self,
        config_path: Path | None,
        data_dir: Path,
        *,
        copies: int = 1,
        accept_new_baseline: bool = False,
    ) -> None:
        self.config = Config.read(config_path)
        self.kafka = self.config.section("kafka", KafkaSettings)
        self.broker = None if self.kafka.bootstrap_servers else EmbeddedKafka(data_dir / "kafka")
        self.children: list[Kept] = []
        self.refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._config_path = config_path
        self._data_dir = data_dir
        self._copies = copies
        self._accepted = {"poller", "normalizer"} if accept_new_baseline else set()
        self._watching: asyncio.Task[None] | None = None
        self._rotating: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Raises BadConfig before anything runs, Stop when the broker cannot start."""
        address = self.kafka.bootstrap_servers or UNNAMED
        rehearsed = self.config.over("kafka", bootstrap_servers=address)
        for build in (poller.build, normalizer.build, notifier.build):
            await build(rehearsed, _never_ends)
        self._data_dir.mkdir(parents=True, exist_ok=True)
        if self.broker is not None:
            await self.broker.start()
            self._watching = asyncio.create_task(self._watch(self.broker))
            address = self.broker.bootstrap_servers
            self.kafka = self.kafka.model_copy(update={"bootstrap_servers": address})
        self._rotating = asyncio.create_task(self._rotate())
        config = ["--config", str(self._config_path)] if self._config_path else []
        for service in SERVICES:
            accepting = ["--accept-new-baseline"] if service in self._accepted else []
            for copy in range(1, self._copies + 1):
                name = f"{service}-{copy}"
                log = self._data_dir / f"{name}.log"
                arguments = [*config, *accepting]
                told = environment(service, copy, self.kafka.bootstrap_servers)
                child = Kept(name, f"services.{service}", arguments, log, told)
                await child.start()
                child.keep_running(self._refuse)
                self.children.append(child)

    async def restart_broker(self) -> None:
        """Stop the embedded broker, start it again on its data; nothing for a named one."""
        if self.broker is None or self._watching is None:
            return
        self._watching.cancel()
        await self.broker.stop()
        await self.broker.start()
        self._watching = asyncio.create_task(self._watch(self.broker))

    async def _watch(self, broker: EmbeddedKafka) -> None:
        """Without its broker the house has nothing to live for, and says so."""
        while broker.pid is not None:
            await asyncio.sleep(WATCH_SECONDS)
        log = self._data_dir / "kafka" / "broker.log"
        self._refuse(Stop(f"the embedded Kafka has ended; see the end of {log}, then start again"))

    async def _rotate(self) -> None:
        """Keep every log bounded."""
        while True:
            await asyncio.sleep(ROTATE_SECONDS)
            logs = [child.log_path for child in self.children]
            for log in [*logs, self._data_dir / "kafka" / "broker.log"]:
                await asyncio.to_thread(rotate, log)

    async def stop(self) -> None:
        """Services first, so that they can end their transactions, then the broker."""
        for task in (self._watching, self._rotating):
            if task is not None:
                task.cancel()
        await asyncio.gather(*(child.stop() for child in self.children))
        if self.broker is not None:
            await self.broker.stop()

    def of(self, service: str) -> list[Kept]:
        """The copies of one service."""
        return [child for child in self.children if child.name.startswith(f"{service}-")]

    def _refuse(self, error: Stop) -> None:
        if not self.refused.done():
            self.refused.set_exception(error)


def environment(service: str, copy: int, bootstrap_servers: str) -> dict[str, str]:
    """What a copy, counted from 1, is told beside the configuration.

    One port cannot be listened at twice, so it is the first copy's; the others take any.
    """
    told = {"SHIPFEED_KAFKA__BOOTSTRAP_SERVERS": bootstrap_servers}
    return told if copy == 1 else {**told, f"SHIPFEED_{service.upper()}__HTTP_PORT": "0"}


def _never_ends(_: BaseException) -> None:
    """A service that was built to check its configuration is not started."""
