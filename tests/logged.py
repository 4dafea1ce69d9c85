"""What a service would write to stderr, to the last detail."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

import structlog

from bus.telemetry import set_up_logging


@contextmanager
def logged(service: str) -> Iterator[io.StringIO]:
    """All of it, as long as the block is on its way."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    try:
        with redirect_stderr(written):
            set_up_logging(service, level=logging.DEBUG)
            root.setLevel(logging.INFO)
            yield written
    finally:
        structlog.contextvars.clear_contextvars()
        structlog.configure(**before)
        root.handlers[:] = handlers
        root.setLevel(level)
