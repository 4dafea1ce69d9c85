"""What every simulated upstream has: a world or given records, faults, a request log, control.

A subclass renders orders and answers requests in one upstream's shape. The control endpoints
need no token, are not throttled, not logged and never misbehave:
`POST|DELETE /control/faults`, `GET /control/requests`, `GET /control/captures`,
`GET /control/world`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, ClassVar, NamedTuple

from testbed.faults import FOREVER_SECONDS, WIRE_FAULTS, WRITE_FAULTS, Faults
from testbed.http import Request, Response, json_response, serving
from testbed.oddities import Oddities
from testbed.orders import Order
from testbed.rows import Row, Rows
from testbed.throttle import LeakyBucket
from testbed.wire import bad_bytes, misshape, terse, untold, with_bad_bytes
from testbed.world import World

REQUESTS_KEPT_MAX = 20_000
ANSWERS_KEPT_MAX = 200  # one for each path
ODD_DATES = tuple(timedelta(days=days) for days in (365, -365, -3, 3))
BAD_RECORDS = frozenset({"bad_record", "null_record", "mistyped_record", "bad_bytes"})
ODD_PAGES = frozenset({"disordered_page", "doubled_record"})
OF_ANY_LISTING = BAD_RECORDS | ODD_PAGES | {"terse_page", "untold_page"}


class Shown(NamedTuple):
    """One upstream record as a poll sees it: of which resource, its id, its JSON."""

    resource: str
    upstream_id: str
    body: dict[str, Any]


def system_clock() -> datetime:
    """The present instant, in UTC."""
    return datetime.now(UTC)


Touched = Callable[[Row, datetime], Row]


class Simulator(ABC):
    """One upstream over HTTP on loopback; `async with simulator.serve() as base_url`."""

    base_path: ClassVar[str]
    id_field: ClassVar[str] = "id"  # of a record
    # What its listings can do wrong, of testbed.faults.LISTING_FAULTS.
    listing_faults: ClassVar[frozenset[str]] = OF_ANY_LISTING

    def __init__(
        self,
        *,
        world: World | None = None,
        clock: Callable[[], datetime] = system_clock,
        requests_per_second: float = 10.0,
        burst: float = 10.0,
    ) -> None:
        self.faults = Faults()
        self.requests: deque[dict[str, Any]] = deque(maxlen=REQUESTS_KEPT_MAX)
        self.log: list[Shown] = []  # every version of every record, as it was shown
        self.planted: list[Any] = []  # bad records shown among good ones
        self.right_clock = clock
        self.oddities: Oddities | None = None  # how records of the world are odd
        self._world = world
        self._of_world: set[str] = set()  # ids of its records
        self._listed = False  # whether the present answer is a page
        self._answered: dict[tuple[str, str], Response] = {}
        self._rows = Rows()
        self._late_writes: list[tuple[datetime, Request]] = []  # and when each is carried out
        self._bucket = LeakyBucket(requests_per_second, burst)
        # Whether an edit moves what lists sort by, at an upstream where it need not.
        self.edits_show = True

    @abstractmethod
    def row(self, order: Order) -> Row:
        """An order of the world in this upstream's own shape."""

    @abstractmethod
    def shown(self, row: Row) -> list[Shown]:
        """The upstream's records that a row stands for, without what moves by itself."""

    @abstractmethod
    def touched(self, row: Row, at: datetime) -> Row:
        """The row with nothing changed but its last update, where this upstream shows one."""

    @abstractmethod
    def answer(self, request: Request, now: datetime) -> Response:
        """The answer to an admitted request below `base_path`."""

    @abstractmethod
    def refusal(self, status: int, message: str) -> Response:
        """An error in this upstream's own shape."""

    def writes(self, request: Request) -> bool:
        """Whether the request changes something here, so that faults of writing can strike it."""
        return False

    def sell(self, orders: Iterable[Order], *, shipped_by: str) -> None:
        """Take orders that another system ships; raises TypeError where nothing is written to."""
        raise TypeError(f"{type(self).__name__} takes no orders")

    def written(self) -> dict[str, Any]:
        """What has come of writing here, as testbed/written.py judges it; {}: it cannot be."""
        return {}

    @asynccontextmanager
    async def serve(self, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Serve until left; yields the base URL an account would be configured with."""
        async with serving(self.handle, host=host, port=port) as url:
            yield url + self.base_path

    def clock(self) -> datetime:
        """The present instant at this upstream, which a `clock_skew` fault moves."""
        return self.right_clock() + timedelta(seconds=self.faults.skew_seconds)

    def handle(self, request: Request) -> Response:
        """One request from arrival to answer."""
        now = self.clock()
        self.live(now)
        if request.path.startswith("/control/"):
            return self._control(request, now)
        self._flood(request, now)
        self._listed = False
        response = self._answer_or_fault(request, now)
        self.requests.append(
            {
                "at": now.isoformat(),
                "method": request.method,
                "target": request.target,
                "path": request.path,
                "query": request.query,
                "status": 0 if response.reset else response.status,
            }
        )
        date = {"Date": format_datetime(self._told(request, now).astimezone(UTC), usegmt=True)}
        body = response.body
        if b"@bad-bytes-" in body:
            body = with_bad_bytes(body)
        return replace(response, body=body, headers={**date, **response.headers})

    def _told(self, request: Request, now: datetime) -> datetime:
        """What time an answer says it is; with an `odd_date` fault, what a cache might."""
        fault = self.faults.take({"odd_date"}, request.target, request.method)
        return now + ODD_DATES[fault.turn % len(ODD_DATES)] if fault else now

    def begin(self) -> None:
        """A world that waits begins now."""
        if self._world is not None:
            self._world.begin(self.clock())

    def write(self, row: Row) -> None:
        """Write a record; a `late_write` fault (match: its key) may hide it for a while."""
        fault = self.faults.take({"late_write"}, str(row.key))
        self._rows.put(row, late_seconds=fault.seconds if fault else 0.0)
        self.log += [one._replace(body=self.odd(one.body)) for one in self.shown(row)]

    def odd(self, record: dict[str, Any]) -> dict[str, Any]:
        """The record as an answer shows it; one of the world may be odd."""
        upstream_id = str(record.get(self.id_field))
        if self.oddities is None or upstream_id not in self._of_world:
            return record
        # Once the world has ended nothing changes any more, so that a demo can settle.
        ended = self._world is None or self._world.seconds_left(self.clock()) == 0
        return self.oddities.applied(record, upstream_id, 0 if ended else len(self.requests) + 1)

    def show(self, order: Order) -> None:
        """Write an order of the world."""
        row = self.row(order)
        self._of_world.update(one.upstream_id for one in self.shown(row))
        self.write(row)

    def touch(self, key: int, touched: Touched | None = None) -> None:
        """Write a record again as it is, last updated now."""
        row = next((row for row in self.visible(self.clock()) if row.key == key), None)
        assert row is not None, f"no record {key} to touch"
        self.write((touched or self.touched)(row, self.clock()))

    def visible(self, now: datetime) -> list[Row]:
        """The records readers see, oldest update first, ties by key."""
        return self._rows.visible(now)

    def finished(self, now: datetime) -> bool:
        """Nothing will change any more by itself."""
        ended = self._world is None or self._world.finished(now)
        return ended and self._rows.settled(now) and not self._late_writes

    def shift(self, request: Request, key: int, touched: Touched | None = None) -> None:
        """A `shifting_page` fault touches a record of the page just read: the rest moves up.

        `touched` where a row holds more than the page has shown: only that is to move.
        """
        if self.faults.take({"shifting_page"}, request.target, request.method):
            self.touch(key, touched)

    def with_bad_record(self, request: Request, page: list[Any], **wrong: Any) -> list[Any]:
        """The records of a page as they are shown, and what a fault adds.

        A `bad_record` fault adds its `record`, else a copy of one with fields that are wrong;
        `null_record` and `mistyped_record` add one that has no right field at all, `bad_bytes` one
        that is no JSON.
        """
        self._listed = True
        page = self._odd_page(request, [self.odd(one) for one in page])
        named = BAD_RECORDS if page else frozenset()
        fault = self.faults.take(named, request.target, request.method)
        if fault is None:
            return page
        middle = len(page) // 2
        record = fault.record
        if fault.name == "null_record":
            record = dict.fromkeys(page[middle])
        elif fault.name == "mistyped_record":
            record = {name: _mistyped(value) for name, value in page[middle].items()}
        elif fault.name == "bad_bytes":
            record = {"odd": bad_bytes(fault.turn)}
        elif record is None:
            record = {**page[middle], **wrong}
        self.planted.append(record)
        return [*page[:middle], record, *page[middle:]]

    def _odd_page(self, request: Request, page: list[Any]) -> list[Any]:
        """The page with a `disordered_page` or `doubled_record` fault, where it has room for it."""
        middle = len(page) // 2
        named = ODD_PAGES if middle > 1 else frozenset()
        fault = self.faults.take(named, request.target, request.method)
        if fault is None:
            return page
        if fault.name == "disordered_page":
            return [*page[: middle - 1], page[middle], page[middle - 1], *page[middle + 1 :]]
        shown = next((one for one in reversed(self.log) if one.body == page[middle]), None)
        versions = [one.body for one in self.log if shown and one[:2] == shown[:2]]
        before = versions[-2] if versions[1:] else page[middle]
        return [*page[:middle], before, *page[middle:]]

    def live(self, now: datetime) -> None:
        """Let everything happen that is due by then."""
        for order in self._world.advance(now) if self._world else ():
            self.show(order)
        for at, request in sorted(self._late_writes, key=lambda late: late[0]):
            if at <= now:
                self._late_writes.remove((at, request))
                self.answer(request, at)

    def _flood(self, request: Request, now: datetime) -> None:
        """A `tie_flood` fault rewrites what was updated last with one equal stamp."""
        if fault := self.faults.take({"tie_flood"}, request.target, request.method):
            for row in self.visible(now)[-fault.records :]:
                self.write(self.touched(row, now))

    def _repeated(self, request: Request, response: Response) -> Response:
        """With a `duplicate_page` fault the good answer before this one on the same path."""
        if response.status != 200:
            return response
        place = (request.method, request.path)
        before = self._answered.get(place)
        if before is not None and self.faults.take(
            {"duplicate_page"}, request.target, request.method
        ):
            return before
        self._answered[place] = response
        if len(self._answered) > ANSWERS_KEPT_MAX:
            del self._answered[next(iter(self._answered))]
        return response

    def _admit(self, request: Request, now: datetime) -> Response:
        if not request.path.startswith(self.base_path + "/"):
            return self.refusal(404, f"no such path: {request.path}")
        if not self._bucket.admits(now):
            return self.refusal(429, "too many requests")
        return self._terse(request, self.answer(request, now))

    def _terse(self, request: Request, response: Response) -> Response:
        """With a `terse_page` or `untold_page` fault, a page that says as little as some do."""
        if not self._listed or response.status != 200:
            return response
        fault = self.faults.take({"terse_page", "untold_page"}, request.target, request.method)
        if fault is None:
            return response
        return untold(response) if fault.name == "untold_page" else terse(response, fault.turn)

    def _answer_or_fault(self, request: Request, now: datetime) -> Response:
        """The answer, or what a fault makes of it; some keep the request unheard, or for later."""
        names = WIRE_FAULTS | (WRITE_FAULTS if self.writes(request) else frozenset())
        fault = self.faults.take(names, request.target, request.method)
        if fault is None:
            return self._repeated(request, self._admit(request, now))
        match fault.heard:
            case "at once":
                return misshape(fault, self._repeated(request, self._admit(request, now)))
            case "never":
                return misshape(fault, Response())
            case "late":
                self._late_writes.append((now + timedelta(seconds=fault.seconds), request))
                hangs = FOREVER_SECONDS if fault.acts == "stall" else 0
                return misshape(replace(fault, seconds=hangs), Response())

    def _control(self, request: Request, now: datetime) -> Response:
        match request.method, request.path:
            case "POST", "/control/faults":
                try:
                    self.faults.add(request.json())
                except (ValueError, TypeError) as error:
                    return json_response(400, {"error": str(error)})
                return json_response(200, {})
            case "DELETE", "/control/faults":
                self.faults.clear()
                return json_response(200, {})
            case "GET", "/control/requests":
                return json_response(200, list(self.requests))
            case "GET", "/control/captures":
                return json_response(200, self.written().get("captures", []))
            case "GET", "/control/world":
                return json_response(200, self._world_now(now))
            case _:
                return json_response(404, {"error": f"no such control: {request.path}"})

    def _world_now(self, now: datetime) -> dict[str, Any]:
        world, oddities = self._world, self.oddities
        truth = world.truth(now) if world else None
        return {
            "finished": self.finished(now),
            "seconds_left": world.seconds_left(now) if world else 0.0,
            "orders": len(self.visible(now)),
            "truth": oddities.true(truth) if oddities and truth else truth,
            "written": self.written(),
            "odd": oddities.counts() if oddities else {},
        }


def _mistyped(value: Any) -> Any:
    """A value of a type that this one is never of; equal types give equal values."""
    return {"wrong": [None]} if isinstance(value, str | int | float) else "wrong"
