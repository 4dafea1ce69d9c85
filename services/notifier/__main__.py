"""`python -m services.notifier --config FILE`; without a file, the environment alone."""

from __future__ import annotations

import sys

from bus.service import command_line, run
from services.notifier.app import build
from services.notifier.settings import NotifierSettings

if __name__ == "__main__":
    arguments = command_line("notifier").parse_args()
    sys.exit(run("notifier", NotifierSettings, build, arguments.config))
