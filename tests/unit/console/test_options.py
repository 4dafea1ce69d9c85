"""Which Kafka a command works on, and what is said of one that cannot be used."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from bus.embedded import address_in
from bus.errors import BadConfig, Misuse
from console.commands.options import kafka_settings, running_broker


def started(folder: Path, port: int) -> None:
    """Leave what a broker leaves on its folder."""
    (folder / "kafka").mkdir(parents=True)
    (folder / "kafka" / "server.properties").write_text(
        f"node.id=1\nadvertised.listeners=PLAINTEXT://127.0.0.1:{port}\nlog.dirs=x\n"
    )


@pytest.mark.parametrize("address", ["foo:bar", "localhost", "a:0", "a:65536", "a:1,,b:2", "a b:1"])
def test_address_that_is_none_is_refused_in_one_line(address: str) -> None:
    """--kafka is checked before any client sees it; the value and the form are named."""
    with pytest.raises(Misuse, match=r"--kafka: '.*' is not the address .* expected HOST:PORT"):
        kafka_settings(None, address)


@pytest.mark.parametrize("address", ["a:1", "a:1,b:65535", "[::1]:9092"])
def test_address_is_used_over_the_configuration(address: str, tmp_path: Path) -> None:
    """--kafka wins; the rest of [kafka] stays."""
    config = tmp_path / "shipfeed.toml"
    config.write_text('[kafka]\nbootstrap_servers = "c:3"\nprefix = "mine"\n')
    kafka = kafka_settings(config, address)
    assert (kafka.bootstrap_servers, kafka.prefix) == (address, "mine")
    assert kafka_settings(config, "").bootstrap_servers == "c:3"


def test_running_broker_is_found_by_its_folder(tmp_path: Path) -> None:
    """The broker of an `up` beside is used when it answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        started(tmp_path, port)
        assert running_broker(tmp_path) == f"127.0.0.1:{port}"


def test_broker_that_has_ended_is_named(tmp_path: Path) -> None:
    """A folder of an `up` that does not run any more says so, with the address and what to do."""
    started(tmp_path, 1)
    with pytest.raises(BadConfig, match=r"\(127.0.0.1:1\) does not run: pass --kafka"):
        running_broker(tmp_path)


def test_folder_without_a_broker_is_told(tmp_path: Path) -> None:
    """Without configuration and without an `up` the ways to name a broker are listed."""
    assert address_in(tmp_path) is None
    with pytest.raises(BadConfig, match=r"no Kafka configured.*--kafka HOST:PORT"):
        running_broker(tmp_path)
