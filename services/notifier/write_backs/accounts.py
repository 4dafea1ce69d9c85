"""The target accounts of this copy: what each may be asked, over all its partitions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial

from bus.clock import Clock
from services.notifier.limits import Bucket
from services.notifier.target import WriteTarget
from services.notifier.write_backs.settings import TargetEntry


class Account:
    """One target account, and how much of its rate is this copy's to use."""

    def __init__(self, entry: TargetEntry, target: WriteTarget, clock: Clock) -> None:
        self.entry = entry
        self.target = target
        self._clock = clock
        self._bucket = Bucket(entry.requests_per_second, clock.monotonic())
        self._sent = target.sent  # as far as it is paid for
        self._paused_until = clock.now()

    def share(self, part: float) -> None:
        """This copy's part of the rate, above 0 and at most 1."""
        self._bucket.change(self.entry.requests_per_second * part, self._clock.monotonic())

    def wait_seconds(self, now: datetime) -> float:
        """0: the next step may begin; else ask again in so many seconds.

        A step is not held up between what it reads and what it sends: what it sent is paid for
        afterwards, by the steps that come after it.
        """
        at = self._clock.monotonic()
        self._pay()
        paused = (self._paused_until - now).total_seconds()
        return max(paused, self._bucket.wait_seconds(at))

    def begin(self) -> None:
        """A step begins, and will send something."""
        self._bucket.take()
        self._sent += 1

    def pause(self, until: datetime) -> None:
        """Nothing of it goes on until then: it is busy, or does not let us in."""
        self._paused_until = max(self._paused_until, until)

    def _pay(self) -> None:
        while self._sent < self.target.sent:
            self._sent += 1
            self._bucket.take()


class Accounts(Mapping[str, Account]):
    """By name; `partitions`: how many there are of write-backs, over all copies."""

    def __init__(
        self, targets: Iterable[tuple[TargetEntry, WriteTarget]], clock: Clock, partitions: int
    ) -> None:
        self._accounts = {entry.name: Account(entry, one, clock) for entry, one in targets}
        self._partitions = partitions
        self._owned = 0
        self._own(0)

    def __getitem__(self, name: str) -> Account:
        return self._accounts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._accounts)

    def __len__(self) -> int:
        return len(self._accounts)

    def join(self) -> Callable[[], None]:
        """A partition more is owned: the shares grow.  Returns what ends that."""
        self._own(1)
        return partial(self._own, -1)

    async def close(self) -> None:
        """No connection is open when it returns."""
        for account in self._accounts.values():
            await account.target.close()

    def _own(self, more: int) -> None:
        self._owned += more
        for account in self._accounts.values():
            account.share(max(1, self._owned) / self._partitions)
