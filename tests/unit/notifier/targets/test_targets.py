"""The registry of targets: the folder itself."""

from __future__ import annotations

import pytest

from bus.clock import SystemClock
from bus.errors import BadConfig
from bus.settings import Config
from services.notifier.channel import Surroundings
from services.notifier.targets import open_target, systems
from services.notifier.write_backs.settings import TargetEntry, read_targets

SURROUNDINGS = Surroundings(SystemClock(), [], 1, 1, 1)


def entry(system: str) -> TargetEntry:
    """A `[[targets]]` table that says no more than it must."""
    return TargetEntry(name="shop", system=system, secret="env:KEY")


@pytest.mark.parametrize("system", ["never_heard_of", "", "__init__", "digital_river.open_target"])
def test_a_system_nobody_knows_is_refused_with_those_there_are(system: str) -> None:
    """The line names the table and the value."""
    with pytest.raises(BadConfig) as raised:
        open_target(entry(system), "key", SURROUNDINGS)

    known = ", ".join(systems())
    assert str(raised.value) == (
        f"[[targets]] shop system: {system!r} is not known; there are: {known}"
    )


@pytest.mark.parametrize("system", systems())
async def test_every_system_has_an_address_of_its_own(system: str) -> None:
    """Over TLS, where base_url is left out; nothing is dialed before something is asked."""
    target = open_target(entry(system), "key", SURROUNDINGS)
    await target.close()

    assert target.sent == 0


def test_two_tables_for_one_account_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each order would stand under two keys, and two owners could fulfill it at once."""
    monkeypatch.setenv("KEY", "sk_canary")
    monkeypatch.setenv("SAME_KEY", "sk_canary")
    tables = [
        {"name": name, "system": "digital_river", "secret": f"env:{key}"}
        for name, key in (("river", "KEY"), ("lake", "SAME_KEY"))
    ]

    with pytest.raises(BadConfig, match="lake secret: river has the same key") as raised:
        read_targets(Config({"targets": tables}))

    assert "sk_canary" not in str(raised.value)
