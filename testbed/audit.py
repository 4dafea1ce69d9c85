"""The independent judge: what was true against what was announced and what is stored.

Pure. `must` packages have shipped and still are at the end of the world; `may` packages were
shipped only for a while, or ended in a state that does not prove it, so a poll may honestly never
have seen it. missing and duplicate count
`must` packages only. How an announcement is read is told in testbed/claims.py.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from testbed.claims import (
    OrderRef,
    Sighting,
    live_sightings,
    order_refs,
    package_sighting,
    sighting_of_state,
)
from testbed.told import Told, differs
from testbed.written import Verdict, echoed
from testbed.written import judge as judge_written

SHIPPED = "package.shipped"


@dataclass
class Figures:
    """The counts of one audit; only missing, duplicate and wrong must be zero."""

    shipped_in_world: int = 0
    shipped_events: int = 0
    missing: int = 0
    duplicate: int = 0
    wrong: int = 0
    may_shipped: int = 0
    delivered: int = 0
    redelivered: int = 0
    verified: int = 0
    written: int = 0
    held: int = 0


@dataclass
class Report(Figures):
    """All sources together, the same per source, each problem in one sentence.

    `by_type` counts the events the subscriber accepted.
    """

    findings: list[str] = field(default_factory=list)
    by_type: dict[str, int] = field(default_factory=dict)
    by_source: dict[str, Figures] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """Whether nothing is missing, doubled or wrong."""
        return self.missing == self.duplicate == self.wrong == 0

    def as_dict(self) -> dict[str, Any]:
        """The figures and findings as JSON values."""
        return asdict(self)


def audit(
    truth: dict[str, Any],
    received: list[dict[str, Any]],
    fulfillments: list[dict[str, Any]],
    *,
    everything: bool = False,
    written: Mapping[str, Any] | None = None,
    write_backs: Sequence[dict[str, Any]] = (),
) -> Report:
    """Judge a run that has settled.

    `everything`: the subscriber asked for every type of event, so that what they tell together
    must be what is true in the end.  `written` tells by system what has come of writing to it; that
    is no part of its world, and judged with `write_backs` by testbed/written.py.

    `truth` is World.truth (orders of several worlds may be joined), `received` the receiver's
    records, `fulfillments` the newest record of each fulfillment. Requests the receiver did not
    answer with 2xx do not count as delivered.
    """
    judge = _Judge(truth)
    echoes = echoed(written or {})
    own = [one for one in fulfillments if (one["source"], one.get("upstream_id")) not in echoes]
    events = judge.judge(received, own, everything=everything)
    for target, told in (written or {}).items():
        stored = [one for one in fulfillments if one["source"] == target]
        judge.take(target, judge_written(target, told, events, stored, write_backs))
    return judge.report()


@dataclass
class _Parcel:
    """One true package and the ids of the events that announced it as shipped."""

    name: str
    live: bool
    states: list[dict[str, Any]]
    announced_by: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.seen = {sighting_of_state(state) for state in self.states}
        self.seen_shipped = {sighting_of_state(s) for s in self.states if s["shipped"]}
        self.must = self.live and self.states[-1]["shipped"] and self.states[-1]["provable"]
        self.may = bool(self.seen_shipped) and not self.must

    @property
    def last(self) -> dict[str, Any]:
        """The last state; one that is not provable is shipped if it has been announced."""
        state = self.states[-1]
        shipped = state["shipped"] and (state["provable"] or bool(self.announced_by))
        return {**state, "shipped": shipped}


class _Judge:
    def __init__(self, truth: dict[str, Any]) -> None:
        self._orders: dict[OrderRef, list[_Parcel]] = {}
        for order in truth["orders"]:
            ref = OrderRef(order["source"], order["account"], order["id"])
            self._orders[ref] = [
                _Parcel(package["truth_id"], package["live"], package["states"])
                for package in order["packages"]
            ]
        self._figures: dict[str, Figures] = defaultdict(Figures)
        self._by_type: Counter[str] = Counter()
        self._findings: list[str] = []

    def judge(
        self,
        received: list[dict[str, Any]],
        fulfillments: list[dict[str, Any]],
        *,
        everything: bool,
    ) -> list[dict[str, Any]]:
        """The accepted events, each judged; what is wrong is kept for the report."""
        announcements = []
        told = Told()
        events = list(self._delivered(received))
        for event in events:
            self._by_type[event["type"]] += 1
            self._check_claim(event)
            if everything:
                told.take(event)
            if event["type"] == SHIPPED and event["data"].get("package") is not None:
                announcements.append(event)
        self._match(announcements)
        self._count_packages()
        self._check_final(fulfillments)
        if everything:
            self._check_told(told, fulfillments)
        return events

    def take(self, target: str, verdict: Verdict) -> None:
        """Add what was found of writing to a system to its figures."""
        figures = self._figures[target]
        figures.written += verdict.written
        figures.held += verdict.held
        for bad, text in verdict.findings:
            setattr(figures, bad, getattr(figures, bad) + 1)
            self._findings.append(f"{target}: {text}")

    def _delivered(self, received: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
        """Each accepted event once, in order of first receipt; counts the deliveries."""
        seen: set[str] = set()
        for record in received:
            event = record["event"]
            source = self._figures[_source(event)]
            source.verified += 1
            repeated = record["webhook_id"] in seen
            source.redelivered += repeated
            if repeated or not 200 <= record["status"] < 300:
                continue
            seen.add(record["webhook_id"])
            source.delivered += 1
            if record["webhook_id"] != event["id"]:
                text = f"webhook-id {record['webhook_id']} carried the event {event['id']}"
                self._wrong(_source(event), text)
            yield event

    def _check_claim(self, event: dict[str, Any]) -> None:
        """Whatever an event says about its orders and its package must have been true once."""
        refs = order_refs(event["data"]["fulfillment"])
        unknown = [ref for ref in refs if ref not in self._orders]
        if unknown or not refs:
            text = f"{event['type']} {event['id']} names an order that never was: {unknown or refs}"
            self._wrong(_source(event), text)
            return
        if event["data"].get("package") is None:
            if event["type"] == SHIPPED:
                self._wrong(_source(event), f"{SHIPPED} {event['id']} names no package")
            return
        sighting = package_sighting(event["data"]["package"])
        parcels = [parcel for ref in refs for parcel in self._orders[ref]]
        shipped = event["type"] == SHIPPED
        if not any(sighting in (p.seen_shipped if shipped else p.seen) for p in parcels):
            text = f"{event['type']} {event['id']} of {refs[0]} announces {sighting}, never true"
            self._wrong(_source(event), text)

    def _match(self, announcements: list[dict[str, Any]]) -> None:
        """Give each announcement a true package; the ones with least choice choose first."""
        choices = []
        for event in announcements:
            sighting = package_sighting(event["data"]["package"])
            refs = order_refs(event["data"]["fulfillment"])
            parcels = [parcel for ref in refs for parcel in self._orders.get(ref, ())]
            choices.append((event, [p for p in parcels if sighting in p.seen_shipped]))
        for event, parcels in sorted(choices, key=lambda choice: len(choice[1])):
            self._figures[_source(event)].shipped_events += 1
            if parcels:
                min(parcels, key=lambda p: len(p.announced_by)).announced_by.append(event["id"])

    def _count_packages(self) -> None:
        for ref, parcels in self._orders.items():
            figures = self._figures[ref.source]
            for parcel in parcels:
                figures.may_shipped += parcel.may
                if not parcel.must:
                    continue
                figures.shipped_in_world += 1
                ids = parcel.announced_by
                if not ids:
                    figures.missing += 1
                    self._findings.append(
                        f"{ref.source}: package {parcel.name} of {ref} was never announced"
                    )
                if len(ids) > 1:
                    figures.duplicate += 1
                    text = f"package {parcel.name} of {ref} was announced by {', '.join(ids)}"
                    self._findings.append(f"{ref.source}: {text}")

    def _check_final(self, fulfillments: list[dict[str, Any]]) -> None:
        stored: dict[OrderRef, list[Sighting]] = defaultdict(list)
        for fulfillment in fulfillments:
            for ref in order_refs(fulfillment):
                stored[ref] += live_sightings(fulfillment)
        for ref in sorted(stored.keys() | self._orders.keys()):
            if ref not in self._orders:
                self._wrong(ref.source, f"{ref} is stored, but no such order ever was")
                continue
            states = [parcel.last for parcel in self._orders[ref] if parcel.live]
            world = sorted(sighting_of_state(s)._replace(shipped=s["shipped"]) for s in states)
            if (kept := sorted(stored[ref])) != world:
                self._wrong(ref.source, f"{ref} ended as {world}, but is stored as {kept}")

    def _check_told(self, told: Told, fulfillments: list[dict[str, Any]]) -> None:
        """What the events told is what is true in the end, field by field."""
        live = told.live()
        for ref, parcels in self._orders.items():
            states = [parcel.last for parcel in parcels if parcel.live]
            world = sorted(sighting_of_state(s)._replace(shipped=s["shipped"]) for s in states)
            if (seen := sorted(one.sighting for one in live[ref])) != world:
                self._wrong(ref.source, f"{ref} ended as {world}, but was told as {seen}")
                continue
            for state in states:
                sighting = sighting_of_state(state)._replace(shipped=state["shipped"])
                if all(differs(one, state) for one in live[ref] if one.sighting == sighting):
                    text = f"carrier or time of {sighting} of {ref} was never told"
                    self._wrong(ref.source, text)
        untold = [*told.last_words(fulfillments), *told.deliveries(fulfillments)]
        for source, text in (*told.findings, *told.leftovers(), *untold):
            self._wrong(source, text)

    def _wrong(self, source: str, finding: str) -> None:
        self._figures[source].wrong += 1
        self._findings.append(f"{source}: {finding}")

    def report(self) -> Report:
        """All that was found."""
        by_type = dict(sorted(self._by_type.items()))
        report = Report(findings=self._findings, by_type=by_type, by_source=dict(self._figures))
        for figures in self._figures.values():
            for name, count in asdict(figures).items():
                setattr(report, name, getattr(report, name) + count)
        return report


def _source(event: dict[str, Any]) -> str:
    return str(event["data"]["fulfillment"]["source"])
