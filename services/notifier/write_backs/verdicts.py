"""What planning comes to: one call, nothing since the target has it, or nothing until asked again.

What is held says why, with the value that is in the way, and what to do about it.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.write_back import Call, Wanted


@dataclass(frozen=True, slots=True)
class Ready:
    """This is to be sent."""

    call: Call


@dataclass(frozen=True, slots=True)
class There:
    """The target has it, as this fulfillment.

    `ours` is false where somebody else made it: a call of ours may then still be on its way.
    """

    fulfillment_id: str
    ours: bool = True


@dataclass(frozen=True, slots=True)
class Hold:
    """Somebody has to decide: why, what to do, and between what."""

    reason: str
    candidates: tuple[str, ...] = ()


Plan = Ready | There | Hold


def hold(wanted: Wanted, why: str, to_do: str, candidates: tuple[str, ...] = ()) -> Hold:
    """Held until somebody did `to_do` and asked for it again."""
    return Hold(f"{place_of(wanted)}: {why}; {to_do}, then {again(wanted)}", candidates)


def place_of(wanted: Wanted) -> str:
    """The order it is about, for people."""
    order = f"order {wanted.order}" if wanted.order is not None else f"for {wanted.fulfillment}"
    return f"target {wanted.target}, {order}"


def again(wanted: Wanted) -> str:
    """How it is asked for again."""
    return f"`shipfeed write-backs retry {wanted.event_id}`"
