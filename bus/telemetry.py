"""JSON logs with stable event names, and every metric's name in one place."""

from __future__ import annotations

import logging
import sys

import structlog
from prometheus_client import Counter, Gauge, Histogram
from structlog.typing import Processor

RECORDS = Counter("shipfeed_records_total", "Records committed", ["service", "topic"])
BATCH_SECONDS = Histogram("shipfeed_batch_seconds", "One batch, read to commit", ["service"])
PARTITIONS_OWNED = Gauge("shipfeed_partitions_owned", "Partitions owned now", ["service"])
PARTITIONS_BLOCKED = Gauge(
    "shipfeed_partitions_blocked", "Partitions that stand still; /health says why", ["service"]
)
POLLS = Counter("shipfeed_polls_total", "Polls ended", ["source", "account", "stream", "outcome"])
SEEN_UNCHANGED = Counter("shipfeed_seen_unchanged_total", "Re-read, unchanged", ["source"])
REQUESTS = Counter("shipfeed_requests_total", "Upstream answers", ["source", "account", "status"])
STREAM_STATE = Gauge(
    "shipfeed_stream_up", "1 running, 0.5 degraded, 0 stopped", ["source", "account", "stream"]
)
PROVEN_UNTIL = Gauge(
    "shipfeed_stream_proven_until_seconds",
    "Unix time up to which nothing is missing; time() minus it is the gap",
    ["source", "account", "stream"],
)
SET_ASIDE = Counter("shipfeed_dead_letters_total", "Records set aside", ["service", "source"])
DEGRADED = Counter(
    "shipfeed_degraded_fields_total",
    "Values of a record that were odd: read as nearly as possible, or unknown",
    ["source", "field"],
)
STALE = Counter("shipfeed_stale_observations_total", "Older than what is known", ["source"])
ATTEMPTS = Counter("shipfeed_attempts_total", "Delivery tries", ["subscription", "outcome"])
READERS = Gauge("shipfeed_stream_readers", "Readers of streams and pages served now")
PENDING = Gauge("shipfeed_deliveries_pending", "Unfinished deliveries", ["partition"])
HELD = Gauge("shipfeed_events_held", "Events that cannot go on", ["subscription", "reason"])
WRITE_BACKS = Gauge("shipfeed_write_backs", "What is written back, by state", ["target", "state"])
WRITE_BACK_CALLS = Counter(
    "shipfeed_write_back_calls_total", "Calls made at a target", ["target", "outcome"]
)


UNREADABLE = Gauge(
    "shipfeed_state_records_unreadable",
    "Records of state that this build cannot read; what depends on them is held",
    ["topic", "partition"],
)


def set_up_logging(service: str, *, level: int = logging.INFO) -> None:
    """One JSON object a line on stderr, our own and the libraries' alike."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            *shared,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    structlog.contextvars.bind_contextvars(service=service)
