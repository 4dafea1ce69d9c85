"""The contract of a mapper: one upstream record in, what it shows of a fulfillment out.

A record is set aside only when its identity, its version or its shape cannot be read.  Every other
odd value is read as nearly as possible or is unknown: see `Reading`.

Pure: no state, no clock, no Kafka.  Which package is which, what is new and what has been told
already are decided later (`identity`, `merge`, `diff`).  A mapper builds on this file, `model`,
`schemas`, msgspec and the standard library, nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Protocol, TypeVar

import msgspec

from bus.errors import SetAside
from schemas.fulfillment import LEFT, FulfillmentStatus, PackageStatus, Scope
from schemas.instants import FIRST_YEAR, LAST_YEAR, read_instant, read_moment
from schemas.message import SURELY_SHORT, iso, parse_instant, quantity, without_lone_surrogates
from schemas.raw import Provenance
from services.normalizer.carriers import NAMES_CACHED_MAX, code_of
from services.normalizer.model import NULL, Carrier, LineItem, OrderRef, Tracking, UpstreamId
from services.normalizer.quantities import nearest_quantity
from services.normalizer.statuses import Statuses, plain
from services.normalizer.tracking_numbers import (
    is_placeholder,
    links_of,
    listed,
    read_trackings,
)

PACKAGES_MAX = 1000  # in one fulfillment; pairing compares them with each other
DATE_LENGTH = len("2026-03-01")

DIGITS_MAX = 200  # of a number that is read as text
ALL_KNOWN: frozenset[str] = frozenset()
# What leaves while its request is under way has left: the poller reads it so, too.
UNDER_WAY = timedelta(seconds=2)
DEPARTURE_AHEAD_MAX = timedelta(days=90)  # of a planned one; what is later is a mistake
ZONE_AHEAD_MAX = timedelta(hours=14)  # in which a local date may have begun already

_EXACT_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_EXACT_ENCODER = msgspec.json.Encoder(decimal_format="number", order="sorted")
_PATH = re.compile(r"^(?P<reason>.*?)(?: - at `(?P<path>.*)`)?$", re.DOTALL)

STATUS_LENGTH_MAX = 40  # of a word that labels a metric

T = TypeVar("T")
D = TypeVar("D", datetime, str)
S = TypeVar("S")


class Unmappable(SetAside):
    """A record that cannot be understood: `reason`, and in `path` where ("$.packages[0]")."""


class Seen(msgspec.Struct, frozen=True, gc=False):
    """A package as the source shows it now, before it is known which one it is.

    `status` is shipped or delivered only with the source's evidence that the package left;
    `upstream_ids` are the source's own ids of it as `ids` gives them, the best kind first.
    `line_items` is None when the source does not say what is inside.  `delivered_if_seen_left`:
    the source's word for delivered is also used for what it has never shown as shipped, and then
    says no more than that.  `shipped_at` and `delivered_at` as `Reading.moment` gives them.
    `unknown` names fields that could not be read, or, for `status`, of which the record says
    nothing: what is known of them stays, and their value here counts only at first sight.
    """

    status: PackageStatus
    upstream_ids: tuple[UpstreamId, ...] = ()
    status_raw: str | None = None
    carrier: Carrier | None = None
    service_level: str | None = None
    trackings: tuple[Tracking, ...] = ()
    shipped_at: str | None = None
    delivered_at: str | None = None
    line_items: tuple[LineItem, ...] | None = None
    delivered_if_seen_left: bool = False
    unknown: frozenset[str] = ALL_KNOWN

    @property
    def left(self) -> bool:
        """Whether there is evidence that it was shipped."""
        return self.status in LEFT


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """A whole fulfillment as one record shows it.

    `status` None: the source has no word for it, so it follows from the packages.  `updated_at`
    is the source's own version of the record; None: the instant of observation decides.
    `provisional`: the source says the packages may still change.  `echo`: the record says that we
    wrote it back there.  `announced_lines`: line ids whose changes are told, None for all; what is
    stored is whole either way.  `field_mappings` and `remote_data` as `verbatim` gives them.
    `unknown` is as in `Seen`; `degraded` names each odd value of the record, to be counted.
    """

    scope: Scope
    orders: tuple[OrderRef, ...]
    status: FulfillmentStatus | None
    status_raw: str | None = None
    final: bool = False
    provisional: bool = False
    echo: bool = False
    announced_lines: frozenset[str] | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    line_items: tuple[LineItem, ...] = ()
    canceled_items: tuple[LineItem, ...] = ()
    packages: tuple[Seen, ...] = ()
    remote_id: str | None = None
    field_mappings: msgspec.Raw = NULL
    remote_data: msgspec.Raw = NULL
    unknown: frozenset[str] = ALL_KNOWN
    degraded: tuple[str, ...] = ()


class Reading:
    """Reads the values of a record, or of one part of it, so that an odd one costs itself only.

    A value comes as `decoder` leaves it, with its path in the record.  An odd value gives its
    nearest sound reading, else None; either way its path, without places in arrays, is noted in
    `degraded`.  A path holds names of the source's fields only, never data: it labels a metric.
    What could not be read at all also puts the model's field `of` into `unknown`.  Null, a missing
    value and blank text are not odd: they are absent.
    """

    def __init__(self, *path: str | int) -> None:
        self._path = path
        self._degraded: list[str] = []
        self._unknown: list[str] = []

    def part(self, *path: str | int) -> Reading:
        """Return the reading of a part: what is odd is noted here, what is unknown only there."""
        part = Reading(*self._path, *path)
        part._degraded = self._degraded
        return part

    @property
    def degraded(self) -> tuple[str, ...]:
        """The paths of odd values: "packages[].carrier"."""
        return tuple(self._degraded)

    @property
    def unknown(self) -> frozenset[str]:
        """Fields of the model that could not be read."""
        return frozenset(self._unknown) if self._unknown else ALL_KNOWN

    def odd(self, *path: str | int, of: str = "") -> None:
        """Note an odd value; with `of`, that nothing could be read for this field of the model."""
        names = ["[]" if isinstance(one, int) else f".{one}" for one in (*self._path, *path)]
        self._degraded.append("".join(names).removeprefix("."))
        if of:
            self._unknown.append(of)

    def text(self, value: object, *path: str | int, of: str = "") -> str | None:
        """Return a text; of a number its digits, of anything else None."""
        if value is None or isinstance(value, str):
            return value if value and not value.isspace() else None
        number = self.id(value, *path, of=of)
        if number is not None:
            self.odd(*path)
        return number

    def id(self, value: object, *path: str | int, of: str = "") -> str | None:
        """Return a text that may as well be a number."""
        if value is None or isinstance(value, str):
            return value or None
        if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
            value = int(value) if abs(value.adjusted()) < DIGITS_MAX else None
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**DIGITS_MAX:
            return str(value)
        self.odd(*path, of=of)
        return None

    def quantity(self, value: object, *path: str | int) -> str | None:
        """Return a quantity as the model spells it; None, and odd, where none can be read."""
        if type(value) is int and 0 <= value < SURELY_SHORT:
            return str(value)
        try:
            return quantity(value)
        except ValueError:
            self.odd(*path)
            return nearest_quantity(value)

    def instant(self, value: object, *path: str | int, of: str = "") -> datetime | None:
        """Return an instant in UTC; one that stands for "not set" is odd, and absent."""
        found = _usual_instant(value)
        return found if found is not None else self._dated(read_instant, value, *path, of=of)

    def moment(self, value: object, *path: str | int, of: str = "") -> str | None:
        """Return an instant as UTC text; of a local time its date, since no zone makes it one.

        One that stands for "not set" is odd, and absent.
        """
        found = _usual_instant(value)
        return iso(found) if found is not None else self._dated(read_moment, value, *path, of=of)

    def departure(
        self, value: object, observed_at: datetime, *path: str | int, of: str = ""
    ) -> tuple[str | None, bool]:
        """Return when a package left, as `moment` gives it, and whether that lies ahead.

        A label can be made days in advance.  What lies more than `DEPARTURE_AHEAD_MAX` ahead of
        the observation is odd, and absent.
        """
        found = self.moment(value, *path, of=of)
        if found is None:
            return None, False
        if len(found) == DATE_LENGTH:
            today = observed_at + ZONE_AHEAD_MAX
            ahead = date.fromisoformat(found) - today.date()
        else:
            ahead = parse_instant(found) - observed_at
        if ahead > DEPARTURE_AHEAD_MAX:
            self.odd(*path)
            return None, False
        return found, ahead > UNDER_WAY

    def trackings(
        self,
        numbers: object,
        urls: object = None,
        *,
        at: Sequence[str | int],
        urls_at: Sequence[str | int] = (),
    ) -> tuple[Tracking, ...]:
        """Return the trackings of a field and the URLs beside it, as `read_trackings` does.

        `at` and `urls_at` are their paths.  What cannot be read makes `trackings` unknown.
        """
        if numbers is None and urls is None:
            return ()
        if type(numbers) is str and urls is None and numbers.isascii() and numbers.isalnum():
            return _of_plain_number(numbers)
        try:
            links = [link for one in listed(urls) for link in links_of(one)]
        except ValueError:
            self.odd(*urls_at)
            links = []
        try:
            found = read_trackings(numbers, links or None)
        except ValueError:
            self.odd(*at, of="trackings")
            return ()
        if numbers is not None and not isinstance(numbers, str | list):
            self.odd(*at)
        return found

    def status(self, value: object, known: Statuses[S], *path: str | int) -> S | None:
        """Return what a status word means; None, and odd, for one that is not documented.

        The word itself is counted with its path, as far as it looks like one.
        """
        if value is None or value == "":
            return None
        found = known.get(value) if isinstance(value, str) else None
        if found is None:
            word = plain(value)[:STATUS_LENGTH_MAX] if isinstance(value, str) else ""
            self.odd(*path, *([word] if word.isascii() and word.isalnum() else ()))
        return found

    def _dated(
        self, read: Callable[[object], D | None], value: object, *path: str | int, of: str
    ) -> D | None:
        """Note what is no ordinary date: one for "not set" is absent, an unreadable one unknown."""
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        try:
            found = read(value)
        except ValueError:
            self.odd(*path, of=of)
            return None
        if found is None or not isinstance(value, str):
            self.odd(*path)
        return found


class Leaves:
    """What becomes of each value of a record, so that none is lost unseen.

    Written as `path=field of the model`, words apart: `mapped` as it is, `derived` by a rule.  What
    is `kept` stands in the raw record only.  `[]` is any place of an array, `*` whatever there is.
    """

    def __init__(self, *, mapped: str, derived: str = "", kept: str = "") -> None:
        kinds = {"mapped": mapped, "derived": derived, "kept": kept}
        self._paths = [
            (kind, re.compile(re.escape(word.partition("=")[0]).replace(r"\*", ".*")))
            for kind, words in kinds.items()
            for word in words.split()
        ]

    def kind(self, path: str) -> str | None:
        """mapped, derived or kept, by the first that fits; None for what nobody has thought of."""
        return next((kind for kind, found in self._paths if found.fullmatch(path)), None)


class Mapper(Protocol):
    """What each module of `mappers/` is; its file name is the source's id."""

    LEAVES: Leaves

    def map(self, raw: bytes, provenance: Provenance) -> Snapshot:
        """What the record shows.  Raises Unmappable."""


