"""Every document in tests/records: odd but real records, and what each must lead to."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from bus.errors import SetAside
from schemas.raw import Provenance
from services.normalizer.model import Fulfillment
from services.normalizer.observation import observed
from tests.corpus import Case, cases, difference, text_of
from tests.unit.normalizer.feed import MAPPERS, NOON, raw_record

FIRST = NOON + timedelta(days=1)


def known(state: Fulfillment | None) -> Callable[[], Fulfillment | None]:
    """Return what looks the state up."""
    return lambda: state


def observation(
    case: Case, step: dict[str, Any], offset: int
) -> tuple[Provenance, ConsumerRecord[bytes, bytes]]:
    """Return the raw record of a step."""
    provenance = Provenance(
        source=case.source,
        account="acme",
        resource=case.document["resource"],
        stream="head",
        upstream_id=case.document["id"],
        observed_at=FIRST + timedelta(seconds=step.get("seconds", offset)),
        backfill=step.get("backfill", False),
        options=frozenset(case.document.get("options", ())),
    )
    key, headers = provenance.key.encode(), provenance.headers()
    return provenance, raw_record(key, text_of(step).encode(), headers, offset=offset)


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.id)
def test_a_record_leads_to_what_its_document_says(case: Case) -> None:
    """State and events of each observation are those beside it."""
    state: Fulfillment | None = None
    for offset, step in enumerate(case.observations):
        provenance, record = observation(case, step, offset)
        where = f"{case.document['claim']} (observation {offset})"
        if reason := step.get("set_aside"):
            with pytest.raises(SetAside, match=reason):
                observed(record, provenance, MAPPERS, known(state))
            continue
        outcome = observed(record, provenance, MAPPERS, known(state))
        state = outcome.state or state
        assert step["events"] == [event.type for event in outcome.events], where
        shown = json.loads(state.to_json()) if state else {}
        assert [] == difference(step.get("shows", {}), shown), where


def test_there_are_documents_of_every_system() -> None:
    """The folder is found, and no system is left out."""
    assert {case.source for case in cases()} == set(MAPPERS)
