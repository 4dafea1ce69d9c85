"""Every target where it is not let through, breaks off, or means harm: one call or reading each.

What fails before a byte has left is `unsent` and may be sent again; afterwards it is `unknown`.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bus.errors import BadConfig
from services.notifier.exchange import ANSWER_BYTES_MAX
from services.notifier.target import Answer, Unread, WriteTarget
from services.notifier.targets import systems
from testbed.http import Request, Response, serving
from tests.certificates import Authority
from tests.logged import logged
from tests.systems.bench import nobody_listens
from tests.systems.hostile import BROKEN, ENDLESS, SLOW, Talk, Talker, read_request
from tests.systems.writing import CALL, SECRET, always, target_at

pytestmark = pytest.mark.parametrize("system", systems())


async def unread(target: WriteTarget) -> Unread:
    """What comes of reading an order that cannot be read."""
    with pytest.raises(Unread) as raised:
        await target.orders("PO-1", "order_number")
    return raised.value


def to(*addresses: str) -> Callable[..., Any]:
    """A name server that has these addresses for every name."""
    return lambda host, port, *_: [(2, 1, 6, "", (one, port)) for one in addresses]


@pytest.mark.parametrize("fault", [{"reset": True}, {"cut": True}, {"cut": True, "reset": True}])
async def test_an_answer_that_breaks_off_leaves_the_call_unknown(
    fault: dict[str, Any], system: str
) -> None:
    """It arrived and may have been carried out; nothing is sent a second time."""
    seen: list[Request] = []
    response = Response(201, b'{"id":"ful_1","orderId":"29"}', **fault)
    async with serving(always(response, seen)) as url, target_at(url, system) as target:
        answer = await target.call(CALL)
        assert (answer.outcome, len(seen)) == ("unknown", 1)
        assert (await unread(target)).outcome == "unknown"


async def test_a_redirect_is_never_followed(system: str) -> None:
    """Not even inside, and it is no success; the answer says what to correct."""
    seen: list[Request] = []
    moved = Response(307, headers={"Location": "/elsewhere"})
    async with serving(always(moved, seen)) as url, target_at(url, system) as target:
        answer = await target.call(CALL)

    assert (answer.outcome, len(seen)) == ("refused", 1)
    assert "correct base_url" in str(answer.detail)


@pytest.mark.parametrize("name", BROKEN)
async def test_an_answer_that_is_none_leaves_the_call_unknown(name: str, system: str) -> None:
    """Whatever came, nothing is raised, and what is told of it is short."""
    talker = Talker(BROKEN[name])
    async with talker.serve() as port, target_at(f"http://127.0.0.1:{port}", system) as target:
        answer = await target.call(CALL)
        await asyncio.wait_for(talker.ended.wait(), 60)

    assert (answer.outcome, answer.fulfillment_id) == ("unknown", None)
    assert 0 < len(str(answer.detail)) <= 500


@pytest.mark.parametrize("name", SLOW)
async def test_who_is_slow_without_end_is_left_after_the_total_time(name: str, system: str) -> None:
    """A call that arrived is unknown then; on a slow machine one may not even have left."""
    arrived = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await SLOW[name](reader, writer)

    answers: list[Answer] = []
    async with Talker(talk).serve() as port:
        url = f"http://127.0.0.1:{port}"
        async with target_at(url, system, timeout_seconds=0.3) as target:
            while not arrived.is_set():
                answers.append(await target.call(CALL))

    assert "unknown" in {answer.outcome for answer in answers} <= {"unknown", "unsent"}
    assert all("no whole answer within 0.3 s" in str(answer.detail) for answer in answers)


HUGE = b'{"id":"ful_1","x":"' + b"y" * (ANSWER_BYTES_MAX + 1) + b'"}'
SWELLING = Response(201, gzip.compress(bytes(20_000_000)), {"Content-Encoding": "gzip"})


@pytest.mark.parametrize(
    ("harmful", "why"),
    [
        (Response(201, HUGE), "the answer has more than 4194304 bytes"),
        (SWELLING, "the answer came packed (gzip)"),
        (Response(201, b"{}", {"Content-Encoding": "x\x1b[2J"}), "the answer came packed (x [2J)"),
    ],
    ids=["megabytes", "a bomb", "a packing nobody knows"],
)
async def test_an_answer_that_is_not_read_leaves_the_call_unknown(
    harmful: Response, why: str, system: str
) -> None:
    """Its cap holds whatever the status says, and nothing is unpacked."""
    async with serving(always(harmful)) as url, target_at(url, system) as target:
        answer = await target.call(CALL)
        failed = await unread(target)

    assert (answer.outcome, failed.outcome) == ("unknown", "unknown")
    assert str(answer.detail).startswith(why)
    assert str(answer.detail).isprintable()


@pytest.mark.parametrize("name", ENDLESS)
async def test_an_answer_without_end_is_cut(name: str, system: str) -> None:
    """The connection is closed after the cap."""
    talker = Talker(ENDLESS[name])
    async with talker.serve() as port, target_at(f"http://127.0.0.1:{port}", system) as target:
        answer = await target.call(CALL)
        await asyncio.wait_for(talker.ended.wait(), 60)

    assert answer.outcome == "unknown"
    assert str(ANSWER_BYTES_MAX) in str(answer.detail)


async def test_what_cannot_be_dialed_was_not_sent(system: str) -> None:
    """A closed port, a name without address."""
    with nobody_listens() as closed:
        for url in (closed, "http://no-such-host.invalid"):
            async with target_at(url, system) as target:
                assert (await target.call(CALL)).outcome == "unsent"
                assert (await unread(target)).outcome == "unsent"


async def test_a_name_server_that_never_answers_is_left_after_the_total_time(system: str) -> None:
    """Nothing was sent, however long it took."""
    freed = threading.Event()

    def look_up(*_: Any) -> list[Any]:
        freed.wait(100)
        return []

    async with target_at(
        "http://shop.example", system, timeout_seconds=0.2, look_up=look_up
    ) as target:
        answer = await target.call(CALL)
        freed.set()

    assert answer.outcome == "unsent"


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "::ffff:10.0.0.1"])
async def test_an_address_that_may_not_be_reached_is_not_dialed(address: str, system: str) -> None:
    """As for webhooks: the operator's networks and public ones, no name leads elsewhere."""
    async with target_at("https://shop.example", system, look_up=to(address)) as target:
        answer = await target.call(CALL)

    assert answer.outcome == "unsent"
    assert "[notifier] allow_networks" in str(answer.detail)


