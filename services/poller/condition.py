"""How a stream is, as people see it: a word, why, one gauge, and one log line for each change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import structlog

from bus.telemetry import PROVEN_UNTIL, STREAM_STATE

State = Literal["starting", "running", "waiting", "degraded", "paused", "stopped", "done"]
UP: dict[State, float] = {
    "starting": 1,
    "running": 1,
    "waiting": 1,
    "degraded": 0.5,
    "paused": 0,
    "stopped": 0,
    "done": 1,
}

log = structlog.get_logger(__name__)


class Condition:
    """Of the stream with these names: source, account and stream."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.state: State = "starting"
        self.reason = ""
        self._names = names

    def show(self, state: State, reason: str) -> None:
        """One log line for each change of state."""
        if state != self.state:
            STREAM_STATE.labels(*self._names.values()).set(UP[state])
        if state != self.state or (reason != self.reason and state == "stopped"):
            write = log.warning if state in ("degraded", "stopped") else log.info
            write("poller.stream_state_changed", state=state, reason=reason, **self._names)
        self.state, self.reason = state, reason

    def leave(self) -> None:
        """Another copy may run it next: what this one last measured of it is forgotten."""
        for gauge in (STREAM_STATE, PROVEN_UNTIL):
            gauge.remove(*self._names.values())
