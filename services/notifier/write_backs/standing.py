"""What a Wanted makes of what is known, and why a WriteBack may have to stand still.  Pure."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from schemas.subscription import Subscription, WriteBackChannel
from schemas.write_back import Wanted, WriteBack
from services.notifier.write_backs.lines import BY_HAND
from services.notifier.write_backs.verdicts import place_of
from services.notifier.write_backs.wanting import way_of


@dataclass(frozen=True, slots=True)
class Standing:
    """Why nothing is done about it: until that changes by itself, or until it is wanted again."""

    state: Literal["waiting", "held"]
    reason: str


def taken_in(
    wanted: Wanted, before: WriteBack | None, place: int, now: datetime
) -> WriteBack | None:
    """A new WriteBack, or the held one again from its beginning; None: there is nothing to do."""
    if before is not None and before.state != "held":
        return None
    return WriteBack(
        wanted=wanted,
        place=before.place if before is not None else place,
        state="waiting",
        due_at=now,
        updated_at=now,
    )


def standing(
    write_back: WriteBack,
    subscription: Subscription | None,
    targets: Container[str],
    unreadable: str | None = None,
) -> Standing | None:
    """None: it goes on.  What is unknown is looked up all the same, whoever wanted it.

    `unreadable`: why the subscription cannot be read; it waits then, whatever is known of it.
    """
    wanted, name = write_back.wanted, write_back.wanted.subscription
    if wanted.target not in targets:
        return Standing(
            "waiting",
            f"no [[targets]] table is named {wanted.target}: add it and restart the notifiers",
        )
    if write_back.state != "waiting":
        return None
    if unreadable is not None:
        return Standing("waiting", unreadable)
    if subscription is None:
        return Standing("held", f"subscription {name} was deleted: nothing is sent for it")
    if channel_of(write_back, subscription) is None:
        return Standing(
            "held",
            f"subscription {name} does not write back to {wanted.target} by {wanted.way} any more: "
            "nothing is sent for it unless it does so again and this is asked for again",
        )
    if subscription.disabled_reason is not None:
        return Standing(
            "waiting",
            f"subscription {name} is disabled ({subscription.disabled_reason}): enable it",
        )
    return None


def channel_of(write_back: WriteBack, subscription: Subscription | None) -> WriteBackChannel | None:
    """How it is written back, as the subscription says it now; None: it says nothing of it.

    Found the other way by now, its order has another key, and so another owner.
    """
    channel, wanted = subscription.channel if subscription is not None else None, write_back.wanted
    if not isinstance(channel, WriteBackChannel):
        return None
    same = (channel.target, way_of(channel)) == (wanted.target, wanted.way)
    return channel if same else None


def stood(write_back: WriteBack, found: Standing, now: datetime) -> WriteBack | None:
    """The WriteBack as it stands; None when that is how it stood already."""
    state = found.state if write_back.state == "waiting" else write_back.state
    if (state, found.reason) == (write_back.state, write_back.reason):
        return None
    return write_back.model_copy(update={"state": state, "reason": found.reason, "updated_at": now})


def too_large(write_back: WriteBack, why: str, now: datetime) -> WriteBack:
    """Held without what was to be added to it; a call that may have been made is in it already."""
    wanted = write_back.wanted
    reason = (
        f"{place_of(wanted)}: what is to be noted of it is too large: {why}; {BY_HAND}, then "
        f"`shipfeed write-backs settle {wanted.event_id} --as FULFILLMENT`, or --nothing"
    )
    update = {"state": "held", "reason": reason, "candidates": (), "updated_at": now}
    return write_back.model_copy(update=update)
