"""`python -m testbed.simulators --seed 7`: simulated upstreams, each living through a world."""

from __future__ import annotations

import argparse
import asyncio
from datetime import datetime

from testbed.process import run_until_stopped
from testbed.simulator import system_clock
from testbed.simulators import playing, simulators
from testbed.upstreams import Upstreams, seed_of
from testbed.world import DURATION_SECONDS_DEFAULT, World

ORDERS_DEFAULT = 23  # of each system: each story is told
# Far above what a demo asks: its world lasts seconds, throttling would only slow it.
REQUESTS_PER_SECOND_DEFAULT = 1000.0


def main() -> None:
    """Run as a process until told to stop."""
    arguments = _arguments()
    start = None if arguments.hold else arguments.start or system_clock()
    sources = arguments.source or simulators()
    upstreams = Upstreams(
        playing(
            {source: _world(source, start, arguments) for source in sources},
            odd_seed=arguments.seed if arguments.odd else None,
            token=arguments.token,
            requests_per_second=arguments.requests_per_second,
            page_size_max=arguments.page_size_max,
        )
    )
    asyncio.run(run_until_stopped(upstreams.serve(host=arguments.host, port=arguments.port)))


def _world(source: str, start: datetime | None, arguments: argparse.Namespace) -> World:
    return World(
        seed_of(arguments.seed, source),
        start=start,
        orders=arguments.orders,
        duration_seconds=arguments.duration,
        source=source,
        account=arguments.account,
        package_ids=arguments.package_ids,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m testbed.simulators", description=__doc__)
    add = parser.add_argument
    add(
        "--source",
        action="append",
        choices=sorted(simulators()),
        help="which upstream to stand in for, may repeat; left out: all of them",
    )
    add("--account", default="acme", help="account name the truth is kept under")
    add("--seed", type=int, default=7, help="fixes everything that happens")
    add("--orders", type=int, default=ORDERS_DEFAULT, help="of each system")
    add("--duration", type=float, default=DURATION_SECONDS_DEFAULT, help="seconds it goes on")
    add("--start", type=datetime.fromisoformat, help="instant it begins (ISO-8601); left out: now")
    add("--hold", action="store_true", help="begin at POST /control/begin")
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=0, help="0 takes a free one")
    add("--token", required=True, help="every secret that requests must carry")
    add("--package-ids", action=argparse.BooleanOptionalAction, default=False)
    add("--odd", action="store_true", help="records as odd as real ones: testbed/oddities.py")
    add("--requests-per-second", type=float, default=REQUESTS_PER_SECOND_DEFAULT)
    add("--page-size-max", type=int, default=100, help="what a larger limit is cut down to")
    return parser.parse_args()


if __name__ == "__main__":
    main()
