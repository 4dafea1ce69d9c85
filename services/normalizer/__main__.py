"""`python -m services.normalizer --config FILE`; without a file, the environment alone."""

from __future__ import annotations

import sys
from functools import partial

from bus.service import command_line, run
from services.normalizer.app import build
from services.normalizer.settings import NormalizerSettings

if __name__ == "__main__":
    parser = command_line("normalizer")
    parser.add_argument(
        "--accept-new-baseline",
        action="store_true",
        help="start although events exist and state does not: packages are announced again",
    )
    arguments = parser.parse_args()
    start = partial(build, accept_new_baseline=arguments.accept_new_baseline)
    sys.exit(run("normalizer", NormalizerSettings, start, arguments.config))
