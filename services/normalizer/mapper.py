"""The contract of a mapper: one upstream record in, what it shows of a fulfillment out.

A record is set aside only when its identity, its version or its shape cannot be read.  Every other
odd value is read as nearly as possible or is unknown: see `Reading`.

Pure: no state, no clock, no Kafka.  Which package is which, what is new and what has been told
already are decided later (`identity`, `merge`, `diff`).  A mapper builds on this file, `model`,
`schemas`, msgspec and the standard library, nothing else.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Protocol, TypeVar

import msgspec

from bus.errors import SetAside
from schemas.fulfillment import LEFT, FulfillmentStatus, PackageStatus, Scope
from schemas.message import SURELY_SHORT, iso, parse_instant, quantity, without_lone_surrogates
from schemas.raw import Provenance
from services.normalizer.carriers import NAMES_CACHED_MAX, code_of
from services.normalizer.model import NULL, Carrier, LineItem, OrderRef, Tracking, UpstreamId

PACKAGES_MAX = 1000  # in one fulfillment; pairing compares them with each other
DATE_LENGTH = len("2026-03-01")

DIGITS_MAX = 200  # of a number that is read as text
ALL_KNOWN: frozenset[str] = frozenset()
# Platforms write the first instant their type can hold for a date that is not set.
EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
UNSET_DATE_NUMBERS = (0, -62135596800)
UNSET_DATE_TEXTS = ("0000-", "0001-")  # as far as no calendar holds them

_EXACT_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_EXACT_ENCODER = msgspec.json.Encoder(decimal_format="number", order="sorted")
_NOT_IN_NUMBERS = re.compile(r"[\s.\-\u2010-\u2015]+")
_PATH = re.compile(r"^(?P<reason>.*?)(?: - at `(?P<path>.*)`)?$", re.DOTALL)

T = TypeVar("T")


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
            return None

    def instant(self, value: object, *path: str | int, of: str = "") -> datetime | None:
        """Return an instant in UTC; one that stands for "not set" is odd, and absent."""
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        if isinstance(value, str):
            try:
                found = parse_instant(value)
            except ValueError:
                pass
            else:
                if found >= EARLIEST:
                    return found
                value = found
        self._no_date(value, *path, of=of)
        return None

    def moment(self, value: object, *path: str | int, of: str = "") -> str | None:
        """Return an instant as UTC text; of a local time its date, since no zone makes it one.

        One that stands for "not set" is odd, and absent.
        """
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        if isinstance(value, str):
            try:
                found = datetime.fromisoformat(value)
                if found.year > EARLIEST.year or found.date() >= EARLIEST.date():
                    return iso(found) if found.tzinfo else found.date().isoformat()
                value = found
            except (ValueError, OverflowError):
                pass
        self._no_date(value, *path, of=of)
        return None

    def _no_date(self, value: object, *path: str | int, of: str) -> None:
        """Note what is no date: one that stands for "not set" is absent, anything else unknown."""
        if isinstance(value, str):
            unset = value.startswith(UNSET_DATE_TEXTS)
        else:
            unset = isinstance(value, datetime) or value in UNSET_DATE_NUMBERS
        self.odd(*path, of="" if unset and value is not False else of)


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


def version(text: object, *path: str | int) -> datetime | None:
    """Return the instant that orders a record, null as it is.  Raises Unmappable with `path`."""
    if text is None:
        return None
    if not isinstance(text, str):
        raise Unmappable(f"{text!r:.99} is not an ISO 8601 instant", where(*path))
    try:
        return parse_instant(text)
    except ValueError as error:
        raise Unmappable(str(error), where(*path)) from error


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
    """No or one tracking: blank text is as good as null."""
    number, url = _told(number), _told(url)
    if number is None and url is None:
        return ()
    normalized = normalized_number(number) if number else None
    return (Tracking(number=number, number_normalized=normalized, url=url),)


@lru_cache(maxsize=NAMES_CACHED_MAX)
def carrier(name: str | None, code: str | None = None) -> Carrier | None:
    """The carrier with our code where its name or code is a known one."""
    name, code = _told(name), _told(code)
    if name is None and code is None:
        return None
    return Carrier(code=code_of(name) or code_of(code), name_raw=name, code_raw=code)


def normalized_number(number: str) -> str:
    """For comparing only: NFKC, upper case, no spaces, hyphens, dots; leading zeros stay."""
    if number.isascii() and number.isalnum():
        return number.upper()
    return _NOT_IN_NUMBERS.sub("", unicodedata.normalize("NFKC", number)).upper()


def _legible(decoder: msgspec.json.Decoder[T], raw: bytes) -> T:
    try:
        return decoder.decode(raw)
    except msgspec.DecodeError:
        legible = without_lone_surrogates(raw)
        if legible == raw:
            raise
    return decoder.decode(legible)


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except ArithmeticError:  # an exponent that no Decimal holds
        return Decimal("NaN")


def _told(text: str | None) -> str | None:
    return (text.strip() or None) if text else None
