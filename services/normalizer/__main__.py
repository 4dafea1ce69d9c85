"""`python -m services.normalizer --config FILE`; without a file, the environment alone."""

from __future__ import annotations

import sys
from functools import partial

from bus.baseline import add_accept_option
from bus.service import command_line, run
from services.normalizer.app import NEW_BASELINE, build
from services.normalizer.settings import NormalizerSettings

if __name__ == "__main__":
    parser = command_line("normalizer")
    add_accept_option(parser, NEW_BASELINE)
    arguments = parser.parse_args()
    start = partial(build, accept_new_baseline=arguments.accept_new_baseline)
    sys.exit(run("normalizer", NormalizerSettings, start, arguments.config))
