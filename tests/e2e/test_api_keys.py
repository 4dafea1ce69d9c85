"""`shipfeed api-keys`, typed before any service has run."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.running import Ended, shipfeed

SECONDS_MAX = 60.0


async def test_keys_are_made_listed_and_revoked(kafka: str, prefix: str, tmp_path: Path) -> None:
    """The text of a key is told once; what cannot be done is one line."""

    async def typed(*words: str) -> Ended:
        extra = {"SHIPFEED_KAFKA__PREFIX": prefix}
        arguments = ("api-keys", *words, "--kafka", kafka)
        return await shipfeed(*arguments, folder=tmp_path, seconds=SECONDS_MAX, extra=extra)

    made = await typed("create", "grafana", "--scope", "read", "--days", "30")
    assert made.code == 0, made.err
    assert "grafana, read, until" in made.out
    text = made.out.splitlines()[-1]
    key_id = text.split("_")[1]

    listed = await typed("list", "--json")
    assert json.loads(listed.out)["id"] == key_id
    assert text.split("_")[2] not in listed.out

    last = await typed("revoke", key_id)
    assert (last.code, "--force" in last.err) == (2, True)
    assert "revoked" in (await typed("revoke", key_id, "--force")).out
    again = await typed("revoke", key_id)
    assert (again.code, again.err.count("\n")) == (2, 1)
    assert key_id in again.err
    assert (await typed("list", "--json")).out == ""
    assert (await typed("create", "a/b")).code == 2
