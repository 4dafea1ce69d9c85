"""`[poller]` and the `[[accounts]]` tables, each checked by the source it names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import Field, SecretStr
from pydantic.fields import FieldInfo

from bus.errors import BadConfig
from bus.settings import Config, HttpSettings, checked
from services.poller.answers import RETRY_AFTER_SECONDS_MAX
from services.poller.source import AccountSettings
from services.poller.sources import sources
from services.poller.steering import one_account

HIDDEN = SecretStr("-")


class PollerSettings(HttpSettings):
    """`[poller]`."""

    recheck_seconds: float = Field(
        900, ge=0.1, le=86_400, description="how often a stopped stream is tried again"
    )
    request_timeout_seconds: float = Field(
        30, ge=0.1, le=300, description="one request, from connect to last byte"
    )
    retry_after_seconds_max: float = Field(
        RETRY_AFTER_SECONDS_MAX,
        ge=1,
        le=86_400,
        description="the longest wait an upstream's Retry-After is obeyed for at once; what says "
        "more is asked again then",
    )
    marks_max: int = Field(
        200_000, ge=1, description="records remembered per account; above, re-read ones repeat"
    )


def accounts(config: Config, *, secrets: bool = True) -> list[AccountSettings]:
    """Every configured account.  Raises BadConfig naming the account and the key.

    `secrets` False: for looking only, where the secrets themselves may not be at hand.
    """
    found: dict[str, AccountSettings] = {}
    for table in config.tables("accounts"):
        account = _account(table, secrets=secrets)
        if account.label in found:
            raise BadConfig(f"{_where(table)} name: there are two accounts of this name")
        found[account.label] = account
    return list(found.values())


def account(config: Config, asked: str) -> AccountSettings:
    """One account, by `name` or `source/name`; no other's secrets are needed.

    Raises Misuse, BadConfig.
    """
    labels = [one.label for one in accounts(config, secrets=False)]
    label = one_account(asked, labels, "it has no [[accounts]] table")
    tables = dict(zip(labels, config.tables("accounts"), strict=True))
    return _account(tables[label], secrets=True)


def _account(table: Mapping[str, Any], *, secrets: bool) -> AccountSettings:
    source, where = table.get("source"), _where(table)
    if not isinstance(source, str) or source not in sources():
        known = ", ".join(sorted(sources()))
        raise BadConfig(f"[[accounts]] source: {source!r} is not known; there are: {known}")
    model = sources()[source].settings
    try:
        return checked(model, table if secrets else without_secrets(model, table), where)
    except BadConfig as error:
        # A secret's own complaint does not know whose it is.
        text = str(error)
        raise BadConfig(text if text.startswith(where) else f"{where} {text}") from error


def _where(table: Mapping[str, Any]) -> str:
    return f"[[accounts]] {table.get('source')}/{table.get('name')}"


def without_secrets(model: type[AccountSettings], table: Mapping[str, object]) -> dict[str, object]:
    """The table with something in the place of each secret."""
    return {
        key: HIDDEN if key in model.model_fields and is_secret(model.model_fields[key]) else value
        for key, value in table.items()
    }


def is_secret(field: FieldInfo) -> bool:
    """Whether a setting is one."""
    return SecretStr in (field.annotation, *get_args(field.annotation))
