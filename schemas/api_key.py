"""Who may use the API; key `api-key/<id>` on the subscriptions topic."""

from __future__ import annotations

from typing import Literal

from schemas.keys import joined
from schemas.message import Instant, Name, StateRecord

Scope = Literal["read", "admin"]


class ApiKey(StateRecord):
    """`sha256` is of the secret, 64 hex characters; the secret is shown once and not kept."""

    id: Name
    name: str
    scope: Scope
    sha256: str
    created_at: Instant
    expires_at: Instant | None = None

    @property
    def key(self) -> str:
        """Its key on the subscriptions topic."""
        return joined("api-key", self.id)
