"""Section `[normalizer]`: where it answers, and what it may let go of."""

from __future__ import annotations

from pydantic import Field

from bus.settings import HttpSettings


class NormalizerSettings(HttpSettings):
    """`[normalizer]`."""

    closed_retention_days: int | None = Field(
        None,
        ge=400,
        description="what has been closed for longer shrinks to a stub; none: all is kept",
    )
