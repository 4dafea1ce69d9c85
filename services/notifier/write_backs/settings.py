"""`[[targets]]` of shipfeed.toml: the accounts that are written back to."""

from __future__ import annotations

from pydantic import Field

from bus.settings import Settings
from schemas.message import Name


class TargetEntry(Settings):
    """One `[[targets]]` table."""

    name: Name
    system: str = Field(description="such as digital_river: a module of targets/")
    secret: str = Field(
        description="env:NAME or file:PATH of a key that may write; not the one that polls"
    )
    base_url: str = Field("", description="left out: the system's own")
    requests_per_second: float = Field(
        10, gt=0, description="reads and calls, over all copies of the notifier"
    )
    timeout_seconds: float = Field(30, gt=0, description="one request, all in all")
    unknown_wait_seconds: float = Field(
        900,
        gt=0,
        description="how long after a call without an answer it could still be carried out: longer "
        "than the system ever takes",
    )
