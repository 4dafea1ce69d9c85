"""What is known of a system is what its module says."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
from pydantic import Field, SecretStr

from services.poller.describing import example, known
from services.poller.source import AccountSettings, Secret
from services.poller.sources import sources


class Demanding(AccountSettings):
    """A system that needs a good deal."""

    key: Secret = Field(description="env:NAME or file:PATH")
    role: Literal["buyer", "seller"]
    shop: str = Field(pattern=r"^[a-z]+$", examples=["acme"])
    username: str


@pytest.mark.parametrize("name", sources())
def test_every_system_describes_itself(name: str) -> None:
    """Its text, at least one stream, and its own settings; nobody has to be asked for a secret."""
    found = known(sources()[name])

    assert found.about.strip()
    assert found.streams
    assert set(found.refreshes) <= set(found.resources)
    assert {"base_url"} <= set(found.settings) <= set(sources()[name].settings.model_fields)


def test_settings_that_are_needed_are_made_up() -> None:
    """By the field's own example, the first of its choices, or its name; never a secret's value."""
    made = example(replace(sources()["zentail"], settings=Demanding))

    assert isinstance(made, Demanding)
    assert (made.role, made.shop, made.username) == ("buyer", "acme", "username")
    assert made.key == SecretStr("-")


def test_a_stream_that_a_setting_brings_is_told_with_it() -> None:
    """Each choice is tried, so no stream stays unknown."""
    only = {one.name: one.only for one in known(sources()["zentail"]).streams}

    assert only == {
        "head": "",
        "settle": "",
        "planned": "",
        "backfill": "start_from",
        "listing": 'mode = "per_order"',
        "orders": 'mode = "per_order"',
    }
