"""Receivers that mean harm, or are merely broken: one try against each, over real sockets."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bus.clock import SystemClock
from bus.errors import BadConfig
from services.notifier.channel import Surroundings
from services.notifier.channels.webhook import RESPONSE_KEPT_BYTES_MAX
from services.notifier.guard import CONNECTION_USE_SECONDS_MAX
from testbed.http import Request, Response, serving
from testbed.receiver import Receiver
from tests.certificates import Authority
from tests.systems.hostile import BROKEN, ENDLESS, OK, SLOW, Talker, keeping_alive, saying
from tests.systems.webhooks import ENVELOPE, SECRET, channel_to, sent

METADATA = "169.254.169.254"  # where clouds tell a machine its credentials
HOME = "127.0.0.1"


class Names:
    """A name server that answers with the next of `answers`, the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.asked = 0
        self._answers = answers

    def __call__(self, host: str, port: int, *_: Any) -> list[Any]:
        answer = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in answer]


class LaterClock(SystemClock):
    """The machine's clock and what `later` says."""

    def __init__(self) -> None:
        self.later = timedelta()

    def now(self) -> datetime:
        return super().now() + self.later

    def monotonic(self) -> float:
        return super().monotonic() + self.later.total_seconds()


@pytest.mark.parametrize("name", SLOW)
async def test_who_is_slow_without_end_holds_a_try_for_its_total_time(
    name: str, tmp_path: Path
) -> None:
    """The connection is closed, and the next try may be answered."""
    talker = Talker(SLOW[name])
    async with talker.serve() as port:
        result = await sent(f"http://127.0.0.1:{port}/", tmp_path, total_seconds=0.3)
        await asyncio.wait_for(talker.ended.wait(), 60)

    assert (result.outcome, result.status_code) == ("transient", None)
    assert "no complete answer in time" in str(result.detail)


@pytest.mark.parametrize("name", BROKEN)
async def test_an_answer_that_is_none_is_tried_again(name: str, tmp_path: Path) -> None:
    """Whatever came, it is no success, nothing is raised, and what is told of it is short."""
    talker = Talker(BROKEN[name])
    async with talker.serve() as port:
        result = await sent(f"http://127.0.0.1:{port}/", tmp_path)
        await asyncio.wait_for(talker.ended.wait(), 60)

    assert result.outcome == "transient"
    assert 0 < len(str(result.detail)) <= 500


@pytest.mark.parametrize("name", ENDLESS)
async def test_a_success_that_never_ends_is_cut(name: str, tmp_path: Path) -> None:
    """Its status counts, a little of it is kept, and the connection is closed."""
    talker = Talker(ENDLESS[name])
    async with talker.serve() as port:
        result = await sent(f"http://127.0.0.1:{port}/", tmp_path)
        await asyncio.wait_for(talker.ended.wait(), 60)

    assert result.outcome == "delivered"
    assert len(str(result.response_body)) == RESPONSE_KEPT_BYTES_MAX


async def test_a_loop_of_redirects_is_one_request(tmp_path: Path) -> None:
    """Each answer leads back: the first is the last."""
    seen: list[Request] = []

    def handler(request: Request) -> Response:
        seen.append(request)
        return Response(308, headers={"Location": f"{request.path}x"})

    async with serving(handler) as url:
        assert (await sent(f"{url}/a", tmp_path)).outcome == "redirect"

    assert [request.path for request in seen] == ["/a"]


async def test_no_cookie_is_ever_sent_back(tmp_path: Path) -> None:
    """A receiver cannot mark its sender, nor plant a header in the next request."""
    seen: list[Request] = []

    def handler(request: Request) -> Response:
        seen.append(request)
        return Response(200, headers={"Set-Cookie": "track=1; Path=/"})

    async with serving(handler) as url, channel_to(url, tmp_path) as channel:
        for number in (1, 2):
            await channel.send(ENVELOPE, number)

    assert ["cookie" in request.headers for request in seen] == [False, False]


async def test_a_reset_after_the_receiver_committed_is_a_repeat_of_one_id(tmp_path: Path) -> None:
    """The receiver has the event, we cannot know: it can tell the second by its webhook-id."""
    receiver = Receiver(SECRET)
    receiver.behavior.add([{"name": "reset"}])
    async with receiver.serve() as url, channel_to(url, tmp_path) as channel:
        outcomes = [(await channel.send(ENVELOPE, number)).outcome for number in (1, 2)]

    assert outcomes == ["transient", "delivered"]
    assert [(r["webhook_id"], r["status"]) for r in receiver.records] == [
        ("evt_1", 0),
        ("evt_1", 200),
    ]


