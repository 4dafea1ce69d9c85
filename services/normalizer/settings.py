"""Section `[normalizer]`: where it answers; what it does follows from the topics alone."""

from __future__ import annotations

from bus.service import HttpSettings


class NormalizerSettings(HttpSettings):
    """`[normalizer]`."""
