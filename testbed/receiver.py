"""A webhook subscriber: verifies every request, remembers it, misbehaves on demand.

Events are posted to any path but its own: `GET /received?after=N`, `GET /stats`,
`POST|DELETE /control/behavior` (a script of testbed/faults.py, `match` begins the subject).
Run it: `python -m testbed.receiver --secret whsec_… --journal FILE`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from testbed.faults import WIRE_FAULTS, Faults
from testbed.http import Request, Response, json_response, serving
from testbed.process import run_until_stopped
from testbed.wire import misshape

RECORDS_PER_ANSWER_MAX = 1000


class Receiver:
    """Records verified requests; with a journal they survive a restart.

    A record: `{index, received_at, webhook_id, webhook_timestamp, attempt, status, event}`;
    `attempt` counts receipts of that webhook-id, `status` is what was answered (0: nothing).
    """

    def __init__(self, secret: str, *, journal: Path | None = None) -> None:
        self.behavior = Faults()
        self.records: list[dict[str, Any]] = []
        self.unverifiable_count = 0
        self._webhook = Webhook(secret)
        self._journal = journal
        self._receipts: Counter[str] = Counter()
        if journal is not None and journal.exists():
            self._restore(journal)

    @asynccontextmanager
    async def serve(self, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Serve until left; yields the URL events may be posted to."""
        async with serving(self.handle, host=host, port=port) as url:
            yield url

    def handle(self, request: Request) -> Response:
        """Answer one request: its own endpoints, else an event."""
        match request.method, request.path:
            case "GET", "/received":
                return self._received(request.query.get("after", "0"))
            case "GET", "/stats":
                return json_response(200, self.stats())
            case _, "/control/behavior":
                return self._behave(request)
            case "POST", _:
                return self._receive(request)
            case _:
                return json_response(405, {"error": f"{request.method} is not allowed here"})

    def _received(self, after: str) -> Response:
        if not after.isdecimal():
            return json_response(400, {"error": f"after is not an index: {after!r}"})
        first = int(after)
        return json_response(200, self.records[first : first + RECORDS_PER_ANSWER_MAX])

    def stats(self) -> dict[str, int]:
        """Counts of requests; `redelivered`: repeats of a webhook-id already answered 2xx."""
        accepted = [record["webhook_id"] for record in self.records if _accepted(record)]
        return {
            "requests": len(self.records) + self.unverifiable_count,
            "verified": len(self.records),
            "unverifiable": self.unverifiable_count,
            "delivered": len(set(accepted)),
            "redelivered": self._redelivered(),
        }

    def _redelivered(self) -> int:
        seen: set[str] = set()
        count = 0
        for record in self.records:
            count += record["webhook_id"] in seen
            if _accepted(record):
                seen.add(record["webhook_id"])
        return count

    def _receive(self, request: Request) -> Response:
        try:
            event = self._webhook.verify(request.body, request.headers)
        except (WebhookVerificationError, ValueError) as error:
            # ValueError: headers or body the library cannot even take apart.
            self.unverifiable_count += 1
            return json_response(401, {"error": f"not verified: {error}"})
        response = json_response(200, {})
        subject = str(event.get("subject", "")) if isinstance(event, dict) else ""
        fault = self.behavior.take(WIRE_FAULTS, subject, request.method)
        response = misshape(fault, response) if fault else response
        self._record(request, event, 0 if response.reset or response.cut else response.status)
        return response

    def _record(self, request: Request, event: Any, status: int) -> None:
        webhook_id = request.headers["webhook-id"]
        self._receipts[webhook_id] += 1
        record = {
            "index": len(self.records),
            "received_at": datetime.now(UTC).isoformat(),
            "webhook_id": webhook_id,
            "webhook_timestamp": int(request.headers["webhook-timestamp"]),
            "attempt": self._receipts[webhook_id],
            "status": status,
            "event": event,
        }
        self.records.append(record)
        if self._journal is not None:
            with self._journal.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(record, separators=(",", ":")) + "\n")

    def _restore(self, journal: Path) -> None:
        """Read the journal back; a last line cut off by a kill is dropped."""
        whole, _, cut_off = journal.read_text(encoding="utf-8").rpartition("\n")
        if cut_off:
            journal.write_text(whole + "\n" if whole else "", encoding="utf-8")
        self.records = [json.loads(line) for line in whole.splitlines()]
        self._receipts.update(record["webhook_id"] for record in self.records)

    def _behave(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.behavior.clear()
            return json_response(200, {})
        try:
            self.behavior.add(request.json())
        except (ValueError, TypeError) as error:
            return json_response(400, {"error": str(error)})
        return json_response(200, {})


def _accepted(record: dict[str, Any]) -> bool:
    return 200 <= int(record["status"]) < 300


def main() -> None:
    """Run as a process until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m testbed.receiver", description=__doc__)
    parser.add_argument("--secret", required=True, help="whsec_…, shared with the sender")
    parser.add_argument("--journal", type=Path, help="file that keeps the record over restarts")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    arguments = parser.parse_args()
    receiver = Receiver(arguments.secret, journal=arguments.journal)
    asyncio.run(run_until_stopped(receiver.serve(host=arguments.host, port=arguments.port)))


if __name__ == "__main__":
    main()
