"""Sizes of tests that are long by nature: small in `./run test`, full in `./run test soak`."""

from __future__ import annotations

import os

SOAK = os.environ.get("SHIPFEED_TEST_SOAK") == "1"


def sized(short: int, soak: int) -> int:
    """How many of something a test uses in this run."""
    return soak if SOAK else short
