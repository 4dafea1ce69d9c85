"""How many replicas a topic may have, decided over the number of brokers."""

from __future__ import annotations

import pytest

from bus.admin import one_replica_warning, replication_complaint
from bus.settings import KafkaSettings


@pytest.mark.parametrize(
    ("factor", "brokers", "advice"),
    [
        (None, 1, None),
        (None, 2, "replication_factor = 2"),
        (None, 3, "replication_factor = 3"),
        (None, 9, "replication_factor = 3"),
        (1, 3, None),
        (2, 3, None),
    ],
)
def test_one_replica_on_several_brokers_has_to_be_asked_for(
    factor: int | None, brokers: int, advice: str | None
) -> None:
    """The default suits the one broker of a laptop, and loses a topic with one of several."""
    kafka = KafkaSettings() if factor is None else KafkaSettings(replication_factor=factor)
    complaint = replication_complaint(kafka, brokers)

    assert (complaint is None) == (advice is None)
    assert advice is None or advice in str(complaint)


def test_topics_that_have_one_replica_are_named() -> None:
    """They may be older than the cluster's other brokers; one broker alone is no reason."""
    replicas = {"t.raw": 3, "t.events": 1, "t.cursors": 1}

    assert "replica and are lost with its broker: t.cursors, t.events;" in str(
        one_replica_warning(3, replicas)
    )
    assert (one_replica_warning(1, replicas), one_replica_warning(3, {"t.raw": 2})) == (None, None)
