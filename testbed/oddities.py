"""Odd but readable records: what real systems put into fields, as a table of named kinds.

Each kind changes how a record is written, never what a person would read in it, so the truth of a
world stays as it is.  Only `tracking_two_in_one` adds to it: a second number, which `Oddities.true`
adds to the truth as well.  Which records are odd follows from the seed.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import partial
from hashlib import blake2b
from random import Random
from typing import Any, Literal

SHARE = 0.2  # of the records that have the field
SECOND_NUMBER_OFFSET = 50  # added to the last two digits: no number of a world ends above it
MOVING = frozenset({"modified_at", "remote_data", "orderDetails"})  # not in every answer

# What draws are made by: a record for good, each version of it, each read, or the value itself.
By = Literal["record", "version", "read", "value"]
Act = Callable[[Any, Random], Any]  # the value unchanged where the kind has no use for it
Path = tuple[str, ...]
Places = Mapping[str, tuple[Path, ...]]


@dataclass(frozen=True)
class Kind:
    """One row of the table: what it does, where each system has such a field, by what it draws."""

    name: str
    about: str
    act: Act
    places: Places
    by: By = "version"
    share: float = SHARE


def _places(**systems: str) -> Places:
    """`packages.[].tracking` as a path; several are separated by spaces, `.` is the record."""
    return {
        system: tuple(
            [tuple(part for part in path.split(".") if part) for path in paths.split(" ")]
        )
        for system, paths in systems.items()
    }


_TRACKING = _places(
    zentail="packages.[].tracking",
    digital_river="trackingNumber",
    panora="tracking_numbers.[]",
    shoplazza="tracking_number",
    tradecloud="identifiers.trackingNumber",
)
_NO_TRACKING = {**_TRACKING, **_places(panora="tracking_numbers")}
_SEVERAL_TRACKINGS = {name: paths for name, paths in _TRACKING.items() if name != "panora"}
_URL = _places(digital_river="trackingUrl", panora="tracking_urls.[]", shoplazza="tracking_url")
_CARRIER = _places(
    zentail="packages.[].carrier",
    digital_river="trackingCompany",
    panora="carrier",
    shoplazza="tracking_company",
)
_STATUS = _places(
    zentail="status products.[].status",
    panora="remote_data.status",
    shoplazza="status",
    tradecloud="status.processStatus status.logisticsStatus lines.[].status.logisticsStatus",
)
_QUANTITY = _places(
    zentail="packages.[].products.[].quantity products.[].quantity",
    digital_river="items.[].quantity items.[].cancelQuantity",
    panora="remote_data.line_items.[].quantity",
    shoplazza="line_items.[].shipping_quantity",
    tradecloud="loadCarriers.[].lines.[].supplierLine.despatchQuantity"
    " lines.[].supplierLine.despatchQuantity lines.[].deliverySchedule.[].quantity",
)
_SKU = _places(
    zentail="packages.[].products.[].SKU products.[].SKU products.[].requestedSku",
    digital_river="items.[].skuId",
    panora="remote_data.line_items.[].sku",
    shoplazza="line_items.[].sku",
    tradecloud="loadCarriers.[].lines.[].item.buyerItemNumber lines.[].item.buyerItemNumber"
    " lines.[].buyerLine.item.number",
)
_ID = _places(
    zentail="products.[].lineItemId",
    digital_river="orderId items.[].itemId",
    panora="remote_id",
)
_LEFT_AT = _places(zentail="packages.[].shippedTs", tradecloud="locations.departure.atdDate")
_INSTANT = _places(
    zentail="packages.[].shippedTs orderTs",
    panora="created_at",
    tradecloud="lines.[].lastUpdatedAt",
)
_ARRAY = _places(
    zentail="packages",
    panora="tracking_numbers tracking_urls",
    tradecloud="loadCarriers lines",
)
_RECORD = _places(zentail=".", digital_river=".", panora=".", shoplazza=".", tradecloud=".")

JUNK: dict[str, Any] = {
    "status": None,
    "tracking": [[{"number": "NOT-A-NUMBER", "": {}}], [], None],
    "größe": {"\u00e9\U0001f4e6": [1e-7, -0.0, "\u0000", "</script>"]},
    "packages": {"0": {"shippedTs": "yesterday"}},
}
PLACEHOLDERS = ("N/A", "n/a", "-", "--", "none", "null", "TBD", "0", "pending", "  ")
INVISIBLE = ("\u200b", "\ufeff", "\u00a0", "\u200e", "\u00ad", "\u2060")
QUOTES = ('"{}"', "'{}'", '="{}"', "\u201c{}\u201d", "`{}`")
SEPARATORS = (", ", ",", ";", "; ", "\n", "\r\n", " | ")
UNSET = ("0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "0000-00-00T00:00:00", "1900-01-01")
OFFSETS = ("+00:00", "+02:00", "-05:30", "+09:00")


def _placeholder(value: Any, chance: Random) -> Any:
    word = chance.choice(PLACEHOLDERS)
    if value == []:
        return [word]
    return word if value is None or value == "" else value


def _invisible(value: Any, chance: Random) -> Any:
    if not _is_number(value):
        return value
    at, seen = chance.randrange(len(value) + 1), chance.choice(INVISIBLE)
    return value[:at] + seen + value[at:]


def _quoted(value: Any, chance: Random) -> Any:
    return chance.choice(QUOTES).format(value) if _is_number(value) else value


def _grouped(value: Any, chance: Random) -> Any:
    """As people read it out: `1z10 0004 12`."""
    if not _is_number(value):
        return value
    groups = re.findall(".{1,4}", chance.choice((value, value.lower())))
    return chance.choice((" ", "-")).join(groups)


def _in_json(value: Any, _chance: Random) -> Any:
    """A text of digits alone as a JSON number."""
    return int(value) if isinstance(value, str) and re.fullmatch(r"[1-9]\d*", value) else value


def _in_text(value: Any, _chance: Random) -> Any:
    whole = isinstance(value, int | float) and not isinstance(value, bool) and value == int(value)
    return str(int(value)) if whole else value


def _two_in_one(value: Any, chance: Random) -> Any:
    if not _is_number(value):
        return value
    return chance.choice(SEPARATORS).join((value, second_number(value)))


def second_number(number: str) -> str:
    """The number that `tracking_two_in_one` adds: no other package of a world has it."""
    return f"{number[:-2]}{int(number[-2:]) + SECOND_NUMBER_OFFSET:02d}"


def _signed(value: Any, chance: Random) -> Any:
    if not isinstance(value, str) or not value:
        return value
    joint = "&" if "?" in value else "?"
    return f"{value}{joint}Expires={chance.randrange(10**9)}&Signature={chance.getrandbits(64):x}"


def _respelled(value: Any, chance: Random) -> Any:
    if not isinstance(value, str) or not value:
        return value
    others = {value.lower(), value.upper(), value.capitalize(), f" {value} "} - {value}
    return chance.choice(sorted(others)) if others else value


def _status_respelled(value: Any, chance: Random) -> Any:
    if not isinstance(value, str) or not value:
        return value
    words = value.replace("_", " ")
    others = {value.lower(), value.upper(), value.title(), words.title(), words.replace(" ", "-")}
    return chance.choice(sorted(others - {value}))


def _artefact(value: Any, chance: Random) -> Any:
    """The floating point number next to it: 1.0000000000000002, 2.9999999999999996."""
    if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
        return value
    return math.nextafter(float(value), chance.choice((math.inf, 0)))


def _unset(value: Any, chance: Random) -> Any:
    return chance.choice(UNSET) if value is None else value


def _created_oddly(value: Any, chance: Random) -> Any:
    return chance.choice((None, *UNSET, "9999-12-31T23:59:59Z", "")) if value else value


def _lower_case(value: Any, _chance: Random) -> Any:
    return value.lower() if _is_instant(value) else value


def _with_offset(value: Any, chance: Random) -> Any:
    if not _is_instant(value):
        return value
    offset = chance.choice(OFFSETS)
    sign = -1 if offset[0] == "-" else 1
    ahead = timedelta(hours=int(offset[1:3]), minutes=int(offset[4:]))
    there = datetime.fromisoformat(value).astimezone(timezone(sign * ahead))
    return there.isoformat(timespec="milliseconds" if "." in value else "seconds")


def _nanoseconds(value: Any, _chance: Random) -> Any:
    if not _is_instant(value):
        return value
    whole, _, fraction = value.removesuffix("Z").partition(".")
    return f"{whole}.{fraction.ljust(9, '0')}Z"


def _second_60(value: Any, _chance: Random) -> Any:
    """A full minute as second 60 of the one before."""
    if not _is_instant(value) or value[16:] not in (":00Z", ":00.000Z"):
        return value
    before = datetime.fromisoformat(value) - timedelta(minutes=1)
    return before.isoformat()[:16] + ":60Z"


def _null_array(value: Any, _chance: Random) -> Any:
    return None if value == [] else value


def _null_object(value: Any, _chance: Random) -> Any:
    return None if isinstance(value, dict) else value


def _with_junk(value: Any, chance: Random) -> Any:
    name = chance.choice(("x_import", "_links", "customFields", "0"))
    return {**value, name: JUNK}


def _as_number(value: Any, chance: Random) -> Any:
    return chance.randrange(1, 99) if isinstance(value, str) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9A-Z]{8,}", value) is not None


def _is_instant(value: Any) -> bool:
    pattern = r"20\d\d-\d\d-\d\dT\d\d:\d\d:[0-5]\d(\.\d+)?Z"
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


TWO_IN_ONE = Kind(
    "tracking_two_in_one",
    'two tracking numbers of one package in one field: "A, B"',
    _two_in_one,
    _SEVERAL_TRACKINGS,
    "value",
)
# In this order, so that a text is a text until it becomes something else.
KINDS: tuple[Kind, ...] = (
    Kind(
        "tracking_placeholder",
        '"N/A", "-" or the like where there is no tracking number yet',
        _placeholder,
        _NO_TRACKING,
    ),
    TWO_IN_ONE,
    Kind("tracking_json_number", "a tracking number as a JSON number", _in_json, _TRACKING),
    Kind("tracking_grouped", "spaces, hyphens or lower case in it", _grouped, _TRACKING),
    Kind("tracking_invisible", "a character in it that nobody sees", _invisible, _TRACKING),
    Kind("tracking_quoted", "quotes around it, as spreadsheets leave them", _quoted, _TRACKING),
    Kind(
        "url_signed",
        "a tracking URL signed anew at every read, until the world ends",
        _signed,
        _URL,
        "read",
    ),
    Kind("carrier_respelled", "another case or spaces around a carrier", _respelled, _CARRIER),
    Kind("status_respelled", '"Partially Shipped", "SUCCESS"', _status_respelled, _STATUS),
    Kind("quantity_artefact", "1.0000000000000002 for 1", _artefact, _QUANTITY),
    Kind("quantity_text", 'a quantity as a text: "2"', _in_text, _QUANTITY),
    Kind("sku_json_number", "a SKU as a JSON number", _in_json, _SKU),
    Kind("id_json_number", "an id of an order or a line as a JSON number", _in_json, _ID),
    Kind(
        "order_number_text",
        "an order number as a text",
        _in_text,
        _places(zentail="orderNumber"),
    ),
    Kind("left_at_unset", "0001-01-01 as ship time of what has not left", _unset, _LEFT_AT),
    Kind(
        "created_at_odd",
        "a date of creation that is none",
        _created_oddly,
        _places(zentail="orderTs", tradecloud="locations.departure.etdDate"),
    ),
    Kind("instant_second_60", "a full minute as second 60", _second_60, _INSTANT, share=1),
    Kind("instant_lower_case", "an instant with t and z", _lower_case, _INSTANT),
    Kind("instant_offset", "an instant with another offset", _with_offset, _INSTANT),
    Kind("instant_nanoseconds", "an instant with nine decimals", _nanoseconds, _INSTANT),
    Kind("array_null", "null for an empty array", _null_array, _ARRAY),
    Kind(
        "object_null",
        "null for an object",
        _null_object,
        _places(zentail="shippingAddress", panora="items"),
    ),
    Kind(
        "service_level_number",
        "a service level as a number",
        _as_number,
        _places(zentail="packages.[].service_level"),
        "record",
    ),
    Kind(
        "carrier_code_number",
        "a carrier's code as a number",
        _as_number,
        _places(shoplazza="tracking_company_code"),
        "record",
    ),
    Kind("field_unknown", "a field nobody knows, full of nested junk", _with_junk, _RECORD),
)
ABOUT: Mapping[str, str] = {kind.name: kind.about for kind in KINDS}


@dataclass
class Oddities:
    """Which records of one system's world are odd, and how; `shown` holds their ids by kind."""

    seed: int
    source: str
    shown: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def applied(self, record: dict[str, Any], upstream_id: str, read: int = 0) -> dict[str, Any]:
        """The record as this system shows it in answer `read`, odd where the seed says so."""
        content = {name: value for name, value in record.items() if name not in MOVING}
        version = f"{upstream_id} {json.dumps(content)}"
        keys = {"record": upstream_id, "version": version, "read": f"{version} {read}"}
        odd: dict[str, Any] = record
        for kind in KINDS:
            act = partial(self._act, kind, keys)
            for path in kind.places.get(self.source, ()):
                changed = _changed(odd, path, act)
                if changed is not odd:
                    self.shown[kind.name].add(upstream_id)
                    odd = changed
        return odd

    def counts(self) -> dict[str, int]:
        """How many records of each kind have been shown."""
        return {kind.name: len(self.shown[kind.name]) for kind in KINDS}

    def true(self, truth: dict[str, Any]) -> dict[str, Any]:
        """The truth of a world with the second numbers: `also` in a state."""
        for order in truth["orders"] if self.source in TWO_IN_ONE.places else ():
            for package in order["packages"]:
                package["states"] = [self._with_second(one) for one in package["states"]]
        return truth

    def _with_second(self, state: dict[str, Any]) -> dict[str, Any]:
        number = state["tracking"]
        if number is None or self._act(TWO_IN_ONE, {}, number) == number:
            return state
        return {**state, "also": [second_number(number)]}

    def _act(self, kind: Kind, keys: Mapping[str, str], value: Any) -> Any:
        key = f"{self.seed} {kind.name} {value if kind.by == 'value' else keys[kind.by]}"
        # What is odd at each read is so at every one: there the value itself is drawn by.
        drawn = _drawn(f"{self.seed} {kind.name} {value}" if kind.by == "read" else key)
        return kind.act(value, Random(key)) if drawn < kind.share else value


