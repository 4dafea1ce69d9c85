"""What stands in a webhook's body, judged by the libraries that receivers use."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from standardwebhooks.webhooks import Webhook

from schemas.events import Envelope
from testbed.http import Request, Response, serving
from tests.systems.webhooks import ENVELOPE, SECRET, channel_to

Content = Literal["structured", "plain"]

# What a buyer can type into a shop: none of it may end a string, a header or a line.
HOSTILE = {
    "json": '"},"type":"package.deleted","x":{"',
    "headers": "\r\nwebhook-id: evt_2\r\n\r\nPOST / HTTP/1.1",
    "markup": "</script><script>alert(1)</script>",
    "formula": "=HYPERLINK(0)",
    "unseen": "\u2028\u202e\u0000\N{GRINNING FACE}",
}


async def received(envelope: Envelope, content: Content, tmp_path: Path) -> Request:
    """The one request that comes of an event."""
    seen: list[Request] = []

    def handler(request: Request) -> Response:
        seen.append(request)
        return Response(204)

    async with (
        serving(handler) as url,
        channel_to(f"{url}/hooks?a=1", tmp_path, content=content) as channel,
    ):
        assert (await channel.send(envelope, 1)).outcome == "delivered"
    (request,) = seen
    return request


def hostile(text: str) -> Envelope:
    """An event with this text wherever a source's own words can stand."""
    data = {"fulfillment": {"key": text}, "package": {"carrier": text, text: text}}
    return replace(ENVELOPE, data=json.dumps(data, ensure_ascii=False).encode())


async def test_the_official_library_reads_the_structured_cloudevent(tmp_path: Path) -> None:
    """Every attribute as on Kafka, and the data as it was."""
    request = await received(ENVELOPE, "structured", tmp_path)
    event = from_http_event(HTTPMessage(headers=request.headers, body=request.body))

    assert (request.method, request.target) == ("POST", "/hooks?a=1")
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert "cookie" not in request.headers
    assert (event.get_id(), event.get_source()) == ("evt_1", "/zentail/acme")
    assert (event.get_type(), event.get_subject()) == ("package.shipped", "pkg_é")
    assert event.get_extension("partitionkey") == "zentail/acme/order/1"
    assert event.get_extension("sequence") == "0000000001.0000"
    assert event.get_data() == {"weight": 1.10, "name": "é"}
    assert b'"data": {"weight":1.10,"name":"\xc3\xa9"}' in request.body


async def test_a_plain_body_is_standard_webhooks_own(tmp_path: Path) -> None:
    """Type, time and data, data byte for byte, verified by the reference library."""
    request = await received(ENVELOPE, "plain", tmp_path)

    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"] == "evt_1"
    assert Webhook(SECRET).verify(request.body, request.headers) == {
        "type": "package.shipped",
        "timestamp": "2026-01-01T00:00:00Z",
        "data": {"weight": 1.10, "name": "é"},
    }
    assert request.body.endswith(b'"data": {"weight":1.10,"name":"\xc3\xa9"}}')


@pytest.mark.parametrize("content", ["structured", "plain"])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
async def test_a_source_s_own_words_stay_data(text: str, content: Content, tmp_path: Path) -> None:
    """They come back as they were, in one request with our headers and no others."""
    request = await received(hostile(text), content, tmp_path)
    body = Webhook(SECRET).verify(request.body, request.headers)

    assert body["data"]["package"]["carrier"] == text
    assert body["type"] == "package.shipped"
    assert sorted(request.headers) == [
        *("accept", "accept-encoding", "content-length", "content-type", "host"),
        *("user-agent", "webhook-id", "webhook-signature", "webhook-timestamp"),
    ]
