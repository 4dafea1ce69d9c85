"""The base of every record: frozen models, canonical JSON, instants, quantities, versions."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, Inexact, InvalidOperation
from typing import Annotated, Any

import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
)

_spelled = msgspec.json.Encoder().encode

SCHEMA_MAJOR = 1
SCHEMA_VERSION = "1.0"
_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str
)
QUANTITY_SCALE_MAX = 6
# A pair is consumed whole and so is every other escape, so that what is left over is alone.
_ESCAPES = re.compile(
    rb"\\u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}"
    rb"|(?P<alone>\\u[dD][89a-fA-F][\da-fA-F]{2})|\\.",
    re.DOTALL,
)
_SHORTEST = re.compile(r"(?:0|[1-9]\d{0,17})(?:\.\d{0,5}[1-9])?", re.ASCII)
SURELY_SHORT = 10**18
QUANTITY_LENGTH_MAX = 40  # characters; keeps "1e999999" from becoming a megabyte of zeros
# What Decimal itself reads is more: "1_000", digits of other scripts, "Infinity".
_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,9})?\s*", re.ASCII)
# Arithmetic on quantities: exact or an ArithmeticError, while the default context rounds.
EXACT = Context(prec=200, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact, InvalidOperation])


class Message(BaseModel):
    """A frozen value.  Unknown fields are ignored, so a reader survives a newer minor version."""

    model_config = ConfigDict(frozen=True, extra="ignore", serialize_by_alias=True)

    def to_json(self) -> bytes:
        """UTF-8 JSON, fields in declared order: equal values give equal bytes."""
        return self.model_dump_json().encode()


class StateRecord(Message):
    """A record that outlives the process that wrote it."""

    schema_version: str = SCHEMA_VERSION

    @field_validator("schema_version")
    @classmethod
    def _refuse_newer_major(cls, value: str) -> str:
        return readable_version(cls.__name__, value)


def readable_version(name: str, version: str) -> str:
    """The version as it is.  Raises ValueError when a record `name` is of a newer major."""
    major = version.split(".", 1)[0]
    if not major.isdigit() or int(major) > SCHEMA_MAJOR:
        raise ValueError(
            f"{name} has schema_version {version!r}; this build reads major "
            f"{SCHEMA_MAJOR}: upgrade every copy of this service before any writes the new one"
        )
    return version


class _Versioned(msgspec.Struct):
    """All that is asked of a record that cannot be read."""

    schema_version: str = ""


def newer_version(value: bytes) -> str:
    """The schema_version of a record of a newer major than this build reads; else ""."""
    try:
        version = msgspec.json.decode(value, type=_Versioned).schema_version
    except ValueError:
        return ""
    major = version.split(".", 1)[0]
    return version if major.isdigit() and int(major) > SCHEMA_MAJOR else ""


def canonical_json(value: Any) -> bytes:
    """The one spelling that hashes are taken over: sorted keys, no spaces, UTF-8."""
    return _CANONICAL.encode(value).encode()


def digest(value: Any) -> str:
    """sha256 of the canonical JSON, 64 hex characters."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def quantity(value: object) -> str:
    """A decimal string in its shortest plain form: "3", "2.5"; never a float, never rounded.

    Raises ValueError for floats, negative, non-finite or over-precise values.
    """
    if type(value) is int and 0 <= value < SURELY_SHORT:
        return str(value)
    if isinstance(value, bool | float) or not isinstance(value, int | str | Decimal):
        raise ValueError(f"quantity {value!r} is not a decimal string or an integer")
    if isinstance(value, str):
        if _SHORTEST.fullmatch(value):
            return value
        if not _NUMBER.fullmatch(value):
            raise ValueError(f"quantity {value!r} is not a decimal number")
    try:
        number = EXACT.create_decimal(value.strip() if isinstance(value, str) else value)
    except (ArithmeticError, ValueError) as error:
        raise ValueError(f"quantity {value!r:.99} has too many digits or is none") from error
    if not number.is_finite() or number < 0:
        raise ValueError(f"quantity {value!r} must be finite and not negative")
    if abs(number.adjusted()) > QUANTITY_LENGTH_MAX:
        raise ValueError(f"quantity {value!r} is out of range")
    number = number.normalize(EXACT)
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -QUANTITY_SCALE_MAX:
        raise ValueError(f"quantity {value!r} has more than {QUANTITY_SCALE_MAX} decimal places")
    return f"{number:f}"


def _utc(value: datetime) -> datetime:
    if value.tzinfo is UTC:
        return value
    if value.tzinfo is None:
        raise ValueError(f"instant {value.isoformat()} has no time zone")
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"instant {value.isoformat()} leads out of the calendar") from error


Instant = Annotated[datetime, AfterValidator(_utc)]
# A local date without a zone stays a date: no instant is made of it.
Moment = Instant | date
Quantity = Annotated[
    str,
    BeforeValidator(quantity),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^(0|[1-9]\d*)(\.\d{0,5}[1-9])?$",
            "description": "decimal string",
        }
    ),
]
Name = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")]
Headers = Mapping[str, bytes | None]  # Kafka allows null


def without_lone_surrogates(text: bytes) -> bytes:
    """JSON with each escaped half of a surrogate pair as U+FFFD; its length stays.

    Sources cut texts in the middle of an emoji; no strict parser takes what is left of it.
    """
    return _ESCAPES.sub(lambda found: rb"\ufffd" if found["alone"] else found[0], text)


def present(headers: Headers) -> dict[str, bytes]:
    """Headers without those whose value is null: null says as much as no header."""
    return {name: value for name, value in headers.items() if value is not None}


def iso(instant: datetime) -> str:
    """RFC 3339 in UTC with microseconds only where there are any: 2026-01-02T03:04:05Z."""
    # isoformat takes five times as long.
    return _spelled(_utc(instant))[1:-1].decode()


def parse_instant(text: str) -> datetime:
    """An RFC 3339 / ISO 8601 instant with a zone.  Raises ValueError with the text in it."""
    try:
        return _utc(datetime.fromisoformat(text))
    except ValueError as error:
        raise ValueError(f"{text!r} is not an ISO 8601 instant with a time zone") from error
