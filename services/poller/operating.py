"""Writing a slot's cursors beside the poller that owns it: the effects of an operator's commands.

The writer has the slot's own id, so starting it fences the owner, and what is read then cannot be
written behind our back.  The owner learns of it at its next commit, takes the slot over again and
reads what was written here; taking over fences us in turn, so an order that was not carried out is
tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bus.errors import Misuse, RetryLater
from bus.settings import KafkaSettings
from bus.table import Table
from bus.transaction import Transaction
from schemas.cursor import Cursor
from schemas.topics import CURSORS
from services.poller.slot import home_of, writer_of
from services.poller.sources import sources
from services.poller.steering import label_of

TRIES_MAX = 5


async def change(
    kafka: KafkaSettings, cursors: Sequence[Cursor], become: Callable[[Cursor], Cursor]
) -> list[tuple[Cursor, Cursor]]:
    """Write what each of one account's cursors becomes; (before, after) of each.

    What was passed only names them: they are read again once nobody else can write.  Raises
    Misuse, RetryLater.
    """
    slot, failure = slot_number(kafka, cursors[0].source, cursors[0].account), RetryLater()
    for _ in range(TRIES_MAX):
        writer, table = writer_of(kafka, slot), Table(kafka, CURSORS, slot)
        try:
            await writer.start()
            await table.restore()
            changes = [(before, become(before)) for before in _stored(table, cursors)]
            put = [table.put(after.key, after.to_json()) for _, after in changes]
            await writer.commit(Transaction(put))
        except RetryLater as error:
            failure = error
        else:
            return changes
        finally:
            await writer.close()
    raise failure


def slot_number(kafka: KafkaSettings, source: str, account: str) -> int:
    """Where an account lives.  Raises Misuse for a system that this build does not know."""
    if source not in sources():
        raise Misuse(f"{source}/{account}: this build knows no system {source!r}")
    return home_of(source, account, kafka.slots)


def _stored(table: Table, named: Sequence[Cursor]) -> list[Cursor]:
    found = []
    for one in named:
        value = table.get(one.key)
        if value is None:
            raise Misuse(
                f"{label_of(one)} {one.stream} is not in {table.topic}/{table.partition}, its "
                "slot: give the configuration of the pollers; [kafka] slots says where it lives"
            )
        found.append(Cursor.model_validate_json(value))
    return found
