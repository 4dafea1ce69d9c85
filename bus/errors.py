"""Errors by what happens next; every error of ours is one of these three kinds.

ShipfeedError
├── RetryLater          the same work again, from unchanged state
│   ├── TransactionLost   its outcome is unknown or it was aborted: rebuild, re-read
│   ├── Fenced            a newer owner writes: rebuild if still assigned
│   └── Blocked           a partition stands still until somebody acts; looked at once in a while
├── SetAside            this one record goes to dead-letters, the rest goes on
└── Stop                this process ends, the line says what to change
    ├── BadConfig         exit code 2
    └── Misuse            exit code 2
"""

from __future__ import annotations


class ShipfeedError(Exception):
    """The base: its text names the thing, the value (never a secret) and the next step."""


class RetryLater(ShipfeedError):
    """Try the same work again, from unchanged state."""


class TransactionLost(RetryLater):
    """A transaction was aborted or its outcome is unknown; its writer is closed."""


class Fenced(RetryLater):
    """Another writer with the same transactional id has begun; this one may write no more."""


class Blocked(RetryLater):
    """A partition cannot go past one of its records, and may not skip it.

    It stands still with this reason in `/health` and is tried again every minute.
    """


class SetAside(ShipfeedError):
    """One record cannot go on; `path` is where in it the trouble is."""

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path


class Stop(ShipfeedError):
    """The process cannot go on."""


class BadConfig(Stop):
    """The configuration is wrong; the text names the key."""


class Misuse(Stop):
    """What was asked for cannot be done; the text names what can."""