def total(counted: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """All systems together, every kind named."""
    found = Counter(dict.fromkeys(ABOUT, 0))
    for one in counted:
        found.update(one)
    return dict(found)


def _drawn(key: str) -> float:
    """A number from 0 to 1 that follows from the key; much faster than a Random for each."""
    return int.from_bytes(blake2b(key.encode(), digest_size=4).digest()) / 2**32


def _changed(value: Any, path: Path, act: Callable[[Any], Any]) -> Any:
    """The value with what stands at the path acted on; itself where that changes nothing."""
    if not path:
        found = act(value)
        return value if type(found) is type(value) and found == value else found
    head, rest = path[0], path[1:]
    if head == "[]" and isinstance(value, list):
        parts = [_changed(one, rest, act) for one in value]
        same = all(new is old for new, old in zip(parts, value, strict=True))
        return value if same else parts
    if isinstance(value, dict) and (head in value or not rest):
        old = value.get(head)
        new = _changed(old, rest, act)
        return value if new is old else {**value, head: new}
    return value


def table() -> str:
    """The kinds as rows of Markdown: what docs/faults.md holds."""
    rows = [f"| `{kind.name}` | {kind.about} | {', '.join(kind.places)} |" for kind in KINDS]
    return "\n".join(["| kind | what it is | systems |", "|---|---|---|", *rows])
