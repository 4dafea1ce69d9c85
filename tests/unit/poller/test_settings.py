"""`[poller]` and `[[accounts]]`, refused in one line when wrong."""

from __future__ import annotations

import os
from typing import Any

import pytest

from bus.errors import BadConfig
from bus.settings import Config
from services.poller.settings import PollerSettings, accounts
from services.poller.sources import sources

os.environ["POLLER_UNIT_TOKEN"] = "s3cret"
SECRET = "env:POLLER_UNIT_TOKEN"
INSTANT = "2026-01-01T00:00:00Z"
GOOD = {"source": "zentail", "name": "acme", "token": SECRET}
PANORA = {"source": "panora", "name": "acme", "api_key": SECRET, "connection_token": SECRET}
SHOP = {"source": "shoplazza", "name": "acme", "shop": "acme", "token": SECRET}
CLOUD = {
    "source": "tradecloud",
    "name": "acme",
    "username": "me",
    "password": SECRET,
    "role": "buyer",
}


def test_every_file_in_the_folder_is_a_source() -> None:
    """Nothing is registered by hand."""
    assert "zentail" in sources()
    assert all(source.name == name for name, source in sources().items())


def test_accounts_are_read_in_order() -> None:
    """Each by its own source's settings."""
    found = accounts(Config({"accounts": [GOOD, {**GOOD, "name": "other"}]}))
    assert [account.label for account in found] == ["zentail/acme", "zentail/other"]


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({}, "[[accounts]] source: None is not known; there are: "),
        ({**GOOD, "source": "amazon"}, "[[accounts]] source: 'amazon' is not known"),
        ({**GOOD, "tokne": "x"}, "[[accounts]] zentail/acme tokne: unknown key"),
        ({**GOOD, "name": "Acme Inc"}, "[[accounts]] zentail/Acme Inc name: "),
        ({**GOOD, "token": "plain"}, "[[accounts]] zentail/acme token: a secret may not stand"),
        (
            {**GOOD, "token": "env:NOT_THERE"},
            "token: the environment variable NOT_THERE is not set",
        ),
        ({**GOOD, "poll_interval_seconds": 901}, "zentail/acme poll_interval_seconds: "),
        ({**GOOD, "base_url": "api.example"}, "zentail/acme base_url: "),
        ({**GOOD, "start_from": "2026-01-01T00:00:00"}, "zentail/acme start_from: "),
        ({**GOOD, "mode": "push"}, "zentail/acme mode: "),
        ({**GOOD, "watch_days": 3}, "zentail/acme watch_days: unknown key"),
        ({**CLOUD, "watch_days": 3}, "tradecloud/acme watch_days: unknown key"),
        ({**PANORA, "watch_days": 3}, "panora/acme watch_days: unknown key"),
        ({**PANORA, "start_from": INSTANT}, "panora/acme: start_from does nothing here: the whole"),
        ({**PANORA, "lookback_seconds": 5}, "panora/acme: lookback_seconds does nothing here"),
        ({**SHOP, "watch_days": 0, "watch_after_seconds": [60]}, "watch_after_seconds does noth"),
    ],
)
def test_a_bad_account_is_refused_in_one_line_naming_the_key(
    table: dict[str, Any], text: str
) -> None:
    """Never with the value of a secret."""
    with pytest.raises(BadConfig) as refused:
        accounts(Config({"accounts": [table]}))
    assert text in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "plain" not in str(refused.value)


@pytest.mark.parametrize("table", [GOOD, PANORA, SHOP, CLOUD, {**SHOP, "watch_days": 0}])
def test_an_account_without_settings_that_do_nothing_is_taken(table: dict[str, Any]) -> None:
    """Defaults of what does nothing are no mistake."""
    (account,) = accounts(Config({"accounts": [table]}))
    assert account.watched == (table == SHOP)


def test_two_accounts_of_one_name_are_refused() -> None:
    """They would share cursors."""
    with pytest.raises(BadConfig, match="two accounts of this name"):
        accounts(Config({"accounts": [GOOD, GOOD]}))


def test_the_poller_has_defaults() -> None:
    """An empty section is a whole one."""
    settings = Config({}).section("poller", PollerSettings)
    assert (settings.recheck_seconds, settings.marks_max) == (900, 200_000)
