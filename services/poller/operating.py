"""Writing what a slot remembers beside the poller that owns it, on an operator's order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from bus.beside import beside_owner
from bus.errors import Misuse
from bus.settings import KafkaSettings
from bus.table import Table
from bus.transaction import Record, Transaction, Writer
from schemas.cursor import Cursor, Mark, mark_key
from schemas.topics import CURSORS
from services.poller.marks import rejected_id
from services.poller.slot import home_of, writer_of
from services.poller.sources import sources
from services.poller.steering import label_of


async def change(
    kafka: KafkaSettings, cursors: Sequence[Cursor], become: Callable[[Cursor], Cursor]
) -> list[tuple[Cursor, Cursor]]:
    """Write what each of one account's cursors becomes; (before, after) of each.

    What was passed only names them: they are read again once nobody else can write.  Raises
    Misuse, RetryLater.
    """
    slot = slot_number(kafka, cursors[0].source, cursors[0].account)

    async def write(writer: Writer) -> list[tuple[Cursor, Cursor]]:
        table = Table(kafka, CURSORS, slot)
        await table.restore()
        changes = [(before, become(before)) for before in _stored(table, cursors)]
        put = [table.put(after.key, after.to_json()) for _, after in changes]
        await writer.commit(Transaction(put))
        return changes

    return await beside_owner(partial(writer_of, kafka, slot), write)


async def forget_marks(
    kafka: KafkaSettings, source: str, account: str, resource: str, upstream_id: str
) -> None:
    """Remove what is remembered of one record: whatever is read of it next is new.

    Raises Misuse, RetryLater.
    """
    slot = slot_number(kafka, source, account)
    ids = (upstream_id, rejected_id(upstream_id))
    keys = [mark_key(source, account, resource, one) for one in ids]
    tombstones = [Record(kafka.topic(CURSORS), slot, key, None) for key in keys]

    async def write(writer: Writer) -> None:
        await writer.commit(Transaction(tombstones))

    await beside_owner(partial(writer_of, kafka, slot), write)


@dataclass(frozen=True, slots=True)
class Child:
    """What a stream asked for by its id and was refused; `at` is when that was set aside."""

    resource: str
    upstream_id: str
    stream: str
    at: datetime


def due_again(source: str, account: str, child: Child, known: bytes | None) -> Mark:
    """The mark with which a child is asked for again; `known` is its present one, if any."""
    mark = Mark(
        source=source,
        account=account,
        resource=child.resource,
        upstream_id=child.upstream_id,
        content="",
        observed_at=child.at,
    )
    if known is not None:
        mark = Mark.model_validate_json(known)
    due = {"due_at": child.at, "due_stream": child.stream, "refusals": 0, "refused_since": None}
    return mark.model_copy(update=due)


async def ask_again(
    kafka: KafkaSettings, source: str, account: str, children: Sequence[Child]
) -> int:
    """Make children of one account due again, and return the slot that asks for them.

    Raises Misuse, RetryLater.
    """
    slot = slot_number(kafka, source, account)

    async def write(writer: Writer) -> None:
        table = Table(kafka, CURSORS, slot)
        await table.restore()
        put: list[Record] = []
        for child in children:
            place = (source, account, child.resource)
            mark = due_again(source, account, child, table.get(mark_key(*place, child.upstream_id)))
            put.append(table.put(mark.key, mark.to_json()))
            put.append(table.put(mark_key(*place, rejected_id(child.upstream_id)), None))
        await writer.commit(Transaction(put))

    await beside_owner(partial(writer_of, kafka, slot), write)
    return slot


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