async def test_a_name_that_changes_its_address_is_checked_each_time(tmp_path: Path) -> None:
    """Rebinding: what was checked is what is dialed, and one bad answer among good ones is bad."""
    names = Names([HOME], [METADATA], [HOME, "10.0.0.1"], [HOME])
    talker = Talker(saying(OK + b"content-length: 0\r\nconnection: close\r\n\r\n"))
    async with (
        talker.serve() as port,
        channel_to(f"http://erp.example:{port}/", tmp_path, look_up=names) as channel,
    ):
        outcomes = [(await channel.send(ENVELOPE, number)).outcome for number in range(1, 5)]

    assert outcomes == ["delivered", "blocked", "blocked", "delivered"]
    assert (names.asked, talker.connections) == (4, 2)


async def test_a_connection_is_not_used_for_ever(tmp_path: Path) -> None:
    """After some minutes the name is looked up again: what it leads to now is checked."""
    names, clock, talker = Names([HOME], [HOME], [METADATA]), LaterClock(), Talker(keeping_alive)
    used: list[tuple[str, int]] = []
    async with (
        talker.serve() as port,
        channel_to(f"http://erp.example:{port}/", tmp_path, look_up=names, clock=clock) as channel,
    ):
        for minutes_over in (0, 0, 1, 0, 1):
            clock.later += minutes_over * timedelta(seconds=CONNECTION_USE_SECONDS_MAX)
            result = await channel.send(ENVELOPE, 1)
            used.append((result.outcome, names.asked))

    assert used == [
        *(("delivered", 1), ("delivered", 1), ("delivered", 2), ("delivered", 2)),
        ("blocked", 3),
    ]
    assert talker.connections == 2


def unknown(*_: object) -> Sequence[Any]:
    """A name server that knows no such name."""
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://erp.example/", "8.8.8.8"),
        ("https://erp.example:22/", "8.8.8.8"),
        ("https://erp.example/", "10.0.0.1"),
        ("https://erp.example/", METADATA),
        ("https://erp.example/", "::ffff:10.0.0.1"),
        ("https://erp.example/", "64:ff9b::a00:1"),
        ("https://erp.internal/", None),
    ],
)
async def test_whatever_is_refused_is_told_alike(
    url: str, address: str | None, tmp_path: Path
) -> None:
    """No address, no port, no duration, not even whether an internal name exists."""
    result = await sent(url, tmp_path, look_up=Names([address]) if address else unknown)
    other = await sent("http://127.0.0.1/", tmp_path, allow="10.1.0.0/16")

    assert result == other
    assert (result.outcome, result.duration_ms, result.response_body) == ("blocked", 0, None)


async def over_tls(
    tmp_path: Path, named: str, *, days: int = 1, trusted: bool = True
) -> tuple[str, int]:
    """Outcome of a try at erp.example whose certificate is for `named`, and answers given."""
    authority = Authority.at(tmp_path)
    answers = 0

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answers
        answers += 1
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with Talker(talk).serve(authority.server(named, days=days)) as port:
        result = await sent(
            f"https://erp.example:{port}/",
            tmp_path,
            look_up=Names([HOME]),
            ca_file=str(authority.ca_file) if trusted else "",
        )
    return result.outcome, answers


def test_tls_is_new_enough_and_always_verified(tmp_path: Path) -> None:
    """Whatever the settings: the host's name, the authority, and 1.2 at least."""
    for ca_file in ("", str(Authority.at(tmp_path).ca_file)):
        context = Surroundings(SystemClock(), [], 1, 1, 1, ca_file=ca_file).ssl_context
        assert context.check_hostname
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_authorities_that_cannot_be_read_stop_the_start(tmp_path: Path) -> None:
    """The line names the setting and the file."""
    with pytest.raises(BadConfig, match=r"\[notifier\] ca_file .*none"):
        _ = Surroundings(SystemClock(), [], 1, 1, 1, ca_file=f"{tmp_path}/none").ssl_context


async def test_an_endpoint_with_its_own_certificate_is_trusted(tmp_path: Path) -> None:
    """Under the host's name, of an authority the operator named."""
    assert await over_tls(tmp_path, "erp.example") == ("delivered", 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"named": "shop.example"},
        {"named": "erp.example", "days": -1},
        {"named": "erp.example", "trusted": False},
    ],
)
async def test_no_byte_goes_to_an_endpoint_that_is_not_itself(
    wrong: dict[str, Any], tmp_path: Path
) -> None:
    """Another's name, a certificate that has ended, an authority nobody knows."""
    assert await over_tls(tmp_path, **wrong) == ("untrusted", 0)
