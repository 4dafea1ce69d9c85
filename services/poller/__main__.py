"""`python -m services.poller --config FILE`; without a file, the environment alone."""

from __future__ import annotations

import sys

from bus.service import command_line, run
from services.poller.app import build
from services.poller.settings import PollerSettings

if __name__ == "__main__":
    arguments = command_line("poller").parse_args()
    sys.exit(run("poller", PollerSettings, build, arguments.config))
