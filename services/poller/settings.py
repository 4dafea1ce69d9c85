"""`[poller]` and the `[[accounts]]` tables, each checked by the source it names."""

from __future__ import annotations

from pydantic import Field

from bus.errors import BadConfig
from bus.service import HttpSettings
from bus.settings import Config, checked
from services.poller.source import AccountSettings
from services.poller.sources import sources


class PollerSettings(HttpSettings):
    """`[poller]`."""

    recheck_seconds: float = Field(
        900, ge=0.1, le=86_400, description="how often a stopped stream is tried again"
    )
    request_timeout_seconds: float = Field(
        30, ge=0.1, le=300, description="one request, from connect to last byte"
    )
    marks_max: int = Field(
        200_000, ge=1, description="records remembered per account; above, re-read ones repeat"
    )


def accounts(config: Config) -> list[AccountSettings]:
    """Every configured account.  Raises BadConfig naming the account and the key."""
    found: dict[str, AccountSettings] = {}
    for table in config.tables("accounts"):
        source, name = table.get("source"), table.get("name")
        if not isinstance(source, str) or source not in sources():
            known = ", ".join(sorted(sources()))
            raise BadConfig(f"[[accounts]] source: {source!r} is not known; there are: {known}")
        where = f"[[accounts]] {source}/{name}"
        try:
            account = checked(sources()[source].settings, table, where)
        except BadConfig as error:
            # A secret's own complaint does not know whose it is.
            text = str(error)
            raise BadConfig(text if text.startswith(where) else f"{where} {text}") from error
        if account.label in found:
            raise BadConfig(f"{where} name: there are two accounts of this name")
        found[account.label] = account
    return list(found.values())
