"""`shipfeed api-keys`: who may use the notifier's API."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

import typer

from bus.admin import ensure_topics
from bus.clock import SystemClock
from bus.errors import Misuse
from bus.settings import KafkaSettings
from bus.table import read_to_end
from console.commands.options import (
    ConfigOption,
    JsonOption,
    KafkaOption,
    kafka_settings,
    say,
    show,
    wait_for,
)
from console.unreadable import report
from schemas.api_key import ApiKey, Scope
from schemas.message import iso
from schemas.topics import SUBSCRIPTIONS
from services.notifier.api_keys import DAYS_MAX, NAME_PATTERN, minted_key
from services.notifier.known import Known
from services.notifier.subscriptions import SubscriptionStore

NAME = "api-keys"
COLUMNS = ("id", "name", "scope", "created_at", "expires_at")
ScopeOption = Annotated[Scope, typer.Option("--scope", help="admin: all; read: GET alone")]
DaysOption = Annotated[
    int, typer.Option("--days", min=0, max=DAYS_MAX, help="until it expires; 0: never")
]

app = typer.Typer(
    help="List, create and revoke the keys of the notifier's API.", no_args_is_help=True
)


@app.command("list")
def list_keys(
    config: ConfigOption = None, kafka: KafkaOption = "", json: JsonOption = False
) -> None:
    """Every key that was not revoked, expired ones too; none: only this machine is let in."""
    keys = wait_for(_keys(kafka_settings(config, kafka)))
    rows = [[getattr(key, name) for name in COLUMNS] for key in keys]
    show("API keys", COLUMNS, rows, as_json=json)


@app.command("create")
def create(  # noqa: PLR0917 - typer calls it by name
    name: Annotated[str, typer.Argument(help="who it is for")],
    scope: ScopeOption = "admin",
    days: DaysOption = 0,
    config: ConfigOption = None,
    kafka: KafkaOption = "",
    json: JsonOption = False,
) -> None:
    """Make a key, shown this once; once there is one, nobody gets in without."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise Misuse(f"{name!r} is no name for a key: letters, digits, space and ._@-, at most 64")
    now = SystemClock().now()
    expires_at = now + timedelta(days=days) if days else None
    key, text = minted_key(name, scope, created_at=now, expires_at=expires_at)
    wait_for(_create(kafka_settings(config, kafka), key))
    until = f", until {iso(expires_at)}" if expires_at else ""
    told = {"id": key.id, "name": name, "scope": scope, "expires_at": expires_at, "key": text}
    line = f"{key.id} ({name}, {scope}{until}); it is not shown again:\n{text}"
    say([(line, told)], as_json=json)


@app.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(help="its id, as `shipfeed api-keys list` tells")],
    force: Annotated[bool, typer.Option("--force", help="revoke the last admin key, too")] = False,
    config: ConfigOption = None,
    kafka: KafkaOption = "",
    json: JsonOption = False,
) -> None:
    """Let a key in no more."""
    store = SubscriptionStore(kafka_settings(config, kafka), SystemClock())
    wait_for(store.revoke_api_key(key, force=force))
    say([(f"{key}: revoked, whichever copy is asked", {"id": key, "revoked": True})], as_json=json)


async def _create(kafka: KafkaSettings, key: ApiKey) -> None:
    """The first key may come before any service."""
    clock = SystemClock()
    await ensure_topics(kafka, clock)
    await SubscriptionStore(kafka, clock).add_api_key(key)


async def _keys(kafka: KafkaSettings) -> list[ApiKey]:
    known = Known()

    def take(key: str, value: bytes | None) -> None:
        try:
            known.take(key, value)
        except ValueError as error:
            report(SUBSCRIPTIONS, f"the record of key {key!r}", error)

    await read_to_end(kafka, kafka.topic(SUBSCRIPTIONS), 0, take)
    return sorted(known.api_keys.values(), key=lambda key: key.created_at)
