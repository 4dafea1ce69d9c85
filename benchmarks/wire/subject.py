"""What is measured, as a process of its own that reads the same configuration as a service."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bus.child import Child
from bus.errors import Stop
from bus.settings import KafkaSettings

ROOT = Path(__file__).parents[2]
STOP_SECONDS = 15.0
LOG_TAIL = 2000  # characters

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Subject:
    """A module run with --config; its group is named as it is.

    `config` is what it reads besides `[kafka]`.
    """

    name: str
    module: str
    config: str = ""

    def group(self, kafka: KafkaSettings) -> str:
        """The consumer group it reads with."""
        return f"{kafka.prefix}.{self.name}"


@dataclass(frozen=True, slots=True)
class Running:
    """Its process, and where that logs."""

    pid: int
    log: Path


async def measured(
    subject: Subject,
    kafka: KafkaSettings,
    folder: Path,
    measure: Callable[[Running], Awaitable[T]],
) -> T:
    """What `measure` finds while the subject runs.  Raises Stop when that ends before it."""
    config, log = folder / f"{subject.name}.toml", folder / f"{subject.name}.log"
    fields = kafka.model_dump(include={"bootstrap_servers", "prefix", "partitions"})
    lines = [f"{name} = {value!r}" for name, value in fields.items()]
    config.write_text("\n".join(["[kafka]", *lines, subject.config]), encoding="utf-8")
    log.unlink(missing_ok=True)
    command = [sys.executable, "-m", subject.module, "--config", str(config)]
    child = await Child.spawn(command, log=log, cwd=ROOT)
    assert child.pid is not None, "it was started"
    measuring = asyncio.ensure_future(measure(Running(child.pid, log)))
    ended = asyncio.create_task(child.wait())
    try:
        await asyncio.wait([measuring, ended], return_when=asyncio.FIRST_COMPLETED)
        if not measuring.done():
            raise Stop(f"{subject.name} ended: {log.read_text(encoding='utf-8')[-LOG_TAIL:]}")
        return measuring.result()
    finally:
        measuring.cancel()
        await child.stop(STOP_SECONDS)
        await ended
