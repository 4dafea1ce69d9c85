"""THE CONTRACT between the loop and a source: data and pure answers, no waiting, no Kafka.

A source is a module in `sources/`; its file name is its id.  It has `Settings` (its keys of an
`[[accounts]]` table), `RATE` and `streams(settings)`; where there is a login `login(settings)`;
where one record can be read `by_id(settings, resource)`, a stream that reads by id, or by parent.
It answers only: given cursor and now, which request is next, which records are in this response,
which cursor follows.  HTTP policy, schedule, budget and writing belong to the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Protocol
from urllib.parse import SplitResult, urlsplit

import msgspec
from pydantic import BeforeValidator, Field, SecretStr, ValidationInfo, model_validator

from bus.settings import Settings, secret
from schemas.cursor import Cursor
from schemas.message import Instant, Name

Sweep = dict[str, Any]
"""Progress of a pass over pages, in the source's own JSON; stored in the cursor record."""

HEAD_WEIGHT, SETTLE_WEIGHT, WATCH_WEIGHT, BACKFILL_WEIGHT = 8, 4, 2, 1


class Unreadable(Exception):
    """A page that cannot be parsed: asked for again.  The text says what was expected."""


class Repeated(Unreadable):
    """A page that brings nothing new at the same place, so that the pass would never end: asked
    for again a few times, then the stream stops.  The text says what came again.
    """


class Refused(Exception):
    """An answer that must not be followed: the stream stops.  The text says why."""


def _resolved(value: object, info: ValidationInfo) -> SecretStr:
    if isinstance(value, SecretStr):  # no file can write one; see settings.without_secrets
        return value
    return SecretStr(secret(str(value), str(info.field_name)))


Secret = Annotated[SecretStr, BeforeValidator(_resolved)]
"""Written as `env:NAME` or `file:PATH`, held as the secret itself, never shown."""


