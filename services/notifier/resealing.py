"""Secrets sealed under an older master key are sealed anew under the newest when a copy starts.

So an operator changes the key in three restarts: add the new one behind the old one, put it first,
leave the old one out (`docs/security.md`).
"""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from bus.errors import BadConfig
from schemas.subscription import SigningSecret, Subscription, WebhookChannel
from services.notifier.sealing import Sealer, bound_to
from services.notifier.subscriptions import Missing, SubscriptionStore

log = structlog.get_logger(__name__)


def resealed(subscription: Subscription, sealer: Sealer, prefix: str) -> Subscription:
    """With all its secrets under the newest key.  Raises BadConfig when one does not open."""
    channel, aad = subscription.channel, bound_to(prefix, subscription.id)
    if not isinstance(channel, WebhookChannel):
        return subscription

    def anew(secret: SigningSecret) -> SigningSecret:
        if sealer.is_current(secret.reference):
            return secret
        text = sealer.open(secret.reference, aad)
        return secret.model_copy(update={"reference": sealer.seal(text, aad)})

    secrets = tuple(anew(secret) for secret in channel.secrets)
    return subscription.model_copy(
        update={"channel": channel.model_copy(update={"secrets": secrets})}
    )


async def reseal(
    store: SubscriptionStore, known: Iterable[Subscription], sealer: Sealer, prefix: str
) -> None:
    """Write those that need it.  Raises RetryLater.

    What does not open stays as it is: the tries of its subscription say so, and are held.
    """
    for subscription in known:
        try:
            if resealed(subscription, sealer, prefix) != subscription:
                await store.update(subscription.id, lambda now: resealed(now, sealer, prefix))
                log.info("notifier.secrets_resealed", subscription=subscription.id)
        except BadConfig as error:
            log.warning("notifier.secret_unopened", error=str(error))
        except Missing:
            continue  # deleted meanwhile
