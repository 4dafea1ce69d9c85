"""Is an account well: its credential, its rights, the clocks, one page of each of its streams.

Asks as the loop asks and understands as it understands; needs no Kafka and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from bus.clock import Clock
from schemas.cursor import Cursor
from services.poller.answers import Answer
from services.poller.http import Http
from services.poller.outcome import Asked, understood
from services.poller.session import Session
from services.poller.source import AccountSettings, Facts, Failure, Page, Response, Stream
from services.poller.sources import sources
from services.poller.upstream_clock import UpstreamClock

LOOK_BACK = timedelta(days=1)  # what a stream that begins at the connection is asked for
SKEW_MAX = timedelta(seconds=60)  # what two polls overlap by default


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line: what was looked at, whether it is well, and what was seen or is to be done."""

    check: str
    ok: bool
    says: str


@dataclass(frozen=True, slots=True)
class Tried:
    """A stream's one request.  `meant` is the status of its answer, 0 without one.

    `outcome` None: there was nothing to read by id.
    """

    facts: Facts
    outcome: Response | Failure | None
    page: Page | None = None
    answer: Answer | None = None

    @property
    def meant(self) -> int:
        """The status that the answer should have had."""
        return self.facts.meaning(self.outcome) if isinstance(self.outcome, Response) else 0


async def check(settings: AccountSettings, clock: Clock, timeout_seconds: float) -> list[Verdict]:
    """One page of each stream; those that read by id read what a list has just found for them."""
    trial = _Trial(settings, clock, timeout_seconds)
    try:
        for stream in sorted(trial.streams, key=lambda one: one.facts.ids_max > 0):
            trial.tried.append(await trial.of(stream))
    finally:
        await trial.session.close()
    return judged(trial.tried, trial.upstream.told)


class _Trial:
    """One account's streams, asked once each."""

    def __init__(self, settings: AccountSettings, clock: Clock, timeout_seconds: float) -> None:
        source = sources()[settings.source]
        self.streams = source.streams(settings)
        self.session = Session(Http(clock, timeout_seconds), source.login(settings))
        self.upstream = UpstreamClock()
        self.tried: list[Tried] = []
        self._settings = settings
        self._clock = clock

    async def of(self, stream: Stream) -> Tried:
        facts, now = stream.facts, self.upstream.now(self._clock.now())
        ids = [*_ids(facts, self.tried)][:1]
        if facts.ids_max and not ids:
            return Tried(facts, None)
        cursor = Cursor(
            source=self._settings.source,
            account=self._settings.name,
            stream=facts.name,
            connected_at=now - LOOK_BACK,
            fingerprint=facts.fingerprint,
        )
        sweep = stream.begin(cursor, now, ids)
        outcome = await self.session.send(stream.request(sweep, facts.page_size))
        if isinstance(outcome, Response):
            self.upstream.heard(outcome.headers, self._clock.now())
        asked = Asked(sweep, ids, facts.page_size, 0)
        page, answer = understood(stream, asked, outcome, chance=0.0, now=self._clock.now())
        return Tried(facts, outcome, page, answer)


def _ids(facts: Facts, before: Iterable[Tried]) -> Iterable[str]:
    """What the lists have found for a stream to read by id."""
    for page in (one.page for one in before if one.page is not None):
        yield from (f.upstream_id for f in page.found if f.due and f.due.stream == facts.name)
        yield from (p.id for p in page.parents if p.due and p.due.stream == facts.name)


def judged(tried: Sequence[Tried], skew: timedelta | None) -> list[Verdict]:
    """The verdicts on what was seen."""
    return [_credential(tried), *(_stream(one) for one in tried), _clock(skew)]


def _credential(tried: Sequence[Tried]) -> Verdict:
    meant = [one.meant for one in tried]
    if 200 in meant:
        return Verdict("credential", True, "the upstream accepts it")
    refused = [
        one.answer.reason
        for one in tried
        if one.answer and (one.meant == 401 or _login_failed(one.outcome))
    ]
    if refused:
        return Verdict("credential", False, refused[0])
    if 403 in meant:
        return Verdict("credential", True, "the upstream knows it, but see its rights below")
    return Verdict("credential", False, "not told: no stream was answered, see below")


def _login_failed(outcome: Response | Failure | None) -> bool:
    return isinstance(outcome, Failure) and outcome.kind == "login"


def _stream(tried: Tried) -> Verdict:
    name = f"stream {tried.facts.name}"
    if tried.answer is None:
        return Verdict(name, True, "not tried: no list has found anything for it to read by id")
    if tried.page is not None and tried.answer.action == "read":
        return _page(name, tried.page)
    reason = tried.answer.reason
    if tried.meant == 403:
        return Verdict(name, False, f"{reason}; it may not read {tried.facts.resource}")
    later = "; that may pass: check again later" if tried.answer.action == "retry" else ""
    return Verdict(name, False, reason + later)


def _page(name: str, page: Page) -> Verdict:
    count = len(page.found) + len(page.parents)
    says = f"{count} records on one page" if count else "answered; nothing to read now"
    if not page.rejected:
        return Verdict(name, True, says)
    first = page.rejected[0]
    bad = f"{len(page.rejected)} cannot be read, the first at {first.path}: {first.reason}"
    return Verdict(name, bool(count), f"{says}; {bad}")


def _clock(skew: timedelta | None) -> Verdict:
    if skew is None:
        return Verdict("clock", True, "the upstream did not say what time it is there")
    seconds = skew.total_seconds()
    if abs(skew) <= SKEW_MAX:
        return Verdict("clock", True, f"{abs(seconds):.1f} s apart")
    word = "behind" if seconds < 0 else "ahead of"
    return Verdict(
        "clock",
        False,
        f"the upstream's is {abs(seconds):.0f} s {word} ours: set the clock of this machine; "
        "where it is theirs that is wrong, polls keep to theirs and nothing is lost",
    )
