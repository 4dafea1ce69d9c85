"""Named misbehavior, scripted while a simulator or receiver runs.

A script is a JSON list of faults, each for the next `count` requests whose target begins with
`match`, after the first `skip` of them went well. Which request meets which fault is decided
here; faults that need to know the upstream's shape are carried out by its simulator.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, fields, replace
from typing import Any

from testbed.http import Response

OVERSIZED_BYTES = 17 * 1024 * 1024
OTHER_HOST = "http://other.invalid"

# Faults of the wire, in any server; every fault may also wait `seconds` before it answers.
WIRE_FAULTS = frozenset(
    {"status", "html_200", "broken_json", "cut_body", "reset", "stall", "oversized", "redirect"}
)
# Faults of a listing, carried out by the simulator that knows its shape.
LISTING_FAULTS = frozenset(
    {"next_token_host", "bad_record", "shifting_page", "late_write", "shrinking_total"}
)


@dataclass
class Fault:
    """One scripted fault; fields beyond name, count, match and skip belong to some names only."""

    name: str
    count: int = 1
    match: str = ""
    skip: int = 0
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: str = '{"errors":[{"message":"scripted fault"}]}'
    seconds: float = 0.0
    bytes: int = OVERSIZED_BYTES
    host: str = OTHER_HOST
    record: Any = None


class Faults:
    """The faults still to come, in the order they were scripted."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, script: Any) -> None:
        """Append a script; raises ValueError naming the fault or field that is not known."""
        known = {f.name for f in fields(Fault)}
        added = []
        for entry in script if isinstance(script, list) else [script]:
            if not isinstance(entry, dict) or entry.get("name") not in WIRE_FAULTS | LISTING_FAULTS:
                names = ", ".join(sorted(WIRE_FAULTS | LISTING_FAULTS))
                raise ValueError(f"no such fault: {entry!r}; known names are {names}")
            if unknown := set(entry) - known:
                raise ValueError(f"fault {entry['name']} has no field {min(unknown)!r}")
            added.append(Fault(**entry))
        self._waiting += added

    def clear(self) -> None:
        """Forget every fault that has not struck yet."""
        self._waiting.clear()

    def take(self, names: Collection[str], target: str) -> Fault | None:
        """Use up one turn of the first fault of these names that matches the target."""
        for fault in self._waiting:
            if fault.name not in names or not target.startswith(fault.match):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            fault.count -= 1
            if fault.count <= 0:
                self._waiting.remove(fault)
            return fault
        return None


def misshape(fault: Fault, response: Response) -> Response:
    """The answer a fault of the wire makes of a good one."""
    late = replace(response, delay_seconds=response.delay_seconds + fault.seconds)
    match fault.name:
        case "status":
            headers = {"Content-Type": "application/json", **fault.headers}
            return replace(late, status=fault.status, headers=headers, body=fault.body.encode())
        case "html_200":
            page = b"<!doctype html><title>Maintenance</title><p>Back soon."
            return replace(late, status=200, headers={"Content-Type": "text/html"}, body=page)
        case "broken_json":
            return replace(late, body=late.body[: max(1, len(late.body) * 2 // 3)])
        case "oversized":
            # White space before a document is legal JSON: only its size is wrong.
            return replace(late, body=b" " * fault.bytes + late.body)
        case "redirect":
            return replace(late, status=302, headers={"Location": fault.host + "/"}, body=b"")
        case "cut_body":
            return replace(late, cut=True)
        case "reset":
            return replace(late, reset=True)
        case _:  # stall: the answer is right, only late
            return late
