"""Named misbehavior, scripted while a simulator or receiver runs.

A script is a JSON list of faults, each for the next `count` requests whose target begins with
`match` and, if it says one, have the `method`, after the first `skip` of them went well; a count
of null strikes until cleared. Which request meets which fault is decided here; what a fault does
to a good answer is in `testbed/wire.py`, and faults that need to know the upstream's shape are
carried out by its simulator. What there is: the catalogue below.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

OVERSIZED_BYTES = 20_000_000
BOMB_BYTES = 64 * 1024 * 1024
OTHER_HOST = "http://other.invalid"
TIED_RECORDS = 350
FOREVER_SECONDS = 3600.0

Place = Literal["wire", "listing", "records", "clock", "write"]
Heard = Literal["at once", "never", "late"]


@dataclass(frozen=True)
class Kind:
    """One entry of the catalogue: its name, what it does in one sentence, who carries it out.

    wire: any server; records, clock: any simulator; listing: a simulator that names it in its
    `listing_faults`; write: one that is written to, at requests that write. `acts` is the fault
    that it is a case of, with the fields of `preset`. `heard`: whether a simulator carries the
    request out before it answers, not at all, or `seconds` later.
    """

    name: str
    place: Place
    about: str
    acts: str = ""
    preset: Mapping[str, Any] = field(default_factory=dict)
    heard: Heard = "at once"


def _answered(name: str, about: str, status: int, **preset: Any) -> Kind:
    return Kind(name, "wire", about, "status", {"status": status, **preset}, "never")


CATALOGUE: tuple[Kind, ...] = (
    Kind(
        "status",
        "wire",
        "The answer is a `status` with `headers` and `body`; 500 if not told.",
        heard="never",
    ),
    _answered(
        "rate_limited",
        "429 that says with Retry-After how long.",
        429,
        headers={"Retry-After": "1"},
    ),
    _answered("rate_limited_untold", "429 that does not say how long.", 429),
    _answered("rate_limit_storm", "429 to everything, until cleared.", 429, count=None),
    _answered("server_error", "500.", 500),
    _answered("bad_gateway", "502 with a page of HTML.", 502, body="<h1>502 Bad Gateway</h1>"),
    _answered("unavailable", "503.", 503),
    _answered(
        "unauthorized", "401 in mid-sweep: one page is given, the next refused.", 401, skip=1
    ),
    Kind("stall", "wire", "The answer is right, but comes `seconds` late."),
    Kind("hang", "wire", "No answer ever comes.", "stall", {"seconds": FOREVER_SECONDS}),
    Kind("reset", "wire", "The connection is reset before the answer.", heard="never"),
    Kind("reset_body", "wire", "Half the body, then the connection is reset."),
    Kind("cut_body", "wire", "Half the body, then the connection is closed in order."),
    Kind("broken_json", "wire", "The JSON ends after two thirds, in a body of the length told."),
    Kind("html_200", "wire", "A page for people, with status 200.", heard="never"),
    Kind("oversized", "wire", "White space before the document makes a body of `bytes` more."),
    Kind(
        "gzip_bomb",
        "wire",
        "The same as a small gzip that unfolds to `bytes` more.",
        preset={"bytes": BOMB_BYTES},
    ),
    Kind(
        "odd_encoding",
        "wire",
        "A byte order mark, a packing or a `content-encoding` that nobody asked for, in turn.",
    ),
    Kind("redirect", "wire", "A redirect to another `host`.", heard="never"),
    Kind("duplicate_page", "records", "The answer is the one before it on the same path."),
    Kind(
        "late_write",
        "records",
        "A record written becomes visible `seconds` after its own stamp; `match` is its key.",
    ),
    Kind("tie_flood", "records", "The last `records` records are rewritten with one equal stamp."),
    Kind(
        "clock_skew",
        "clock",
        "The upstream's clock, with Date, stamps and filters, is `seconds` ahead until cleared.",
        preset={"seconds": 300.0},
    ),
    Kind("odd_date", "records", "The Date of the answer is years or days away, in turn."),
    Kind("bad_record", "listing", "`record`, or a wrong copy, stands among a page's good records."),
    Kind("null_record", "listing", "A record whose every field is null stands among good ones."),
    Kind("mistyped_record", "listing", "So does one whose every field is of another type."),
    Kind(
        "bad_bytes",
        "listing",
        "A record that no parser takes, each time for another reason, stands among good ones.",
    ),
    Kind(
        "terse_page",
        "listing",
        "A page without records is null or 204, and what says that it is the last is left out.",
    ),
    Kind(
        "untold_page",
        "listing",
        "A page holds its records and not a word on whether more follow.",
    ),
    Kind("disordered_page", "listing", "Two neighbors of a page have changed places."),
    Kind(
        "doubled_record",
        "listing",
        "A record stands twice in a page, first as it was before its last change.",
    ),
    Kind("shifting_page", "listing", "A record of the page just read moves: the rest shifts up."),
    Kind("next_token_host", "listing", "The link to the next page leads to another `host`."),
    Kind("shrinking_total", "listing", "The total told gets smaller while the list is paged."),
    Kind("commit_then_reset", "write", "It is carried out, then the connection is reset.", "reset"),
    Kind("commit_then_error", "write", "It is carried out, then answered with 500.", "status"),
    Kind(
        "late_commit",
        "write",
        "The connection is reset; it is carried out `seconds` later.",
        "reset",
        heard="late",
    ),
    Kind(
        "slow_commit",
        "write",
        "No answer ever comes; it is carried out `seconds` later.",
        "stall",
        heard="late",
    ),
)
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in CATALOGUE}

# Faults of the wire, in any server; every fault may also wait `seconds` before it answers.
WIRE_FAULTS = frozenset(kind.name for kind in CATALOGUE if kind.place == "wire")
# Faults of a listing, carried out by the simulator that knows its shape.
LISTING_FAULTS = frozenset(kind.name for kind in CATALOGUE if kind.place == "listing")
# Faults of requests that write, in a simulator that is written to.
WRITE_FAULTS = frozenset(kind.name for kind in CATALOGUE if kind.place == "write")


@dataclass
class Fault:
    """One scripted fault; the fields from `status` on belong to some names only.

    `turn` counts its strikes from 0.
    """

    name: str
    count: int | None = 1
    match: str = ""
    method: str = ""
    skip: int = 0
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: str = '{"errors":[{"message":"scripted fault"}]}'
    seconds: float = 0.0
    bytes: int = OVERSIZED_BYTES
    records: int = TIED_RECORDS
    host: str = OTHER_HOST
    record: Any = None
    turn: int = field(default=-1, init=False)

    @property
    def acts(self) -> str:
        """The fault that this one is a case of, or itself."""
        return KINDS[self.name].acts or self.name

    @property
    def heard(self) -> Heard:
        """Whether what it strikes is carried out all the same."""
        return KINDS[self.name].heard


class Faults:
    """The faults still to come, in the order they were scripted; `struck` counts turns by name."""

    def __init__(self) -> None:
        self.struck: Counter[str] = Counter()
        self._waiting: list[Fault] = []

    def add(self, script: Any) -> None:
        """Append a script; raises ValueError naming the fault or field that is not known."""
        known = {f.name for f in fields(Fault) if f.init}
        added = []
        for entry in script if isinstance(script, list) else [script]:
            if not isinstance(entry, dict) or entry.get("name") not in KINDS:
                names = ", ".join(sorted(KINDS))
                raise ValueError(f"no such fault: {entry!r}; known names are {names}")
            if unknown := set(entry) - known:
                raise ValueError(f"fault {entry['name']} has no field {min(unknown)!r}")
            added.append(Fault(**{**KINDS[entry["name"]].preset, **entry}))
        self._waiting += added

    def clear(self) -> None:
        """Forget every fault that has not struck yet."""
        self._waiting.clear()

    def take(self, names: Collection[str], target: str, method: str = "") -> Fault | None:
        """Use up one turn of the first fault of these names that matches target and method."""
        for fault in self._waiting:
            if fault.name not in names or not target.startswith(fault.match):
                continue
            if fault.method not in ("", method):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            if fault.count is not None:
                fault.count -= 1
                if fault.count <= 0:
                    self._waiting.remove(fault)
            fault.turn += 1
            self.struck[fault.name] += 1
            return fault
        return None

    @property
    def skew_seconds(self) -> float:
        """How far the clock is ahead now, by every fault that moves it."""
        return sum(fault.seconds for fault in self._waiting if fault.name == "clock_skew")


def table() -> str:
    """The catalogue as rows of Markdown: what docs/faults.md holds."""
    rows = [f"| `{kind.name}` | {kind.place} | {kind.about} |" for kind in CATALOGUE]
    return "\n".join(["| fault | carried out by | what it does |", "|---|---|---|", *rows])
