"""Writing beside the owner of some work: a writer with the work's own id fences it.

So nobody writes between what is read and what is written here.  The owner learns of it at its next
commit, takes its work over again and reads what was written; taking over fences us in turn, so an
order that was not carried out is tried again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from bus.errors import RetryLater
from bus.transaction import Writer

TRIES_MAX = 5

T = TypeVar("T")


async def beside_owner(build: Callable[[], Writer], work: Callable[[Writer], Awaitable[T]]) -> T:
    """What `work` gives, done with a started writer; it is tried anew as a whole.

    Raises RetryLater once it was fenced or failed `TRIES_MAX` times.
    """
    failure = RetryLater()
    for _ in range(TRIES_MAX):
        writer = build()
        try:
            await writer.start()
            return await work(writer)
        except RetryLater as error:
            failure = error
        finally:
            await writer.close()
    raise failure
