"""What a fault makes of the bytes of a good answer, in any server of the testbed."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache

from testbed.faults import Fault
from testbed.http import Response

GZIP_WINDOW = 31  # zlib's word for a gzip stream
Packing = Callable[[bytes], bytes]
ENCODINGS: tuple[tuple[str, Packing], ...] = (  # what the answer is labeled as, and what it is
    ("", lambda body: b"\xef\xbb\xbf" + body),
    ("x-gzip", gzip.compress),
    ("none", bytes),
    ("utf-8", bytes),
    ("gzip", bytes),
    ("br", bytes),
    ("", gzip.compress),
    ("gzip, gzip", lambda body: gzip.compress(gzip.compress(body))),
    ("deflate", zlib.compress),
    ("", lambda body: body.decode().encode("utf-16")),
)
BAD_BYTES = (
    b"NaN",
    b"-Infinity",
    b'"a\nb"',
    b'"a\x00b"',
    b'"M\xfcller"',
    b'"\xed\xa0\xbd"',
    b'"\\u12"',
    b"[1,]",
    b'"5" tape"',
)
HTML = b"<!doctype html><title>Maintenance</title><p>Back soon."


def misshape(fault: Fault, response: Response) -> Response:
    """The answer a fault of the wire makes of a good one."""
    late = replace(response, delay_seconds=response.delay_seconds + fault.seconds)
    match fault.acts:
        case "status":
            headers = {"Content-Type": "application/json", **fault.headers}
            return replace(late, status=fault.status, headers=headers, body=fault.body.encode())
        case "html_200":
            return replace(late, status=200, headers={"Content-Type": "text/html"}, body=HTML)
        case "broken_json":
            return replace(late, body=late.body[: max(1, len(late.body) * 2 // 3)])
        case "oversized":
            # White space before a document is legal JSON: only its size is wrong.
            return replace(late, body=b" " * fault.bytes + late.body)
        case "gzip_bomb":
            headers = {**late.headers, "Content-Encoding": "gzip"}
            return replace(late, headers=headers, body=_bomb(fault.bytes)(late.body))
        case "odd_encoding":
            encoding, packed = ENCODINGS[fault.turn % len(ENCODINGS)]
            label = {"Content-Encoding": encoding} if encoding else {}
            return replace(late, headers={**late.headers, **label}, body=packed(late.body))
        case "redirect":
            return replace(late, status=302, headers={"Location": fault.host + "/"}, body=b"")
        case "cut_body" | "reset" | "reset_body":
            return replace(late, cut=fault.acts != "reset", reset=fault.acts != "cut_body")
        case _:  # stall: the answer is right, only late
            return late


@cache
def _bomb(size: int) -> Callable[[bytes], bytes]:
    """Gzip of so much white space and a document; the white space is packed once."""
    begun = zlib.compressobj(1, wbits=GZIP_WINDOW)
    head = begun.compress(b" " * size)

    def packed(document: bytes) -> bytes:
        rest = begun.copy()
        return head + rest.compress(document) + rest.flush()

    return packed


def bad_bytes(turn: int) -> str:
    """What stands in a record for the bytes that are to be wrong in its answer."""
    return f"@bad-bytes-{turn % len(BAD_BYTES)}@"


def with_bad_bytes(body: bytes) -> bytes:
    """The answer with the bytes themselves."""
    return re.sub(rb'"@bad-bytes-(\d+)@"', lambda found: BAD_BYTES[int(found[1])], body)


def without_bad_bytes(record: bytes) -> bytes:
    """The record as it was before: JSON."""
    for turn, wrong in enumerate(BAD_BYTES):
        if record == b'{"odd":%b}' % wrong:
            return b'{"odd":"%b"}' % bad_bytes(turn).encode()
    return record


def terse(response: Response, turn: int) -> Response:
    """A page that leaves out whatever says nothing; without records it is null, or 204."""
    page = json.loads(response.body)
    names = [name for name, value in page.items() if isinstance(value, list)]
    if turn % 3 == 0 and not any(page[name] for name in names):
        return replace(response, status=204, body=b"")
    kept = {name: value for name, value in page.items() if name in names or _says(value)}
    if turn % 3 == 1:
        kept |= {name: kept[name] or None for name in names}
    return replace(response, body=json.dumps(kept, separators=(",", ":")).encode())


def untold(response: Response) -> Response:
    """A page with its records alone."""
    page = json.loads(response.body)
    kept = {name: value for name, value in page.items() if isinstance(value, list)}
    return replace(response, body=json.dumps(kept, separators=(",", ":")).encode())


def _says(value: object) -> bool:
    return any(value.values()) if isinstance(value, dict) else bool(value)
