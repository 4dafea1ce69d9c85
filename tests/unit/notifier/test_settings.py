"""`[[subscriptions]]`: what a table may say, and what its record says then."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bus.errors import BadConfig
from bus.settings import Config
from schemas.filters import Exact
from schemas.subscription import LogChannel, Subscription, TopicChannel
from schemas.topics import TOPICS
from services.notifier.channel import idle_setting
from services.notifier.settings import read_subscriptions
from services.notifier.subscriptions import moved_starts, reconciled

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FULL = {
    "name": "erp",
    "types": ["package.*"],
    "filters": [{"exact": {"data.package.carrier.code": "ups"}}],
    "backfill": True,
    "channel": {"type": "topic", "topic": "for-erp"},
}
LOG = {
    "order": "unordered",
    "rate_per_second": 2.5,
    "concurrency": 4,
    "channel": {"type": "log"},
}
STREAM = {"channel": {"type": "stream"}}


def config(prefix: str = "shipfeed", **values: Any) -> Config:
    return Config({"kafka": {"prefix": prefix}, "subscriptions": [{**FULL, **values}]})


def record(**values: Any) -> Subscription:
    entries = read_subscriptions(config(**values))
    (found,) = reconciled(entries, {}, {"erp": {0: 7}}, NOW)
    return found


def test_a_table_becomes_its_record() -> None:
    """Every key of it."""
    found = record(**LOG)

    assert found.filters == (Exact(exact={"data.package.carrier.code": "ups"}),)
    assert (found.order, found.lane_deadline_seconds) == ("unordered", None)
    assert (found.rate_per_second, found.concurrency, found.backfill) == (2.5, 4, True)
    assert found.channel == LogChannel()
    assert record().channel == TopicChannel(topic="for-erp")


def test_a_filter_changed_in_the_file_is_a_revision() -> None:
    """And the same filter is none."""
    known = {"erp": Subscription.model_validate_json(record().to_json())}
    other = read_subscriptions(config(filters=[{"exact": {"data.package.carrier.code": "dhl"}}]))

    assert reconciled(read_subscriptions(config()), known, {}, NOW) == []
    (changed,) = reconciled(other, known, {}, NOW)
    assert changed.revision == 2


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"filters": [{"exact": {"tpye": "a"}}]}, r"erp filters: filters\.0\.exact: .tpye. leads"),
        ({"filters": [{"exact": "a"}]}, r"filters\.0\.exact: a table"),
        ({"types": []}, "types"),
        ({"order": "sorted"}, "order"),
        ({"rate_per_second": 0}, "rate_per_second"),
        ({"concurrency": 0}, "concurrency"),
        ({"lane_deadline_seconds": -1}, "lane_deadline_seconds"),
        ({"channel": {"type": "topic", "topic": "for erp"}}, "channel.topic.topic"),
        ({"channel": {"type": "stream", "url": "x"}}, "unknown key"),
    ],
)
def test_a_wrong_key_is_named(wish: dict[str, Any], told: str) -> None:
    """With the subscription it stands in."""
    with pytest.raises(BadConfig, match=told):
        read_subscriptions(config(**wish))


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"order": "unordered"}, "order does nothing .* type topic"),
        ({"rate_per_second": 5}, "rate_per_second .*: log, webhook$"),
        ({**STREAM, "concurrency": 5}, "concurrency .* type stream"),
        (
            {**STREAM, "lane_deadline_seconds": 60},
            "lane_deadline_seconds does nothing with a channel of type stream: .*: webhook$",
        ),
        ({**LOG, "lane_deadline_seconds": 60}, "lane_deadline_seconds .* type log"),
    ],
)
def test_a_setting_that_would_do_nothing_is_refused(wish: dict[str, Any], told: str) -> None:
    """With the channels that have it; what is said as if it were left out is no setting."""
    with pytest.raises(BadConfig, match=rf"\[\[subscriptions\]\] erp {told}"):
        read_subscriptions(config(**wish))


def test_a_lane_deadline_needs_lanes() -> None:
    """Where events do not wait for each other it does nothing with any channel."""
    wish = {**LOG, "lane_deadline_seconds": 60.0}

    assert "where order is unordered" in str(idle_setting("webhook", wish))
    assert idle_setting("webhook", {**wish, "order": "ordered"}) is None


@pytest.mark.parametrize("topic", [*(f"acme.{one.name}" for one in TOPICS), "__consumer_offsets"])
def test_a_topic_of_our_own_is_refused_as_a_target(topic: str) -> None:
    """It would be read again as if a poller or the normalizer had written it."""
    with pytest.raises(BadConfig, match=r"own topics or of Kafka's.*such as acme\.for-NAME"):
        read_subscriptions(config(prefix="acme", channel={"type": "topic", "topic": topic}))


def test_a_topic_beside_ours_is_none_of_ours() -> None:
    """The prefix may be that of a whole company."""
    channel = {"type": "topic", "topic": "acme.for-erp"}

    assert len(read_subscriptions(config(prefix="acme", channel=channel))) == 1


def test_a_channel_may_not_change_its_way() -> None:
    """What was seen is kept in another way: deliveries, positions, the subscriber's own cursor."""
    known = {"erp": record()}
    for other in ({"type": "log"}, {"type": "stream"}):
        with pytest.raises(BadConfig, match="another name"):
            reconciled(read_subscriptions(config(channel=other)), known, {}, NOW)

    moved = {"type": "topic", "topic": "another"}
    assert len(reconciled(read_subscriptions(config(channel=moved)), known, {}, NOW)) == 1


def test_a_start_that_was_edited_later_is_told() -> None:
    """It holds for a new subscription alone, so it is no revision either."""
    known = {"erp": record()}

    edited = read_subscriptions(config(start_from="earliest"))
    assert moved_starts(edited, known) == ["erp"]
    assert reconciled(edited, known, {}, NOW) == []
    assert moved_starts(read_subscriptions(config()), known) == []
    assert moved_starts(edited, {}) == []
