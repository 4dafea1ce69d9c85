"""A record set aside whole: its bytes untouched in the value, why and where from in the headers.

The original's own headers stand beside those of the letter, so that it can go its way again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from schemas.message import Headers, Instant, Message, iso, parse_instant, present

TEXT_LENGTH_MAX = 2000  # characters; a reason is a sentence, not a dump
PREFIX = "shipfeed-dead-"


class DeadLetter(Message):
    """Why a record could not go on.

    `service` set it aside at `at`; `path` is where in the record the trouble is; `origin` is the
    place of the original: a URL without its query, or `topic/partition/offset`.  `whole` False: it
    was too large for the topic, and what is kept is its head, digest and size.  `stream` is set
    where an upstream refused what a stream asked for by its id: redriven, that stream asks again.
    """

    service: str
    reason: str
    path: str = ""
    origin: str = ""
    source: str = ""
    account: str = ""
    at: Instant
    whole: bool = True
    stream: str = ""

    def headers(self) -> list[tuple[str, bytes]]:
        """Kafka headers; `read` is the inverse."""
        texts = {
            "service": self.service,
            "reason": self.reason[:TEXT_LENGTH_MAX],
            "path": self.path[:TEXT_LENGTH_MAX],
            "origin": self.origin[:TEXT_LENGTH_MAX],
            "source": self.source,
            "account": self.account,
            "at": iso(self.at),
        }
        if not self.whole:
            texts["whole"] = "false"
        if self.stream:
            texts["stream"] = self.stream
        return [(f"{PREFIX}{name}", text.encode()) for name, text in texts.items()]

    @classmethod
    def read(cls, headers: Headers) -> Self:
        """Raises ValueError when the instant or the reason is missing."""
        texts = {
            name.removeprefix(PREFIX): value.decode()
            for name, value in present(headers).items()
            if name.startswith(PREFIX)
        }
        if "at" not in texts or "reason" not in texts:
            raise ValueError("a dead letter without the headers shipfeed-dead-at and -reason")
        return cls.model_validate({**texts, "at": parse_instant(texts["at"])})


def originals(headers: Iterable[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """The headers of the record itself, without those of a letter about it; null is empty."""
    return [(name, value or b"") for name, value in headers if not name.startswith(PREFIX)]
