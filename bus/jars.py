"""The jars of Apache Kafka on this machine: fetched once, verified at every use.

`jars.lock` names each jar and its sha256; jgo fetches a missing or damaged one from Maven.
What runs them is `bus/embedded.py`'s business.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from jgo.maven import MavenContext

from bus.errors import Stop

KAFKA_VERSION = "4.3.0"
FETCHES_AT_ONCE_MAX = 4
REQUEST_TIMEOUT_SECONDS = 30

_LOCK_FILE = Path(__file__).with_name("jars.lock")


class JarsUnavailable(Stop):
    """A jar could not be fetched, or is not the one `jars.lock` names; the text says what to do."""


@dataclass(frozen=True)
class Jar:
    """One line of `jars.lock`."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """The name Maven gives the file, e.g. `kafka_2.13-4.3.0.jar`."""
        return f"{self.artifact}-{self.version}.jar"

    @property
    def coordinate(self) -> str:
        """The name a person would look it up by, e.g. `org.apache.kafka:kafka_2.13:4.3.0`."""
        return f"{self.group}:{self.artifact}:{self.version}"


Fetch = Callable[[Jar, Path], Path]


def default_cache_dir() -> Path:
    """`$SHIPFEED_CACHE/kafka-4.3.0`, by default `~/.cache/shipfeed/kafka-4.3.0`."""
    root = os.environ.get("SHIPFEED_CACHE")
    return (Path(root) if root else Path.home() / ".cache" / "shipfeed") / f"kafka-{KAFKA_VERSION}"


def fetch_from_maven(jar: Jar, into: Path) -> Path:
    """Downloads one jar below `into`, a folder that holds no older copy, and returns its path."""
    maven = MavenContext(repo_cache=into, timeout=REQUEST_TIMEOUT_SECONDS)
    component = maven.project(jar.group, jar.artifact).at_version(jar.version)
    return Path(component.artifact().resolve())


def verified_jars(cache_dir: Path, fetch: Fetch = fetch_from_maven) -> list[Path]:
    """The path of every jar of Kafka, each with the sha256 that `jars.lock` gives it.

    Blocks: some 0.1 s when all are there, else up to a minute. Several processes may call it at
    once: a jar appears in the cache by one rename, complete and verified.
    Raises JarsUnavailable.
    """
    jars = locked_jars()
    missing = [jar for jar in jars if _sha256(cache_dir / jar.file_name) != jar.sha256]
    if missing:
        _fetch_all(missing, cache_dir, fetch)
    return [cache_dir / jar.file_name for jar in jars]


def locked_jars(lock_file: Path = _LOCK_FILE) -> list[Jar]:
    """The lines of the lock file, in its order."""
    lines = lock_file.read_text(encoding="utf-8").splitlines()
    return [_jar(line) for line in lines if line and not line.startswith("#")]


def _jar(line: str) -> Jar:
    coordinate, sha256 = line.split()
    group, artifact, version = coordinate.split(":")
    return Jar(group, artifact, version, sha256)


def _fetch_all(jars: list[Jar], cache_dir: Path, fetch: Fetch) -> None:
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(dir=cache_dir, prefix="fetch-") as scratch,
            ThreadPoolExecutor(FETCHES_AT_ONCE_MAX) as pool,
        ):
            into = Path(scratch)
            try:
                list(pool.map(lambda jar: _fetch_one(jar, into, cache_dir, fetch), jars))
            finally:
                # After a first failure nobody waits for the downloads still in the queue.
                pool.shutdown(cancel_futures=True)
    except OSError as error:
        raise JarsUnavailable(
            f"Kafka's jars cannot be stored in {cache_dir} ({error}); free or allow it, or set "
            "SHIPFEED_CACHE to another folder, or [kafka] bootstrap_servers to a running Kafka"
        ) from error


def _fetch_one(jar: Jar, scratch: Path, cache_dir: Path, fetch: Fetch) -> None:
    try:
        fetched = fetch(jar, scratch)
    except Exception as error:
        # jgo raises what requests, the XML parser and it itself raise; each means "no jar".
        raise JarsUnavailable(
            f"cannot fetch Kafka's jar {jar.coordinate} from Maven ({type(error).__name__}); check "
            f"this machine's access to Maven, or copy a filled {cache_dir} from another machine, "
            "or set [kafka] bootstrap_servers to a running Kafka"
        ) from error
    found = _sha256(fetched)
    if found != jar.sha256:
        raise JarsUnavailable(
            f"Kafka's jar {jar.coordinate} came from Maven with sha256 {found}, not {jar.sha256}; "
            "something between here and Maven changes files: use another network, or set [kafka] "
            "bootstrap_servers to a running Kafka"
        )
    fetched.replace(cache_dir / jar.file_name)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""
