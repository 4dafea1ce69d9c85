"""What a fault of the wire makes of a good answer, in any server of the testbed."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache

from testbed.faults import Fault
from testbed.http import Response

GZIP_WINDOW = 31  # zlib's word for a gzip stream
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
        case "redirect":
            return replace(late, status=302, headers={"Location": fault.host + "/"}, body=b"")
        case "cut_body":
            return replace(late, cut=True)
        case "reset":
            return replace(late, reset=True)
        case "reset_body":
            return replace(late, cut=True, reset=True)
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
