"""Bad configuration is one line that names the key; secrets never stand in the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.errors import BadConfig
from bus.settings import Config, KafkaSettings, secret
from schemas.topics import CURSORS, EVENTS, RAW, SUBSCRIPTIONS


def config(text: str, folder: Path, environ: dict[str, str] | None = None) -> Config:
    """A configuration file with this text."""
    path = folder / "shipfeed.toml"
    path.write_text(text, encoding="utf-8")
    return Config.read(path, environ or {})


def test_the_environment_lies_over_the_file(tmp_path: Path) -> None:
    """SHIPFEED_KAFKA__BOOTSTRAP_SERVERS over [kafka] bootstrap_servers; numbers are parsed."""
    environ = {"SHIPFEED_KAFKA__BOOTSTRAP_SERVERS": "b:2", "SHIPFEED_KAFKA__PARTITIONS": "3"}

    found = config('[kafka]\nbootstrap_servers = "a:1"', tmp_path, environ)
    kafka = found.section("kafka", KafkaSettings)

    assert ("b:2", 3) == (kafka.bootstrap_servers, kafka.partitions)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[kafak]", r"\[kafak\] is not a section"),
        ("[kafka]\nbootstrap = 1", r"\[kafka\] bootstrap: unknown key"),
        (
            '[kafka]\nbootstrap_servers = "localhost:abc"',
            "servers: 'localhost:abc' is not",
        ),
        ("[kafka.retention_days]\nevent = 60", r"\[kafka\] retention_days\.event"),
        ("[kafka.retention_days]\nevents = 0", r"retention_days\.events: .*greater than or equal"),
        ("[kafka.retention_days]\nraw = -1", r"retention_days\.raw: .*greater than or equal to 1"),
        ('[kafka]\nsasl_username = "u"', r"sasl_username does nothing with .* = PLAINTEXT: set"),
        ('[kafka]\nsasl_password = "env:P"', r"sasl_password does nothing"),
        ('[kafka]\nsasl_mechanism = "PLAIN"', r"sasl_mechanism does nothing"),
        ('[kafka]\nssl_ca_file = "ca.pem"', r"ssl_ca_file does nothing with .* SSL or SASL_SSL"),
        (
            '[kafka]\nsecurity_protocol = "SSL"\nsasl_username = "u"',
            r"sasl_username does nothing with security_protocol = SSL",
        ),
        (
            '[kafka]\nsecurity_protocol = "SSL"\nssl_key_file = "k.pem"',
            r"ssl_key_file does nothing without ssl_certificate_file",
        ),
        ("[kafka]\npartitions = 0", r"\[kafka\] partitions: .*greater than or equal to 1"),
        ("[kafka", r"shipfeed\.toml: .*"),
    ],
)
def test_a_mistake_in_the_file_is_one_line(text: str, line: str, tmp_path: Path) -> None:
    """It names the section, the key, and what is wrong."""
    with pytest.raises(BadConfig, match=line) as found:
        config(text, tmp_path).section("kafka", KafkaSettings)

    assert "\n" not in str(found.value)


def test_a_mistake_in_the_environment_names_the_variable(tmp_path: Path) -> None:
    """Not the file's fault."""
    with pytest.raises(BadConfig, match="SHIPFEED_KAFKAA__PREFIX"):
        config("", tmp_path, {"SHIPFEED_KAFKAA__PREFIX": "x"})


def test_a_section_that_is_no_table_is_refused_under_an_override(tmp_path: Path) -> None:
    """One line, whichever of the two is wrong."""
    with pytest.raises(BadConfig, match=r"section \[notifier\]"):
        config("notifier = 3", tmp_path, {"SHIPFEED_NOTIFIER__HTTP_PORT": "1"})


def test_a_missing_file_says_what_to_give(tmp_path: Path) -> None:
    """--config FILE."""
    with pytest.raises(BadConfig, match="--config FILE"):
        Config.read(tmp_path / "none.toml", {})


def test_a_literal_secret_is_refused_and_not_repeated() -> None:
    """The advice names both ways; the secret itself is in no message."""
    with pytest.raises(BadConfig, match="env:NAME or file:PATH") as found:
        secret("s3cr3t-value", "[[accounts]] acme token")

    assert "s3cr3t" not in str(found.value)


def test_a_secret_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    """Trailing newlines of a file are not part of it."""
    (tmp_path / "token").write_text("abc\n", encoding="utf-8")

    assert "xyz" == secret("env:TOKEN", "token", {"TOKEN": "xyz"})
    assert "abc" == secret(f"file:{tmp_path / 'token'}", "token")
    with pytest.raises(BadConfig, match="TOKEN is not set"):
        secret("env:TOKEN", "token", {})


def test_retention_is_a_setting_of_topics_that_expire() -> None:
    """Compacted topics never expire."""
    kafka = KafkaSettings(retention_days={"events": 2}, slots=4, partitions=3)

    assert "172800000" == kafka.topic_config(EVENTS)["retention.ms"]
    assert "retention.ms" not in kafka.topic_config(CURSORS)
    counts = [kafka.partition_count(topic) for topic in (RAW, CURSORS, SUBSCRIPTIONS)]
    assert [3, 4, 1] == counts


def test_white_space_around_a_secret_is_not_part_of_it(tmp_path: Path) -> None:
    """As `export TOKEN="$(cat file)"` and a pasted line leave it; alone it is no secret."""
    (tmp_path / "token").write_text(" abc\r\n", encoding="utf-8")

    assert "xyz" == secret("env:TOKEN", "token", {"TOKEN": " xyz\n"})
    assert "abc" == secret(f"file:{tmp_path / 'token'}", "token")
    with pytest.raises(BadConfig, match="TOKEN is not set"):
        secret("env:TOKEN", "token", {"TOKEN": " \n"})
    (tmp_path / "token").write_text(" \n", encoding="utf-8")
    with pytest.raises(BadConfig, match="is empty"):
        secret(f"file:{tmp_path / 'token'}", "token")


@pytest.mark.parametrize(
    "bad", [b"s3cr3t\nvalue", b"s3cr3t\x00", "s3cr3t…".encode(), b"s3cr3t\xff"]
)
def test_a_secret_that_no_header_can_carry_is_refused_and_not_shown(
    bad: bytes, tmp_path: Path
) -> None:
    """Nor is any part of it, in the line or in what caused it."""
    (tmp_path / "token").write_bytes(bad)
    environ = {"TOKEN": bad.decode(errors="surrogateescape")}

    for reference in ("env:TOKEN", f"file:{tmp_path / 'token'}"):
        with pytest.raises(BadConfig, match="not printable ASCII") as found:
            secret(reference, "[[accounts]] acme token", environ)
        assert "s3cr3t" not in str(found.value)
        assert "\n" not in str(found.value)
        assert found.value.__cause__ is None
