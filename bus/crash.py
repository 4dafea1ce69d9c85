"""Named points at which a process can be told to die, so that a test knows where it died.

`SHIPFEED_CRASH_AT=NAME` kills it with SIGKILL when it comes to the point NAME, `NAME:3` when it
comes there the third time.  Without the variable nothing happens.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping

VARIABLE = "SHIPFEED_CRASH_AT"


class CrashPoint:
    """Where the environment wants the process to die, if anywhere."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._name, _, times = environ.get(VARIABLE, "").partition(":")
        self._times_left = int(times or 1)

    def reached(self, name: str) -> bool:
        """Whether this is it; each call counts as coming there once."""
        if not name or name != self._name:
            return False
        self._times_left -= 1
        return self._times_left == 0


_wanted = CrashPoint(os.environ)


def crash_point(name: str) -> None:
    """The process has come to this point."""
    if _wanted.reached(name):
        os.kill(os.getpid(), signal.SIGKILL)
