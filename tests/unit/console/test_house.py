"""What the copies of one machine are told."""

from __future__ import annotations

from pathlib import Path

from bus.settings import Config, HttpSettings, KafkaSettings
from console.house import environment


def test_one_copy_has_the_port_that_is_asked_for_and_the_others_any(tmp_path: Path) -> None:
    """No two can listen at one port, and a copy that cannot ends, again and again."""
    path = tmp_path / "shipfeed.toml"
    path.write_text("[notifier]\nhttp_port = 8321\n", encoding="utf-8")
    copies = [Config.read(path, environment("notifier", copy, "a:1")) for copy in (1, 2, 3)]

    ports = [copy.section("notifier", HttpSettings).http_port for copy in copies]
    assert ports == [8321, 0, 0]
    assert {copy.section("kafka", KafkaSettings).bootstrap_servers for copy in copies} == {"a:1"}