@pytest.mark.parametrize(
    ("base_url", "word"),
    [
        ("http://10.0.0.1", "allow_networks"),
        ("ftp://shop.example", "https://"),
        ("https://key@shop.example", "user:password@"),
        ("https://shop.example/a?b=c", "query"),
        ("https://2130706433", "2130706433"),
    ],
)
async def test_a_base_url_that_leads_nowhere_stops_the_start(
    base_url: str, word: str, system: str
) -> None:
    """The line names the table and what is wrong."""
    with pytest.raises(BadConfig, match=r"\[\[targets\]\] shop base_url: ") as raised:
        async with target_at(base_url, system):
            pass

    assert word in str(raised.value)


@pytest.mark.parametrize(("named", "days"), [("other.example", 1), ("shop.example", -1)])
async def test_no_byte_goes_to_who_is_not_itself(
    named: str, days: int, system: str, tmp_path: Path
) -> None:
    """TLS as webhooks trust it: another's name, a certificate that has ended."""
    authority, heard = Authority.at(tmp_path), asyncio.Event()

    async def talk(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        heard.set()

    async with Talker(talk).serve(authority.server(named, days=days)) as port:
        url, ca_file = f"https://shop.example:{port}", str(authority.ca_file)
        async with target_at(url, system, look_up=to("127.0.0.1"), ca_file=ca_file) as target:
            answer = await target.call(CALL)

    assert answer.outcome == "unsent"
    assert not heard.is_set()


async def test_an_authority_of_the_operator_s_is_trusted(system: str, tmp_path: Path) -> None:
    """The request arrives, over TLS."""
    authority, requests = Authority.at(tmp_path), asyncio.Queue[bytes]()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.put_nowait(await read_request(reader))
        writer.close()

    server = await asyncio.start_server(
        connected, "127.0.0.1", 0, ssl=authority.server("shop.example", days=1)
    )
    async with server:
        url = f"https://shop.example:{server.sockets[0].getsockname()[1]}"
        ca_file = str(authority.ca_file)
        async with target_at(url, system, look_up=to("127.0.0.1"), ca_file=ca_file) as target:
            await target.call(CALL)
            request = await asyncio.wait_for(requests.get(), 60)

    assert SECRET.encode() in request


async def test_a_canceled_call_is_let_go(system: str) -> None:
    """Who lost a partition leaves no request open; this alone is raised."""
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def hold(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        arrived.set()
        await reader.read()
        gone.set()

    talk: Talk = hold
    async with (
        Talker(talk).serve() as port,
        target_at(f"http://127.0.0.1:{port}", system) as target,
    ):
        task = asyncio.create_task(target.call(CALL))
        await asyncio.wait_for(arrived.wait(), 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(gone.wait(), 60)


async def test_nothing_is_sent_once_it_is_closed(system: str) -> None:
    """Not even over a connection that was left open."""
    seen: list[Request] = []
    async with serving(always(Response(204), seen)) as url, target_at(url, system) as target:
        await target.call(CALL)
        await target.close()
        answer = await target.call(CALL)

    assert (answer.outcome, len(seen), target.sent) == ("unsent", 1, 2)


def repeating() -> list[Response]:
    """Answers that repeat the key wherever a system could."""
    error = {"type": SECRET, "errors": [{"code": SECRET, "message": f"no {SECRET}"}]}
    bodies = [json.dumps(error).encode(), SECRET.encode(), json.dumps({"data": SECRET}).encode()]
    headers = dict.fromkeys(("Retry-After", "Location", "Set-Cookie", "x-request-id"), SECRET)
    return [
        *(Response(200, body, {"Content-Encoding": SECRET}) for body in bodies),
        *(Response(200, body, cut=True) for body in bodies),
        *(
            Response(status, body, headers)
            for status in (200, 201, 307, 400, 401, 403, 404, 409, 429, 500)
            for body in bodies
        ),
    ]


async def test_the_key_is_never_shown(system: str) -> None:
    """Neither in what is told of a failure nor in its traceback or a log, to the last detail."""
    shown: list[str] = []
    with logged("notifier") as log:
        for response in repeating():
            async with serving(always(response)) as url, target_at(url, system) as target:
                shown += [repr(await target.call(CALL)), repr(target), repr(target.request(CALL))]
                shown += traceback.format_exception(await unread(target))

    shown.append(log.getvalue())
    assert [text for text in shown if SECRET in text] == []
    assert any("***" in text for text in shown)
