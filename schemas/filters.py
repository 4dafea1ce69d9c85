"""Filters over events: the dialects of the CloudEvents Subscriptions API 0.1, section 3.2.4.1.

A path is an attribute of the event (`type`, `source`, `subject`, ...) or leads into its data,
`data.package.carrier.code`; on the way every element of a list is looked at.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from schemas.message import Message

Comparisons = Annotated[dict[str, str], Field(min_length=1, max_length=64)]


class _Dialect(Message):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Exact(_Dialect):
    """Each path has exactly this text."""

    exact: Comparisons


class Prefix(_Dialect):
    """Each path's text begins so."""

    prefix: Comparisons


class Suffix(_Dialect):
    """Each path's text ends so."""

    suffix: Comparisons


class All(_Dialect):
    """Every one of these holds."""

    all: tuple[Filter, ...] = Field(min_length=1)


class Any(_Dialect):
    """At least one of these holds."""

    any: tuple[Filter, ...] = Field(min_length=1)


class Not(_Dialect):
    """This does not hold."""

    not_: Filter = Field(alias="not")


Filter = Exact | Prefix | Suffix | All | Any | Not
