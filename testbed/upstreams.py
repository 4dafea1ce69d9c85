"""Several simulated upstreams behind one address, each living through a world of its own.

A request goes to the simulator whose base path it begins with, one below `/control/SOURCE/` to
that simulator's own control. `GET /control/world` tells of all of them: their truths joined, what
was written to those that sell for another, and for each system its base path, whether it was ever
asked, the faults it knows and how many have struck it. `POST /control/begin` lets worlds begin that
were held.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from typing import Any

from testbed.faults import CATALOGUE
from testbed.http import Request, Response, json_response, serving
from testbed.oddities import total
from testbed.simulator import Simulator

CONTROL = "/control/"


# Under these, whoever writes holds what it would have written or waits a quarter of an hour, and it
# should: they need people, of which the demo has none.
FOR_PEOPLE = frozenset({"redirect", "unauthorized", "duplicate_page"})


def seed_of(seed: int, source: str) -> int:
    """The seed of one system's world: no two systems live through the same."""
    return Random(f"world {seed} of {source}").randrange(2**31)


class Upstreams:
    """Simulators by their id; `async with upstreams.serve() as origin`."""

    def __init__(self, simulators: Mapping[str, Simulator]) -> None:
        self._simulators = simulators

    @asynccontextmanager
    async def serve(self, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Serve until left; yields `http://HOST:PORT`, below which every base path begins.

        With only one simulator its base path is part of it: what an account is configured with.
        """
        paths = [simulator.base_path for simulator in self._simulators.values()]
        async with serving(self.handle, host=host, port=port) as url:
            yield url + (paths[0] if len(paths) == 1 else "")

    def handle(self, request: Request) -> Response:
        """Whoever the request is for answers it."""
        if request.path == CONTROL + "world":
            return json_response(200, self._worlds(request))
        if (request.method, request.path) == ("POST", CONTROL + "begin"):
            for simulator in self._simulators.values():
                simulator.begin()
            return json_response(200, {})
        if request.path.startswith(CONTROL):
            source, _, rest = request.target.removeprefix(CONTROL).partition("/")
            if source in self._simulators:
                own = replace(request, target=CONTROL + rest)
                return self._simulators[source].handle(own)
        for simulator in self._simulators.values():
            if request.path.startswith(simulator.base_path + "/"):
                return simulator.handle(request)
        return json_response(404, {"error": f"no upstream answers to {request.path}"})

    def _worlds(self, request: Request) -> dict[str, Any]:
        worlds = {
            source: json.loads(simulator.handle(request).body)
            for source, simulator in self._simulators.items()
        }
        orders = [order for world in worlds.values() for order in world["truth"]["orders"]]
        return {
            "finished": all(world["finished"] for world in worlds.values()),
            "seconds_left": max(world["seconds_left"] for world in worlds.values()),
            "orders": sum(world["orders"] for world in worlds.values()),
            "truth": {"orders": orders},
            "odd": total(world["odd"] for world in worlds.values()),
            "written": {
                source: world["written"]
                for source, world in worlds.items()
                if world["written"].get("shipped_by")
            },
            "systems": {source: _about(one) for source, one in self._simulators.items()},
        }


def _about(simulator: Simulator) -> dict[str, Any]:
    """A fault of a clock is no moment's: it stays until it is cleared, so it is left out.

    Those of writing are for who sells for another; nobody else is written to.
    """
    written_to = bool(simulator.written().get("shipped_by"))
    places = {"wire", "records"} | ({"write"} if written_to else set())
    known = [
        kind.name
        for kind in CATALOGUE
        if (kind.place in places or kind.name in simulator.listing_faults)
        and not (written_to and kind.name in FOR_PEOPLE)
    ]
    return {
        "base_path": simulator.base_path,
        "asked": bool(simulator.requests),
        "faults": known,
        "struck": dict(simulator.faults.struck),
    }
