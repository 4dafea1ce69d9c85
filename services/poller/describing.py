"""What is known of each system, told by its source module itself.  Pure.

Streams depend on settings, so each is described with settings made up from the model: a needed key
takes its field's own example, the first of its choices, or its name; a secret stays hidden.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from bus.settings import checked
from services.poller.settings import HIDDEN, is_secret
from services.poller.source import AccountSettings, Facts, Rate
from services.poller.sources import Source

START_FROM = "2026-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class StreamKnown:
    """A stream: `only` says with which setting it is there, "" with the defaults.

    `reads`: a list, a list of parents, by id or by parent, at most so many records or ids
    `at_once`.  Seconds; 0: once.
    """

    name: str
    resource: str
    reads: str
    interval_seconds: float
    interval_seconds_max: float
    at_once: int
    weight: int
    rewinds: bool
    only: str


@dataclass(frozen=True, slots=True)
class Known:
    """A system.  `refreshes` are the resources of which one record can be read again.

    `settings` are the names of its own keys beside those of every account.
    """

    name: str
    about: str
    rate: Rate
    logs_in: bool
    settings: tuple[str, ...]
    streams: tuple[StreamKnown, ...]
    resources: tuple[str, ...]
    refreshes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def known(source: Source) -> Known:
    """All that a source module says."""
    settings = example(source)
    streams: dict[str, StreamKnown] = {}
    for only, variant in _variants(source):
        for stream in source.streams(variant):
            streams.setdefault(stream.facts.name, _stream(stream.facts, only))
    resources = tuple(dict.fromkeys(one.resource for one in streams.values()))
    return Known(
        source.name,
        source.about,
        source.rate,
        source.login(settings) is not None,
        tuple(own_settings(source.settings)),
        tuple(streams.values()),
        resources,
        tuple(one for one in resources if source.by_id(settings, one) is not None),
    )


def example(source: Source, **over: object) -> AccountSettings:
    """Settings that could be: nothing in them is true but the defaults."""
    fields = source.settings.model_fields.items()
    table = {name: _example(name, field) for name, field in fields if field.is_required()}
    table |= {"source": source.name, "name": "example", **over}
    return checked(source.settings, table, f"an example of {source.name}:")


def own_settings(model: type[AccountSettings]) -> dict[str, FieldInfo]:
    """The keys that accounts of this system have beside, or other than, those of every account."""
    common = AccountSettings.model_fields
    return {
        name: field
        for name, field in model.model_fields.items()
        if name not in common or repr(field) != repr(common[name])
    }


def _variants(source: Source) -> Iterator[tuple[str, AccountSettings]]:
    """The defaults, then with history, then each other choice of each setting that has choices."""
    yield "", example(source)
    if source.settings.takes("start_from"):
        yield "start_from", example(source, start_from=START_FROM)
    for name, field in own_settings(source.settings).items():
        for choice in _choices(field):
            if choice != field.default:
                yield f'{name} = "{choice}"', example(source, **{name: choice})


def _choices(field: FieldInfo) -> tuple[Any, ...]:
    return get_args(field.annotation) if get_origin(field.annotation) is Literal else ()


def _example(name: str, field: FieldInfo) -> object:
    if is_secret(field):
        return HIDDEN
    if name == "base_url":
        return "https://upstream.example"
    return next(iter([*(field.examples or ()), *_choices(field)]), name)


def _stream(facts: Facts, only: str) -> StreamKnown:
    return StreamKnown(
        name=facts.name,
        resource=facts.resource,
        reads=_reads(facts),
        interval_seconds=facts.interval_seconds,
        interval_seconds_max=max(facts.interval_seconds, facts.interval_seconds_max),
        at_once=facts.ids_max or facts.page_size,
        weight=facts.weight,
        rewinds=facts.rewinds,
        only=only,
    )


def _reads(facts: Facts) -> str:
    if facts.ids_max:
        return f"by {facts.parents or 'id'}"
    return f"list of {facts.parents}" if facts.parents else "list"
