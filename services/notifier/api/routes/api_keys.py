"""`/api-keys`: who may use the API.  A key is shown once, when it is made."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from schemas.api_key import ApiKey, Scope
from schemas.message import Instant
from services.notifier.api.context import Context
from services.notifier.api.wishes import whole
from services.notifier.api_keys import DAYS_MAX, NAME_PATTERN, minted_key

Days = Annotated[int, Field(ge=1, le=DAYS_MAX), BeforeValidator(whole)]
KeyId = Annotated[str, Field(pattern=r"^[a-f0-9]{12}$")]
Force = Annotated[bool, Query(description="revoke the last admin key, too")]


class KeyView(BaseModel):
    """A key without what opens."""

    id: str
    name: str
    scope: Scope
    created_at: Instant
    expires_at: Instant | None


class MintedKey(KeyView):
    """`key` is shown here and never again."""

    key: str


class KeyWish(BaseModel):
    """`read` may GET, `admin` may all.  `expires_in_days` left out: it does not expire."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    scope: Scope
    expires_in_days: Days | None = None


class KeyList(BaseModel):
    """All of them: there are at most some hundred."""

    api_keys: list[KeyView]


def router(context: Context) -> APIRouter:
    """Make, list, revoke."""
    routes = APIRouter(prefix="/api-keys", tags=["API keys"])

    @routes.get("")
    async def list_keys() -> KeyList:
        """Every key that was not revoked."""
        keys = sorted(context.endpoints.api_keys(), key=lambda one: one.created_at)
        return KeyList(api_keys=[KeyView.model_validate(_shown(one)) for one in keys])

    @routes.post("", status_code=201)
    async def create_key(wish: KeyWish) -> MintedKey:
        """Make a key; once there is one, nobody gets in without."""
        now, days = context.clock.now(), wish.expires_in_days
        expires_at = now + timedelta(days=days) if days else None
        key, text = minted_key(wish.name, wish.scope, created_at=now, expires_at=expires_at)
        await context.store.add_api_key(key)
        return MintedKey(**_shown(key), key=text)

    @routes.delete("/{key_id}", status_code=204)
    async def revoke_key(key_id: KeyId, force: Force = False) -> None:
        """Let a key in no more, over whichever copy; the last admin key only by `force`."""
        await context.store.revoke_api_key(key_id, force=force)
        await context.endpoints.current()

    return routes


def _shown(key: ApiKey) -> dict[str, object]:
    return key.model_dump(include=set(KeyView.model_fields))