class AccountSettings(Settings):
    """What every `[[accounts]]` table may say.

    `without` names settings that do nothing for a system, each with the reason; they are refused.
    """

    without: ClassVar[Mapping[str, str]] = {}

    source: str = Field(description="the upstream system, a file name in services/poller/sources")
    name: Name = Field(description="our name of the account, part of every key")
    base_url: str = Field(pattern=r"^https?://[^/?#@]+[^?#]*$", description="of the vendor's API")
    start_from: Instant | None = Field(None, description="read history from here; none: from now")
    poll_interval_seconds: float = Field(
        120, ge=0.2, le=900, description="between two polls that bring something"
    )
    poll_interval_seconds_max: float = Field(
        300, ge=0.2, le=900, description="what the interval grows to while nothing changes"
    )
    lookback_seconds: float = Field(60, ge=0, le=86_400, description="overlap of two polls")
    settle_interval_seconds: float = Field(3600, ge=0.2, le=86_400)
    settle_horizon_hours: float = Field(48, ge=0, le=24 * 30)
    accept_new_cursor: bool = Field(
        False, description="a stream whose settings changed under its cursor starts over"
    )

    @model_validator(mode="before")
    @classmethod
    def _does_something(cls, keys: Any) -> Any:
        for name, reason in cls.without.items():
            if isinstance(keys, Mapping) and name in keys:
                raise ValueError(f"{name} does nothing here: {reason}; remove it")
        return keys

    @classmethod
    def takes(cls, name: str) -> bool:
        """Whether this is the name of a setting that does something."""
        return name in cls.model_fields and name not in cls.without

    @property
    def watched(self) -> bool:
        """Whether records that no list would show are read again for days."""
        return False

    @property
    def label(self) -> str:
        """`source/name`."""
        return f"{self.source}/{self.name}"


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: a GET, or a POST of a JSON `body` that changes nothing.

    Headers carry the credential and are never shown.
    """

    url: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    method: Literal["GET", "POST"] = "GET"
    body: bytes = b""

    @property
    def origin(self) -> str:
        """The URL without its query: what a dead letter names."""
        return self.url.split("?", 1)[0]


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; header names in lower case, `requested_at` the instant its request started.

    `limit`: for how many records it was asked, once the loop has understood it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    requested_at: datetime
    limit: int = 0


@dataclass(frozen=True, slots=True)
class Token:
    """What a login gave; kept in memory only."""

    access: str = field(repr=False)
    refresh: str = field(default="", repr=False)


class Login(Protocol):
    """How a credential is exchanged for a token that runs out.

    The streams' requests go without one; the loop signs them and renews it once after a 401.
    """

    def log_in(self) -> Request:
        """The exchange."""

    def refresh(self, token: Token) -> Request | None:
        """A new token for an old one; None where only a login gives one."""

    def token(self, response: Response) -> Token:
        """What an answer of either that means 200 gave.  Raises Unreadable, Refused."""

    def signed(self, request: Request, token: Token) -> Request:
        """The request with its credential."""


@dataclass(frozen=True, slots=True)
class Failure:
    """No usable answer; `login`: the credential was not exchanged for a token."""

    kind: Literal["timeout", "connection", "unreadable", "repeated", "too_large", "login"]
    detail: str


@dataclass(frozen=True, slots=True)
class Due:
    """When to read something by its id, and which stream does."""

    stream: str
    in_seconds: float


class Found(msgspec.Struct, frozen=True, gc=False):
    """One record, `body` its bytes as they stood in the page.

    `updated_at` is the source's own version, where it has one; `due` when it is to be read again
    by its id, None when lists bring its changes.  `history`: it was there before the account was
    connected, where `updated_at` cannot tell.  `again`: lists may bring it again however old it is,
    so it is remembered.  `options` go with it to its mapper, beside those of its stream.  `departs`
    are its ship times: once one of them has passed, it goes on raw again though it is unchanged.
    """

    upstream_id: str
    body: bytes
    updated_at: datetime | None = None
    due: Due | None = None
    history: bool = False
    again: bool = False
    options: frozenset[str] = frozenset()
    departs: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class Parent:
    """What records are read by where no list brings them: an order, for its fulfillments.

    A list that finds it gives its `body`: one that is new or changed becomes due.  The stream that
    has read its records gives `read_at`, the `requested_at` of its first answer, and when it is
    due again; what a list found touched since then stays due.
    """

    id: str
    due: Due | None = None
    body: bytes | None = field(default=None, repr=False)
    read_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """One record that cannot be read; "": no id, no record in `body` (path), the stream's own
    (resource), where the page came from (origin).
    """

    upstream_id: str
    path: str
    reason: str
    body: bytes = field(repr=False)
    resource: str = ""
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """What a response held and the progress to store with it.

    `sweep` None: the pass is complete and `position` (None: unchanged) is where the next begins;
    `done`: the stream has nothing to do ever again.  `refused`: asked for by id and not given, so
    it stays due and is asked for again later; each has no `path`.
    """

    found: tuple[Found, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    sweep: Sweep | None = None
    position: str | None = None
    done: bool = False
    parents: tuple[Parent, ...] = ()
    refused: tuple[Rejected, ...] = ()

    @property
    def only_refused(self) -> bool:
        """Whether nothing else is in it."""
        return bool(self.refused) and not (self.found or self.rejected or self.parents)


def status_of(response: Response) -> int:
    """The status as it was sent."""
    return response.status


@dataclass(frozen=True, slots=True)
class Facts:
    """What the loop has to know about a stream.

    `ids_max` 0: a list; else it reads what is due for it by id, so many a request.  `parents`
    names the resource of the parents it finds or reads by, if any; a list that finds them `feeds`
    the stream that reads them.  `interval_seconds` grows to `interval_seconds_max` while nothing
    changes.  `fingerprint` covers the settings that give the position its meaning.  `rewinds`: its
    position is an instant as schemas.message.iso writes it, so an operator may set it.  `volatile`
    names top-level fields that change without a fact.  `meaning` is the status an answer should
    have had: some upstreams say 500 to everything; 200 leaves the answer to `read`, and 401 says
    that the account is refused, not what was asked for.  `options` are the account's settings that
    its mapper has to know.
    """

    name: str
    resource: str
    weight: int
    interval_seconds: float
    fingerprint: str
    page_size: int = 100
    ids_max: int = 0
    interval_seconds_max: float = 0.0
    parents: str = ""
    feeds: str = ""
    rewinds: bool = False
    volatile: frozenset[str] = frozenset()
    meaning: Callable[[Response], int] = status_of
    options: frozenset[str] = frozenset()


class Stream(Protocol):
    """One way of reading an account."""

    @property
    def facts(self) -> Facts:
        """Fixed for the life of the stream."""

    def begin(self, cursor: Cursor, now: datetime, ids: Sequence[str]) -> Sweep:
        """A new pass, or `cursor.sweep` taken up again; `ids` are the records now due, `now` is by
        the upstream's own clock, as far as its answers have told it.
        """

    def request(self, sweep: Sweep, limit: int) -> Request:
        """The next request of the pass, for at most `limit` records."""

    def read(self, sweep: Sweep, response: Response) -> Page:
        """The records of an answer that means 200.  Raises Unreadable, Refused."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What an upstream allows one credential; `shared`: all accounts of the source together.

    `in_turn`: each request only once the one before is answered.  `remaining` and `reset` are
    headers that tell what is left, and for how many seconds from now.
    """

    per_second: float
    burst: float
    shared: bool = False
    in_turn: bool = False
    remaining: str = ""
    reset: str = ""


def pinned(url: str, base_url: str) -> str:
    """`url` when it leads where the account's credential may go.  Raises Refused.

    Of another one only the host is told: the rest may repeat the credential.
    """
    try:
        there, here = urlsplit(url), urlsplit(base_url)
        host, same = there.hostname, there.username is None and _place(there) == _place(here)
    except ValueError:
        host, same = None, False
    if not same:
        raise Refused(f"the upstream points to another host: {host!r}, not {base_url}")
    return url


def _place(url: SplitResult) -> tuple[str, str | None, int]:
    port = (443 if url.scheme == "https" else 80) if url.port is None else url.port
    return url.scheme, url.hostname, port
