"""What came of a request: a page to write, or what is to happen instead.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.poller.answers import (
    RETRY_AFTER_SECONDS_MAX,
    Answer,
    answer_to,
    answer_to_failure,
)
from services.poller.source import (
    Failure,
    Page,
    Refused,
    Rejected,
    Repeated,
    Response,
    Stream,
    Sweep,
    Unreadable,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was made: where in a pass, for which ids or for how many records.

    `attempt` counts the failures in a row before it; `by_parent`: an id stands for many records;
    `silence_seconds_max` is the longest wait that is obeyed.
    """

    sweep: Sweep
    ids: Sequence[str]
    limit: int
    attempt: int
    by_parent: bool = False
    silence_seconds_max: float = RETRY_AFTER_SECONDS_MAX

    @property
    def count(self) -> int:
        """For how many ids it was, or of one list or parent for how many records."""
        by_limit = not self.ids or (self.by_parent and len(self.ids) == 1)
        return self.limit if by_limit else len(self.ids)

    @property
    def halved(self) -> Asked:
        """The same for half as many; `count` must be above 1."""
        if len(self.ids) > 1:
            return replace(self, ids=self.ids[: self.count // 2])
        return replace(self, limit=self.count // 2)

    def answer_to_failure(self, failure: Failure, chance: float, *, child: bool = False) -> Answer:
        """The row for no usable answer."""
        return answer_to_failure(
            failure, limit=self.count, attempt=self.attempt, chance=chance, child=child
        )


def understood(
    stream: Stream, asked: Asked, outcome: Response | Failure, *, chance: float, now: datetime
) -> tuple[Page | None, Answer]:
    """The page to write, if any, and what the answer means."""
    page, answer = _understood(stream, asked, outcome, chance=chance, now=now)
    if answer.action != "refuse":
        return page, answer
    if len(asked.ids) > 1:
        return None, Answer("halve", answer.reason)  # one of them is wrong, not all
    told = outcome.body if isinstance(outcome, Response) and outcome.status != 200 else b""
    refused = (Rejected(one, "", answer.reason, told, stream.facts.parents) for one in asked.ids)
    return Page(refused=tuple(refused)), answer


def _understood(
    stream: Stream, asked: Asked, outcome: Response | Failure, *, chance: float, now: datetime
) -> tuple[Page | None, Answer]:
    facts = stream.facts
    child = bool(facts.ids_max)
    if isinstance(outcome, Failure):
        return None, asked.answer_to_failure(outcome, chance, child=child)
    meant = facts.meaning(outcome)
    answer = answer_to(
        meant,
        outcome.headers,
        child=child,
        attempt=asked.attempt,
        chance=chance,
        now=now,
        silence_seconds_max=asked.silence_seconds_max,
    )
    if meant != outcome.status:
        answer = replace(answer, reason=f"{answer.reason} (said as {outcome.status})")
    if answer.action != "read":
        return None, answer
    try:
        return stream.read(asked.sweep, replace(outcome, limit=asked.limit)), answer
    except Repeated as error:
        failure = Failure("repeated", str(error))
        return None, asked.answer_to_failure(failure, chance, child=child)
    except Unreadable as error:
        return None, asked.answer_to_failure(Failure("unreadable", str(error)), chance)
    except Refused as error:
        return None, Answer("stop", str(error))
