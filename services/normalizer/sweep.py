"""Which closed fulfillments of a partition are old enough to shrink, a few at each batch.

What shrinks is written with the batch, in its transaction.  Time is that of the observations in
the batch: where nothing is observed, nothing grows old.
"""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime, timedelta

import msgspec

from bus.errors import Blocked
from bus.table import Table
from bus.transaction import Record
from services.normalizer.observation import restored
from services.normalizer.stubs import Stubs, shrunk

LOOKED_AT_MAX = 50  # states in one batch
PASS_INTERVAL = timedelta(days=1)  # of observations, from the beginning of one pass to the next


class _Glance(msgspec.Struct):
    """As much of a state as tells that most are not due."""

    final: bool
    stub: bool = False


_glance = msgspec.json.Decoder(_Glance).decode


class Sweep:
    """One partition's; a new owner begins a pass anew."""

    def __init__(self, stubs: Stubs, table: Table) -> None:
        self._stubs = stubs
        self._table = table
        self._keys: list[str] = []
        self._began_at: datetime | None = None

    def shrunk(self, now: datetime | None, touched: Container[str]) -> list[Record]:
        """The records that shrink what is due; `touched` are the keys the batch itself writes.

        `now` is the earliest instant of observation in the batch, None without any.
        """
        if now is None or not self._stubs.on:
            return []
        if not self._keys and (self._began_at is None or now - self._began_at >= PASS_INTERVAL):
            self._began_at = now
            self._keys = [key for key, _ in self._table.items()]
        looked_at = self._keys[-LOOKED_AT_MAX:]
        del self._keys[-LOOKED_AT_MAX:]
        return [
            record
            for key in looked_at
            if key not in touched and (record := self._shrunk(key, now)) is not None
        ]

    def _shrunk(self, key: str, now: datetime) -> Record | None:
        value = self._table.get(key)
        if value is None:
            return None
        try:
            glance = _glance(value)
            if not glance.final or glance.stub:
                return None
            state = restored(key, value)
        except (msgspec.DecodeError, UnicodeDecodeError, Blocked):
            return None  # left as it is; the next record of this key says that it is unreadable
        if state is None or not self._stubs.due(state, now):
            return None
        return self._table.put(key, shrunk(state).to_json())
