"""A token that runs out: taken once, renewed once, and never a reason to set a record aside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from bus.clock import SystemClock
from services.poller.http import Http
from services.poller.session import Session
from services.poller.source import Failure, Request, Response, Token, Unreadable
from testbed.http import Request as Asked
from testbed.http import Response as Answer
from testbed.http import serving

PASSWORD = "canary-password"


class Login:
    """Logs in at /login, refreshes at /refresh; both give the token in their body."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url

    def log_in(self) -> Request:
        return Request(f"{self.base_url}/login", headers={"x-password": PASSWORD})

    def refresh(self, token: Token) -> Request | None:
        return Request(f"{self.base_url}/refresh", headers={"x-refresh": token.refresh})

    def token(self, response: Response) -> Token:
        if not response.body:
            raise Unreadable("no token in it")
        return Token(response.body.decode(), "again")

    def signed(self, request: Request, token: Token) -> Request:
        return Request(request.url, headers={"authorization": token.access})


class Upstream:
    """Lets in who carries the newest token; counts what was asked."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.tokens = 0
        self.login_status = self.refresh_status = 200
        self.let_in = True

    def handle(self, asked: Asked) -> Answer:
        self.paths.append(asked.path)
        if asked.path == "/login":
            return self._given(self.login_status)
        if asked.path == "/refresh":
            return self._given(self.refresh_status)
        valid = self.let_in and asked.headers.get("authorization") == f"t{self.tokens}"
        return Answer(200 if valid else 401)

    def expire(self) -> None:
        self.tokens += 1

    def _given(self, status: int) -> Answer:
        if status != 200:
            return Answer(status)
        self.tokens += 1
        return Answer(200, f"t{self.tokens}".encode())


@pytest.fixture
async def ready() -> AsyncIterator[tuple[Upstream, Callable[[], asyncio.Future[object]]]]:
    """An upstream and a way to ask it for a page."""
    upstream = Upstream()
    async with serving(upstream.handle) as url:
        session = Session(Http(SystemClock(), 5), Login(url))
        yield upstream, lambda: asyncio.ensure_future(session.send(Request(f"{url}/page")))
        await session.close()


Ready = tuple[Upstream, Callable[[], "asyncio.Future[Response | Failure]"]]


def status(outcome: Response | Failure) -> int:
    assert isinstance(outcome, Response), outcome
    return outcome.status


async def test_the_first_request_logs_in_and_the_next_do_not(ready: Ready) -> None:
    """Also when several streams begin at once."""
    upstream, ask = ready
    first = await asyncio.gather(ask(), ask(), ask())
    assert [status(one) for one in first] == [200] * 3
    assert status(await ask()) == 200
    assert upstream.paths.count("/login") == 1


async def test_a_token_that_has_run_out_is_refreshed_once_for_all(ready: Ready) -> None:
    """The request that met the 401 is repeated, whichever page it was for."""
    upstream, ask = ready
    await ask()
    upstream.expire()
    again = await asyncio.gather(ask(), ask())
    assert [status(one) for one in again] == [200, 200]
    assert upstream.paths.count("/refresh") == 1
    assert upstream.paths.count("/login") == 1


async def test_a_refused_refresh_is_followed_by_a_login(ready: Ready) -> None:
    """Its refresh token had run out, too."""
    upstream, ask = ready
    await ask()
    upstream.expire()
    upstream.refresh_status = 401
    assert status(await ask()) == 200
    assert upstream.paths[-3:] == ["/refresh", "/login", "/page"]


async def test_who_is_not_let_in_with_a_new_token_either_is_told_so(ready: Ready) -> None:
    """One renewal for each request, then the answer stands."""
    upstream, ask = ready
    upstream.let_in = False
    assert status(await ask()) == 401
    assert upstream.paths == ["/login", "/page", "/refresh", "/page"]


@pytest.mark.parametrize("code", [400, 401, 403, 404, 422])
async def test_a_refused_login_is_the_accounts_trouble_never_a_records(
    ready: Ready, code: int
) -> None:
    """A 404 of the login is no answer about a record; the text names the code, not the secret."""
    upstream, ask = ready
    upstream.login_status = code
    outcome = await ask()
    assert isinstance(outcome, Failure)
    assert outcome.kind == "login"
    assert str(code) in outcome.detail
    assert PASSWORD not in repr(outcome)


async def test_an_upstream_that_is_down_is_asked_to_let_in_again_later(ready: Ready) -> None:
    """Its answer is left to the ordinary rules: wait as long as it says."""
    upstream, ask = ready
    upstream.login_status = 503
    assert status(await ask()) == 503
    upstream.login_status = 200
    assert status(await ask()) == 200


def test_a_token_is_not_shown() -> None:
    """Not even in its own text."""
    assert "t1" not in repr(Token("t1", "t1"))