def decoded(decoder: msgspec.json.Decoder[T], raw: bytes) -> T:
    """The record as the decoder's type.  Raises Unmappable with the path of the trouble.

    A text that was cut in the middle of a surrogate pair is read with U+FFFD at its end.
    """
    try:
        return _legible(decoder, raw)
    except msgspec.DecodeError as error:  # ValidationError is one
        found = _PATH.match(str(error))
        reason, path = (found["reason"], found["path"]) if found else (str(error), None)
        raise Unmappable(reason, path or "$") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise Unmappable(f"not readable as JSON: {error}", "$") from error


def decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    """Return a decoder that gives every number exactly: an int, or else a Decimal."""
    return msgspec.json.Decoder(kind, float_hook=_number)


def version(value: object, *path: str | int) -> datetime | None:
    """Return the instant that orders a record; None for null and for what stands for no date.

    Raises Unmappable with `path`.
    """
    found = _usual_instant(value)
    if found is not None:
        return found
    try:
        return read_instant(value)
    except ValueError as error:
        raise Unmappable(f"{error!s:.199}", where(*path)) from error


def where(*path: str | int) -> str:
    """The parts of a path as one: "packages", 0, "tracking" is $.packages[0].tracking."""
    return "$" + "".join([f"[{one}]" if isinstance(one, int) else f".{one}" for one in path])


