"""`[[targets]]` and `channel = { type = "write_back" }` of shipfeed.toml, and what each forbids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from bus.errors import BadConfig
from bus.settings import Config, Settings, checked, secret
from schemas.message import Name
from schemas.subscription import WriteBackChannel
from schemas.write_back import OrderWay
from services.notifier.write_backs.files import FILE, BadFile, item_costs, order_ids
from services.notifier.write_backs.steps import INTENT_SECONDS_MAX
from services.notifier.write_backs.wanting import WRITTEN_BACK, way_of

ORDERS = ("order_number", "order_id")
UNKNOWN_WAIT_SECONDS_MAX = 7 * 24 * 3600


class TargetEntry(Settings):
    """One `[[targets]]` table."""

    name: Name
    system: str = Field(description="such as digital_river: a module of targets/")
    secret: str = Field(
        description="env:NAME or file:PATH of a key that may write; not the one that polls"
    )
    base_url: str = Field("", description="left out: the system's own")
    requests_per_second: float = Field(
        10, gt=0, description="reads and calls, over all copies of the notifier"
    )
    timeout_seconds: float = Field(30, gt=0, description="one request, all in all")
    unknown_wait_seconds: float = Field(
        900,
        gt=0,
        le=UNKNOWN_WAIT_SECONDS_MAX,
        description="how long after a call without an answer it could still be carried out: longer "
        f"than the system ever takes, and at least timeout_seconds + {INTENT_SECONDS_MAX:g}",
    )

    @model_validator(mode="after")
    def _check_unknown_wait(self) -> Self:
        """Refuse a wait that may end while the call itself still runs: it would be repeated."""
        needed = self.timeout_seconds + INTENT_SECONDS_MAX
        if self.unknown_wait_seconds < needed:
            raise ValueError(
                f"unknown_wait_seconds is {self.unknown_wait_seconds:g}, expected at least "
                f"{needed:g}: a call may begin {INTENT_SECONDS_MAX:g} s after it was decided and "
                f"take {self.timeout_seconds:g} s (timeout_seconds); repeated before its end it "
                "could be paid twice"
            )
        return self


def _checked_order(order: object) -> object:
    """Raises ValueError, which names what may stand there."""
    if order in ORDERS or (isinstance(order, str) and order.startswith(FILE) and order != FILE):
        return order
    raise ValueError(f"an order is found by {', '.join(ORDERS)} or {FILE}PATH of a map")


class WriteBackEntry(Settings):
    """`channel = { type = "write_back", … }`."""

    type: Literal["write_back"]
    target: Name = Field(description="the name of a [[targets]] table")
    order: Annotated[str, BeforeValidator(_checked_order)] = Field(
        "order_number",
        description="what an order is found by at the target: the event's order_number or "
        "order_id, or file:PATH of a JSON object from order numbers to the target's order ids",
    )
    costs: str | None = Field(
        None,
        pattern=r"^file:.",
        description='file:PATH of a JSON object from SKUs to { "distributor_cost": "1.20", '
        '"shipping_cost": "0.30" }, either or both',
    )
    currency: str | None = Field(
        None, pattern=r"^[A-Z]{3}$", description="of the costs, ISO 4217, such as EUR"
    )
    partner_id: str | None = Field(None, min_length=1, max_length=255)

    def record(self) -> WriteBackChannel:
        """As it stands on Kafka."""
        return WriteBackChannel.model_validate(self.model_dump())


def read_targets(config: Config) -> list[TargetEntry]:
    """Every `[[targets]]` table, its secret looked up.  Raises BadConfig naming the key.

    Two tables for one account are refused: an order would stand under two keys, with two owners.
    """
    entries: list[TargetEntry] = []
    accounts: dict[tuple[str, str], str] = {}
    for number, table in enumerate(config.tables("targets"), start=1):
        where = f"[[targets]] {table.get('name', f'number {number}')}"
        entry = checked(TargetEntry, table, where)
        if any(entry.name == other.name for other in entries):
            raise BadConfig(f"{where}: the name is used twice")
        account = entry.system, secret(entry.secret, f"{where} secret")
        if (other_name := accounts.setdefault(account, entry.name)) != entry.name:
            raise BadConfig(
                f"{where} secret: {other_name} has the same key, so both are one account: have "
                "subscriptions name one table for it"
            )
        entries.append(entry)
    return entries


def check_write_back(
    entry: WriteBackEntry, types: Iterable[str], targets: Sequence[TargetEntry], where: str
) -> None:
    """Raises BadConfig for a subscription that would write back what it must not, or nothing."""
    names = [one.name for one in targets]
    if entry.target not in names:
        known = ", ".join(names) or "none at all"
        raise BadConfig(
            f"{where} channel.target: no [[targets]] table is named {entry.target}; there are: "
            f"{known}"
        )
    if wrong := [one for one in types if one not in WRITTEN_BACK]:
        raise BadConfig(
            f"{where} types: {wrong[0]!r} is not written back; name each of what is, in full: "
            + ", ".join(WRITTEN_BACK)
        )
    if entry.costs is not None and entry.currency is None:
        raise BadConfig(f"{where} channel.currency: costs need one, such as EUR")
    if entry.currency is not None and entry.costs is None:
        raise BadConfig(
            f"{where} channel.currency does nothing without channel.costs: leave it out, or name "
            "the file of the costs"
        )
    for key, file in (
        ("order", order_ids(entry.order)),
        ("costs", item_costs(entry.costs) if entry.costs is not None else None),
    ):
        try:
            _ = file.value() if file is not None else None
        except BadFile as error:
            raise BadConfig(f"{where} channel.{key}: {error}") from error


def check_ways(entries: Iterable[tuple[str, WriteBackEntry]]) -> None:
    """Raises BadConfig when an order of one target would go by its number here and its id there:
    it would stand under two keys, and be written to by two owners.
    """
    first: dict[str, tuple[str, OrderWay]] = {}
    for name, entry in entries:
        way = way_of(entry.record())
        other, taken = first.setdefault(entry.target, (name, way))
        if way != taken:
            raise BadConfig(
                f"[[subscriptions]] {name} channel.order: {other} finds the orders of "
                f"{entry.target} the other way: let both go by order_number, or both by the "
                "target's order ids"
            )
