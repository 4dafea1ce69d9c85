"""The receiver over real HTTP: verification, the record, its journal, misbehavior."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from standardwebhooks.webhooks import Webhook

from testbed.receiver import Receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_" + "A" * 32
TIMEOUT_SECONDS = 5.0


def signed(
    webhook_id: str, *, subject: str = "a", secret: str = SECRET, age_seconds: int = 0
) -> dict[str, Any]:
    """Content and headers of one signed request."""
    at = datetime.now(UTC) - timedelta(seconds=age_seconds)
    body = json.dumps({"id": webhook_id, "subject": subject})
    signature = Webhook(secret).sign(webhook_id, at, body)
    headers = {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }
    return {"content": body, "headers": headers}


def client_for(url: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=url, timeout=TIMEOUT_SECONDS)


async def test_a_verified_event_is_recorded_in_the_order_it_arrived() -> None:
    """GET /received?after=N gives the records from index N on."""
    async with Receiver(SECRET).serve() as url, client_for(url) as client:
        for webhook_id in ("evt-1", "evt-2", "evt-3"):
            assert (await client.post("/hooks", **signed(webhook_id))).status_code == 200

        records = (await client.get("/received", params={"after": 1})).json()

        assert [record["webhook_id"] for record in records] == ["evt-2", "evt-3"]
        assert records[0]["event"] == {"id": "evt-2", "subject": "a"}
        assert (records[0]["index"], records[0]["attempt"], records[0]["status"]) == (1, 1, 200)
        assert records[0]["webhook_timestamp"] > 0


@pytest.mark.parametrize(
    "spoil",
    [
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "nonsense"},
        {"webhook-id": "evt-2"},
        {"webhook-timestamp": "soon"},
    ],
)
async def test_a_request_that_does_not_verify_is_401_counted_and_not_recorded(
    spoil: dict[str, str],
) -> None:
    """The library decides; whatever it cannot take apart is refused as well."""
    receiver = Receiver(SECRET)
    async with receiver.serve() as url, client_for(url) as client:
        request = signed("evt-1")

        response = await client.post(
            "/hooks", content=request["content"], headers={**request["headers"], **spoil}
        )

        assert response.status_code == 401
        assert receiver.records == []
        assert receiver.stats()["unverifiable"] == 1


@pytest.mark.parametrize("wrong", [{"secret": OTHER_SECRET}, {"age_seconds": 3600}])
async def test_another_secret_and_an_old_signature_do_not_verify(wrong: dict[str, Any]) -> None:
    """Replayed and foreign requests are refused."""
    async with Receiver(SECRET).serve() as url, client_for(url) as client:
        assert (await client.post("/hooks", **signed("evt-1", **wrong))).status_code == 401


async def test_a_repeat_counts_as_redelivered_only_after_it_was_accepted() -> None:
    """A retry after a refusal is no redelivery."""
    receiver = Receiver(SECRET)
    receiver.behavior.add([{"name": "status", "status": 503, "headers": {"Retry-After": "1"}}])
    async with receiver.serve() as url, client_for(url) as client:
        answers = [await client.post("/hooks", **signed("evt-1")) for _ in range(3)]

        assert [answer.status_code for answer in answers] == [503, 200, 200]
        assert answers[0].headers["retry-after"] == "1"
        assert [record["attempt"] for record in receiver.records] == [1, 2, 3]
        assert (await client.get("/stats")).json() == {
            "requests": 3,
            "verified": 3,
            "unverifiable": 0,
            "delivered": 1,
            "redelivered": 1,
        }


@pytest.mark.parametrize(
    ("fault", "status"),
    [({"name": "status", "status": 410}, 410), ({"name": "redirect"}, 302)],
)
async def test_it_misbehaves_for_the_events_of_one_subject(
    fault: dict[str, Any], status: int
) -> None:
    """The others are answered well."""
    async with Receiver(SECRET).serve() as url, client_for(url) as client:
        script = [{**fault, "match": "order-2"}]
        assert (await client.post("/control/behavior", json=script)).status_code == 200

        well = await client.post("/hooks", **signed("evt-1", subject="order-1"))
        badly = await client.post("/hooks", **signed("evt-2", subject="order-2"))

        assert (well.status_code, badly.status_code) == (200, status)


async def test_a_stalled_answer_comes_after_the_event_was_recorded() -> None:
    """A sender that gave up will send again, and that is a redelivery."""
    receiver = Receiver(SECRET)
    receiver.behavior.add([{"name": "stall", "seconds": 5}])
    async with receiver.serve() as url, client_for(url) as client:
        with pytest.raises(httpx2.ReadTimeout):
            await client.post("/hooks", **signed("evt-1"), timeout=0.2)
        await client.post("/hooks", **signed("evt-1"))

        assert receiver.stats()["redelivered"] == 1


async def test_the_record_survives_a_restart_also_with_a_line_cut_off(tmp_path: Path) -> None:
    """A kill in the middle of a line costs that line only."""
    journal = tmp_path / "received.jsonl"
    async with Receiver(SECRET, journal=journal).serve() as url, client_for(url) as client:
        await client.post("/hooks", **signed("evt-1"))
    with journal.open("a", encoding="utf-8") as lines:
        lines.write('{"index": 1, "webho')

    restarted = Receiver(SECRET, journal=journal)
    async with restarted.serve() as url, client_for(url) as client:
        await client.post("/hooks", **signed("evt-1"))
        await client.post("/hooks", **signed("evt-2"))

    assert [record["attempt"] for record in restarted.records] == [1, 2, 1]
    assert restarted.stats()["redelivered"] == 1
    assert Receiver(SECRET, journal=journal).records == restarted.records
