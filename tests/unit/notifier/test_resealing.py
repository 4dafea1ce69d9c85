"""Secrets move to the newest master key."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bus.errors import BadConfig
from schemas.subscription import LogChannel, SigningSecret, Subscription, WebhookChannel
from services.notifier.resealing import resealed
from services.notifier.sealing import Sealer, bound_to

OLD, NEW = bytes(32), bytes([1]) * 32
ERP = bound_to("shipfeed", "erp")
UNTIL = datetime(2026, 3, 2, tzinfo=UTC)


def subscription(*references: str) -> Subscription:
    """The last secret is one that was replaced."""
    secrets = [SigningSecret(reference=one) for one in references]
    secrets[-1] = secrets[-1].model_copy(update={"until": UNTIL})
    return Subscription(
        id="erp",
        types=("*",),
        channel=WebhookChannel(url="https://erp.example/", secrets=tuple(secrets)),
        start_offsets={},
        created_at=datetime(2026, 3, 1, tzinfo=UTC),
    )


def secrets_of(found: Subscription) -> tuple[SigningSecret, ...]:
    assert isinstance(found.channel, WebhookChannel)
    return found.channel.secrets


def test_only_what_an_older_key_sealed_is_sealed_anew() -> None:
    """The same secrets in the same order, each as long in force, readable without the old key."""
    rotating = Sealer([NEW, OLD])
    older, newer = Sealer([OLD]).seal("one", ERP), rotating.seal("two", ERP)
    before = subscription("env:NAME", newer, older)
    once = resealed(before, rotating, "shipfeed")
    after = secrets_of(once)

    assert [one.reference for one in after[:2]] == ["env:NAME", newer]
    assert [one.until for one in after] == [None, None, UNTIL]
    assert Sealer([NEW]).open(after[2].reference, ERP) == "one"
    assert resealed(once, rotating, "shipfeed") == once


def test_a_key_that_was_taken_away_too_early_is_an_error_that_names_it() -> None:
    """Nothing is thrown away: with the key back it opens."""
    before = subscription(Sealer([OLD]).seal("one", ERP))

    with pytest.raises(BadConfig, match="add that key again"):
        resealed(before, Sealer([NEW]), "shipfeed")


def test_what_has_no_secrets_stays_as_it_is() -> None:
    """Other channels, and secrets that stand elsewhere, without any master key."""
    plain = subscription("env:NAME")

    assert resealed(plain, Sealer(), "shipfeed") == plain
    other = plain.model_copy(update={"channel": LogChannel()})
    assert resealed(other, Sealer(), "shipfeed") == other
