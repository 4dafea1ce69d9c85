"""How each fault of the catalogue is tried on a system: as data, in the catalogue's own names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from testbed.faults import KINDS
from testbed.simulator import BAD_RECORDS, Simulator
from testbed.wire import BAD_BYTES, ENCODINGS

BY_PARENT_LESS = 7
HEAD_ALONE: dict[str, Any] = {"settle_interval_seconds": 3600}


@dataclass(frozen=True)
class Plan:
    """A fault, with the fields of its script.

    `lasts`: nothing gets through until it is cleared, after `strikes`.  `stops` is what the reason
    of a stream says that stops for it.  `lies`: the upstream repeats what is older, so raw does.
    `rewrites`: it would replace what was written at the same moment and nobody has seen yet.
    `settles`: the settle sweep comes again and again, or else at the start only, and the head has
    to bring everything.  `crash`: in the middle of a sweep the account is gone, and comes back.
    """

    fault: str
    script: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    lasts: bool = False
    strikes: int = 1
    stops: str = ""
    lies: bool = False
    rewrites: bool = False
    settles: bool = False
    crash: bool = False
    orders: int = 8
    page_size_max: int = 5
    tied: bool = False
    keys: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name or self.fault or "none"

    def orders_of(self, *, by_parent: bool) -> int:
        """How many orders there are at first; a flood is smaller where each is asked for alone."""
        return self.orders // BY_PARENT_LESS if by_parent and self.rewrites else self.orders

    @property
    def mixes(self) -> bool:
        """Whether it is over by itself and touches no record, so that it goes with any other."""
        kind = KINDS.get(self.fault)
        alone = kind is None or (kind.place != "wire" and kind.name not in BAD_RECORDS)
        return not (alone or self.lasts)

    @property
    def settings(self) -> dict[str, Any]:
        """What the account is configured with for it."""
        return {**({} if self.settles else HEAD_ALONE), **self.keys}

    def fits(self, simulator: type[Simulator]) -> bool:
        """Whether a system can do it: any can, what is no matter of its listing."""
        kind = KINDS.get(self.fault)
        return kind is None or kind.place != "listing" or kind.name in simulator.listing_faults


UNTIL_CLEARED = {"count": None}
MID_SWEEP = {"skip": 1, "count": 3}


def empty_gzip(status: int) -> dict[str, Any]:
    """An answer without a body, labeled gzip all the same."""
    headers = {"Content-Encoding": "gzip", "Retry-After": "1"}
    return {"status": status, "headers": headers, "body": "", **MID_SWEEP}


PLANS: tuple[Plan, ...] = (
    Plan("", settles=True),
    Plan("late_write", {"seconds": 3, "count": 6}, settles=True),
    Plan("shifting_page", {"count": 4}, tied=True, settles=True),
    Plan("duplicate_page", lies=True, settles=True),
    Plan("duplicate_page", {"count": 5}, name="duplicate_pages", lies=True, settles=True),
    Plan("tie_flood", orders=350, page_size_max=40, tied=True, rewrites=True, settles=True),
    Plan("clock_skew", {"seconds": 300.0}, name="clock_ahead", settles=True),
    Plan("clock_skew", {"seconds": -300.0}, name="clock_behind", settles=True),
    Plan("rate_limited", MID_SWEEP),
    Plan("rate_limited_untold", MID_SWEEP),
    Plan("rate_limit_storm", lasts=True, strikes=20),
    Plan("server_error", MID_SWEEP),
    Plan("bad_gateway", MID_SWEEP),
    Plan("unavailable", MID_SWEEP),
    Plan("unavailable", UNTIL_CLEARED, name="crash", lasts=True, crash=True),
    Plan("status", {"status": 500, **UNTIL_CLEARED}, name="outage", lasts=True, strikes=15),
    Plan("unauthorized", UNTIL_CLEARED, lasts=True, stops="401"),
    Plan("stall", {"seconds": 0.1, "count": 3}),
    Plan("hang", {"count": 3}, keys={"request_timeout_seconds": 0.25}),
    Plan("reset", MID_SWEEP),
    Plan("reset_body", MID_SWEEP),
    Plan("cut_body", MID_SWEEP),
    Plan("broken_json", MID_SWEEP),
    Plan("html_200", MID_SWEEP),
    Plan("oversized", {"count": 2}),
    Plan("gzip_bomb", {"count": 2}),
    Plan("redirect", UNTIL_CLEARED, lasts=True, stops="redirect"),
    Plan("next_token_host", UNTIL_CLEARED, lasts=True, stops="another host"),
    Plan("bad_record", {"record": 42, "count": 3}),
    Plan("bad_record", {"record": {"name": "Ana \ud83d"}, "count": 3}, name="half_emoji"),
    Plan("null_record", {"count": 3}),
    Plan("mistyped_record", {"count": 3}),
    Plan("shrinking_total", {"count": 3}),
    Plan("odd_date", MID_SWEEP),
    Plan("odd_encoding", {"count": len(ENCODINGS)}),
    Plan("bad_bytes", {"count": len(BAD_BYTES)}),
    Plan("terse_page", {"count": 9}),
    Plan("untold_page", UNTIL_CLEARED, page_size_max=10),
    Plan("disordered_page", {"count": 4}),
    Plan("disordered_page", UNTIL_CLEARED, name="disordered_pages", settles=True),
    Plan("doubled_record", {"count": 4}),
    Plan("status", empty_gzip(429), name="empty_gzip_429"),
    Plan("status", empty_gzip(503), name="empty_gzip_503"),
    Plan(
        "status", {**empty_gzip(401), "count": None}, name="empty_gzip_401", lasts=True, stops="401"
    ),
)
