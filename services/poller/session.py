"""An account's way into its upstream: its client and, where there is a login, its token.

The token lives in memory; a restart logs in again.
"""

from __future__ import annotations

import asyncio

from services.poller.answers import RETRIED, UNAUTHORIZED
from services.poller.http import Http
from services.poller.source import (
    Failure,
    Login,
    Refused,
    Request,
    Response,
    Token,
    Unreadable,
)


class Session:
    """Sends requests, signed where the account logs in; one renewal at a time."""

    def __init__(self, http: Http, login: Login | None) -> None:
        self._http = http
        self._login = login
        self._token: Token | None = None
        self._renewing = asyncio.Lock()

    async def send(self, request: Request) -> Response | Failure:
        """The answer; a token that has run out is renewed, once, and the request repeated."""
        if self._login is None:
            return await self._http.send(request)
        token: Token | Response | Failure | None = self._token
        if token is None:
            token = await self._renewed(self._login, None)
        if not isinstance(token, Token):
            return token
        outcome = await self._http.send(self._login.signed(request, token))
        if not isinstance(outcome, Response) or outcome.status != 401:
            return outcome
        renewed = await self._renewed(self._login, token)
        if not isinstance(renewed, Token):
            return renewed
        return await self._http.send(self._login.signed(request, renewed))

    async def close(self) -> None:
        """Close every connection."""
        await self._http.close()

    async def _renewed(self, login: Login, old: Token | None) -> Token | Response | Failure:
        """A token other than `old`, by another stream, refresh or login; or why there is none."""
        async with self._renewing:
            if self._token is not None and self._token is not old:
                return self._token
            self._token = None
            refresh = login.refresh(old) if old is not None else None
            if refresh is not None:
                found = _token_of(login, await self._http.send(refresh))
                if not _refused(found):
                    self._token = found if isinstance(found, Token) else None
                    return found
            found = _token_of(login, await self._http.send(login.log_in()))
            self._token = found if isinstance(found, Token) else None
            return found


def _refused(found: Token | Response | Failure) -> bool:
    return isinstance(found, Failure) and found.kind == "login"


def _token_of(login: Login, outcome: Response | Failure) -> Token | Response | Failure:
    """What an answer to a login or refresh gave.  One that may be repeated is left as it is."""
    if isinstance(outcome, Failure):
        return outcome
    status = outcome.status
    if status in RETRIED or status >= 500:
        return outcome
    if status != 200:
        advice = "credential and its rights" if status in UNAUTHORIZED else "base_url"
        return Failure("login", f"the login was answered {status}; check the account's {advice}")
    try:
        return login.token(outcome)
    except Unreadable as error:
        return Failure("unreadable", f"the login's answer: {error}")
    except Refused as error:
        return Failure("login", str(error))