def ids(**by_kind: str | None) -> tuple[UpstreamId, ...]:
    """Return the ids that a source gives a package, by kind, the best kind first.

    A kind is one namespace of one source ("package_id", "sscc"): two packages with different ids of
    one kind are two packages, ids of different kinds say nothing about each other.
    """
    return tuple([UpstreamId(kind, one) for kind, one in by_kind.items() if one is not None])


def verbatim(told: msgspec.Raw, *path: str | int) -> msgspec.Raw:
    """An object of the source's own, its numbers to the last digit, keys sorted; else null.

    The same in another spelling is the same here, so that it is no change.  Raises Unmappable.
    """
    if bytes(told).lstrip()[:1] != b"{":
        return NULL
    try:
        return msgspec.Raw(_EXACT_ENCODER.encode(_EXACT_DECODER.decode(told)))
    except (msgspec.DecodeError, ArithmeticError, ValueError, RecursionError) as error:
        raise Unmappable(f"it holds what no program can: {error!r}", where(*path)) from error


def tracking(number: str | None, url: str | None = None) -> tuple[Tracking, ...]:
    """Return no or one tracking; blank text is as good as null."""
    return read_trackings(number, url)


def _of_plain_number(number: str) -> tuple[Tracking, ...]:
    if is_placeholder(number):
        return ()
    return (Tracking(number=number, number_normalized=number.upper()),)


@lru_cache(maxsize=NAMES_CACHED_MAX)
def carrier(name: str | None, code: str | None = None) -> Carrier | None:
    """The carrier with our code where its name or code is a known one."""
    name, code = _told(name), _told(code)
    if name is None and code is None:
        return None
    return Carrier(code=code_of(name) or code_of(code), name_raw=name, code_raw=code)


def _legible(decoder: msgspec.json.Decoder[T], raw: bytes) -> T:
    try:
        return decoder.decode(raw)
    except msgspec.DecodeError:
        legible = without_lone_surrogates(raw)
        if legible == raw:
            raise
    return decoder.decode(legible)


def _usual_instant(value: object) -> datetime | None:
    """Return an instant in the usual spelling; None for every other value, which costs more."""
    if type(value) is not str:
        return None
    try:
        found = parse_instant(value)
    except ValueError:
        return None
    return found if FIRST_YEAR <= found.year < LAST_YEAR else None


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except ArithmeticError:  # an exponent that no Decimal holds
        return Decimal("NaN")


def _told(text: str | None) -> str | None:
    return (text.strip() or None) if text else None
