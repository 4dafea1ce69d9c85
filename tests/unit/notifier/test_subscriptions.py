"""The configuration file against the topic."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bus.errors import BadConfig
from bus.settings import Config, KafkaSettings
from schemas.api_key import ApiKey
from schemas.command import Retry, command_key
from schemas.subscription import EndpointHealth, Subscription
from services.notifier.known import Known, health_key, merged
from services.notifier.settings import (
    NotifierSettings,
    SubscriptionEntry,
    check_retention,
    read_subscriptions,
)
from services.notifier.subscriptions import GONE_FROM_FILE, reconciled

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOG = {"type": "log"}


def entry(name: str = "erp", **values: Any) -> SubscriptionEntry:
    return SubscriptionEntry.model_validate(
        {"name": name, "types": ["package.shipped"], "channel": LOG, **values}
    )


def by_id(records: list[Subscription]) -> dict[str, Subscription]:
    return {record.id: record for record in records}


def test_a_new_subscription_begins_where_it_was_created() -> None:
    """Its offsets are fixed in the record that creates it."""
    (found,) = reconciled([entry()], {}, {"erp": {0: 7, 1: 9}}, NOW)

    assert found.start_offsets == {0: 7, 1: 9}
    assert found.created_at == NOW
    assert found.enabled


def test_an_unchanged_file_writes_nothing() -> None:
    """Every restart of every copy reads the same file."""
    known = by_id(reconciled([entry()], {}, {"erp": {0: 7}}, NOW))

    assert reconciled([entry()], known, {}, NOW + timedelta(days=1)) == []


def test_a_changed_wish_keeps_its_start_offsets() -> None:
    """Other types or another channel: the same subscription, one revision on."""
    known = by_id(reconciled([entry()], {}, {"erp": {0: 7}}, NOW))

    (found,) = reconciled([entry(types=["*"], start_from="earliest")], known, {}, NOW)

    assert (found.types, found.start_offsets, found.revision) == (("*",), {0: 7}, 2)


def test_gone_from_the_file_is_disabled_and_comes_back_enabled() -> None:
    """Never deleted, so nothing is lost when a line is commented out for a day."""
    known = by_id(reconciled([entry()], {}, {"erp": {0: 7}}, NOW))

    (gone,) = reconciled([], known, {}, NOW)
    assert gone.disabled_reason == GONE_FROM_FILE
    assert reconciled([], by_id([gone]), {}, NOW) == []

    (back,) = reconciled([entry()], by_id([gone]), {}, NOW)
    assert back.enabled
    assert back.start_offsets == {0: 7}


def test_a_subscription_of_the_api_is_not_the_files_business() -> None:
    """Only what came from the file can go with it."""
    (found,) = reconciled([entry()], {}, {"erp": {}}, NOW)
    of_api = found.model_copy(update={"origin": "api"})

    assert reconciled([], by_id([of_api]), {}, NOW) == []


def test_findings_about_an_endpoint_add_up() -> None:
    """Disabled stays disabled, and the longer pause holds."""
    gone = EndpointHealth(subscription="erp", disabled_reason="410", updated_at=NOW)
    short, long = (
        EndpointHealth(subscription="erp", paused_until=NOW + timedelta(hours=n), updated_at=NOW)
        for n in (1, 2)
    )

    found = merged(merged(merged(None, gone), long), short)

    assert found.disabled_reason == "410"
    assert found.paused_until == long.paused_until


def test_what_an_operator_disabled_stays_so() -> None:
    """A restart with the same file is no reason to send again."""
    (found,) = reconciled([entry()], {}, {"erp": {0: 7}}, NOW)
    disabled = found.model_copy(update={"disabled_reason": "audit"})

    assert reconciled([entry()], by_id([disabled]), {}, NOW) == []
    (changed,) = reconciled([entry(backfill=True)], by_id([disabled]), {}, NOW)
    assert changed.disabled_reason == "audit"


def test_each_kind_of_record_is_known_until_its_tombstone() -> None:
    """Subscriptions, health, commands by number, keys by id."""
    (erp,) = reconciled([entry()], {}, {"erp": {0: 7}}, NOW)
    health = EndpointHealth(subscription="erp", updated_at=NOW)
    key = ApiKey(id="one", name="ops", scope="read", sha256="", created_at=NOW)
    retries = [Retry(subscription="erp", number=n, created_at=NOW) for n in (9, 12)]
    records = {
        "erp": erp,
        health_key("erp"): health,
        key.key: key,
        **{command_key("erp", one.number): one for one in retries},
    }
    known = Known()
    for name, record in records.items():
        known.take(name, record.to_json())

    assert known == Known(
        subscriptions={"erp": erp},
        health={"erp": health},
        commands={"erp": {9: retries[0], 12: retries[1]}},
        api_keys={"one": key},
    )

    for name in records:
        known.take(name, None)
    assert known == Known()


def test_a_record_that_cannot_be_read_is_neither_there_nor_gone() -> None:
    """It is named until something that can be read, or a deletion, stands in its place."""
    (erp,) = reconciled([entry()], {}, {"erp": {0: 7}}, NOW)
    known = Known()
    known.take("erp", erp.to_json())
    known.take("erp", b'{"id": "erp", "types": 7}')
    known.take("other", b"\xff")
    known.take("other/health", b"[]")
    assert (known.subscriptions, [*known.unreadable]) == ({}, ["erp", "other", "other/health"])
    assert "the record erp of subscriptions cannot be read" in str(known.held("erp"))

    known.take("erp", erp.to_json())
    known.take("other", None)
    assert (known.subscriptions, known.held("erp")) == ({"erp": erp}, None)
    assert "other/health" in str(known.held("other")), "its endpoint may have been disabled"


def test_no_command_overtakes_one_that_cannot_be_read() -> None:
    """They are carried out by number, and a number that was passed is never looked at again."""
    known = Known()
    known.take("erp/command/9", b"{}")
    known.take("erp/command/7", b"{")
    assert (known.first_unreadable_command("erp"), known.first_unreadable_command("x")) == (
        7,
        math.inf,
    )


def test_kinds_of_a_later_version_are_passed_over() -> None:
    """They do not stop this one, a newer major of ours does."""
    known = Known()
    known.take("erp/quota", b"{}")
    known.take("erp/command/1/part", b"{}")
    assert known == Known()

    with pytest.raises(ValueError, match="schema_version"):
        known.take("erp", b'{"schema_version": "2.0"}')


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"typ": 1}, "erp typ: unknown key"),
        ({"types": ["package.shiped"]}, "there are: *, package.created, package.shipped"),
        ({"types": []}, "types"),
        ({"start_from": "yesterday"}, "start_from"),
        ({"channel": {"type": "mail"}}, "channel"),
        ({"channel": {"type": "log", "url": "x"}}, "url: unknown key"),
        (
            {"channel": {"type": "webhook", "url": "ftp://a.example/", "secret": "env:S"}},
            "https://",
        ),
        ({"channel": {"type": "webhook", "url": "https://a.example/"}}, "secret"),
        (
            {"channel": {"type": "webhook", "url": "http://a.example/", "secret": "file:/none"}},
            "allow_networks",
        ),
        (
            {"channel": {"type": "webhook", "url": "https://a.example/", "secret": "whsec_abc"}},
            "write env:NAME or file:PATH",
        ),
        (
            {"channel": {"type": "webhook", "url": "https://a.example/", "secret": "file:/none"}},
            "/none",
        ),
        ({"name": "ERP!"}, "name"),
        ({"name": "api-key"}, "API keys are kept"),
    ],
)
def test_a_wrong_table_is_refused_by_name(table: dict[str, Any], complaint: str) -> None:
    """One line that names the table and the key; never a secret."""
    values = {"name": "erp", "types": ["package.shipped"], "channel": LOG, **table}

    with pytest.raises(BadConfig) as caught:
        read_subscriptions(Config({"subscriptions": [values]}))

    assert complaint in str(caught.value)
    assert "[[subscriptions]]" in str(caught.value)
    assert "whsec_abc" not in str(caught.value)


def test_a_name_used_twice_is_refused() -> None:
    """The name is the id."""
    table = {"name": "erp", "types": ["*"], "channel": LOG}

    with pytest.raises(BadConfig, match="used twice"):
        read_subscriptions(Config({"subscriptions": [table, table]}))


def test_a_secret_too_short_is_refused_without_being_told(tmp_path: Path) -> None:
    """A key is at least 24 bytes (Standard Webhooks)."""
    path = tmp_path / "secret"
    path.write_text("whsec_c2hvcnQ=\n")
    channel = {"type": "webhook", "url": "https://a.example/", "secret": f"file:{path}"}

    with pytest.raises(BadConfig, match="32 random bytes") as caught:
        read_subscriptions(
            Config({"subscriptions": [{"name": "erp", "types": ["*"], "channel": channel}]})
        )

    assert "c2hvcnQ" not in str(caught.value)


def test_an_instant_is_taken_as_toml_has_it_and_as_text() -> None:
    """`start_from = 2026-01-01T00:00:00Z` needs no quotes."""
    assert entry(start_from=NOW).start_from == "2026-01-01T00:00:00Z"
    assert entry(start_from="2026-01-01T01:00:00+01:00").start_from == "2026-01-01T00:00:00Z"


def test_events_must_outlive_the_longest_retry_schedule_by_a_week() -> None:
    """Else a body could be gone before its last try: refused at start (design 4)."""
    check_retention(KafkaSettings(), NotifierSettings())

    with pytest.raises(BadConfig, match=r"\[kafka\] retention_days events"):
        check_retention(KafkaSettings(retention_days={"events": 10}), NotifierSettings())
