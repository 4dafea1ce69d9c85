"""`[notifier]` and `[[subscriptions]]` of shipfeed.toml, checked whole before anything starts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, IPvAnyNetwork

from bus.errors import BadConfig
from bus.settings import Config, HttpSettings, KafkaSettings, Settings, checked, secret
from schemas.filters import Filter
from schemas.message import Name
from schemas.subscription import (
    LogChannel,
    SigningSecret,
    StreamChannel,
    TopicChannel,
    WebhookChannel,
)
from schemas.topics import DAY_MS, EVENTS, TOPICS
from services.notifier.channel import idle_setting
from services.notifier.filters import parsed_filters
from services.notifier.guard import TLS_PORT, AddressRefused, Egress, checked_url
from services.notifier.known import API_KEYS
from services.notifier.match import check_pattern
from services.notifier.retries import JITTER
from services.notifier.sealing import KEYS_MAX, Sealer, master_key
from services.notifier.signing import signing_key
from services.notifier.starting import checked_start
from services.notifier.write_backs.settings import (
    WriteBackEntry,
    check_ways,
    check_write_back,
    read_targets,
)

# Standard Webhooks, "Deliverability and reliability": ten tries over about 75 h.
RETRY_SCHEDULE_SECONDS = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
RETENTION_MARGIN_DAYS = 7
SECRETS_MAX = 3
TopicName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{1,249}$")]


def _listed(value: object) -> object:
    """A single one needs no list, nor can one be written in the environment."""
    return (value,) if isinstance(value, str) else value


class NotifierSettings(HttpSettings):
    """`[notifier]`."""

    http_host: str = Field(
        "127.0.0.1", description="address of the API, below /v1, and of /health /ready /metrics"
    )
    allow_networks: tuple[IPvAnyNetwork, ...] = Field(
        (),
        description="CIDR blocks that webhooks and targets may reach although they are not public, "
        "at any port and without TLS, too",
    )
    allow_ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = Field(
        (TLS_PORT,),
        description="ports of public addresses that webhooks and targets may reach, with TLS",
    )
    ca_file: str = Field(
        "", description="PEM file of authorities to trust beside the system's, such as your own"
    )
    retry_schedule_seconds: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        RETRY_SCHEDULE_SECONDS, max_length=50, description="waits after the 1st, 2nd, … failed try"
    )
    pending_max: int = Field(
        100_000, ge=1, description="unfinished deliveries in one partition, shared by subscriptions"
    )
    master_key: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field(
        (),
        max_length=KEYS_MAX,
        description="env:NAME or file:PATH of 32 random bytes in base64, which seals the secrets "
        "of the API's subscriptions; or a list: the first seals, all open",
    )
    concurrency: int = Field(
        48,
        ge=1,
        description="tries in flight to one endpoint, over all copies; each has at least 1",
    )
    probe_seconds_max: float = Field(
        300, gt=0, description="longest wait between probes of an endpoint that is down"
    )
    connect_timeout_seconds: float = Field(3, gt=0, description="name, address and TCP")
    total_timeout_seconds: float = Field(15, gt=0, description="one try, all in all")
    streams_max: int = Field(
        100, ge=1, description="streams and pulls that one copy serves at once"
    )
    stream_heartbeat_seconds: float = Field(
        15, gt=0, description="a stream without events shows after this that it lives"
    )
    stream_stall_seconds: float = Field(
        30, gt=0, description="a reader that takes nothing for so long is disconnected"
    )


class WebhookEntry(Settings):
    """`channel = { type = "webhook", … }`."""

    type: Literal["webhook"]
    url: Annotated[str, BeforeValidator(checked_url)]
    secret: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field(
        min_length=1,
        max_length=SECRETS_MAX,
        description="env:NAME or file:PATH of whsec_ and base64; or a list: each try is signed "
        "with all of them, so that a receiver can change from one to the next",
    )
    content: Literal["structured", "plain"] = Field(
        "structured", description="a CloudEvent, or Standard Webhooks' plain type, timestamp, data"
    )

    def record(self) -> WebhookChannel:
        """As it stands on Kafka."""
        secrets = tuple(SigningSecret(reference=one) for one in self.secret)
        return WebhookChannel(url=self.url, secrets=secrets, content=self.content)


class LogEntry(Settings):
    """`channel = { type = "log" }`."""

    type: Literal["log"]

    def record(self) -> LogChannel:
        """As it stands on Kafka."""
        return LogChannel()


class TopicEntry(Settings):
    """`channel = { type = "topic", … }`."""

    type: Literal["topic"]
    topic: TopicName = Field(description="of the same cluster; made like the events topic if new")

    def record(self) -> TopicChannel:
        """As it stands on Kafka."""
        return TopicChannel(topic=self.topic)


class StreamEntry(Settings):
    """`channel = { type = "stream" }`."""

    type: Literal["stream"]

    def record(self) -> StreamChannel:
        """As it stands on Kafka."""
        return StreamChannel()


class SubscriptionEntry(Settings):
    """One `[[subscriptions]]` table."""

    name: Name
    types: tuple[Annotated[str, BeforeValidator(check_pattern)], ...] = Field(
        min_length=1, max_length=64, description='such as ["package.shipped"]; "package.*"; "*"'
    )
    filters: Annotated[tuple[Filter, ...], BeforeValidator(parsed_filters)] = Field(
        (), description='all of them have to hold, such as [{ prefix = { subject = "pkg_" } }]'
    )
    start_from: Annotated[str, BeforeValidator(checked_start)] = Field(
        "now", description='"now", "earliest" or an instant'
    )
    backfill: bool = Field(False, description="facts older than the connection to their account")
    echo: bool = Field(False, description="what was written back by Shipfeed itself, too")
    order: Literal["ordered", "unordered"] = Field(
        "ordered",
        description="whether events of one fulfillment wait for each other; webhook, log",
    )
    lane_deadline_seconds: float | None = Field(
        None, gt=0, description="how long one that fails holds up those behind it; webhook"
    )
    rate_per_second: float | None = Field(
        None, gt=0, description="tries, over all copies; webhook, log"
    )
    concurrency: int | None = Field(
        None,
        ge=1,
        description="tries in flight over all copies, none: as in [notifier]; webhook, log",
    )
    channel: Annotated[
        WebhookEntry | LogEntry | TopicEntry | StreamEntry | WriteBackEntry,
        Field(discriminator="type"),
    ]

    def wish(self) -> dict[str, object]:
        """What may change in its record while it stays the same subscription."""
        return {
            "types": self.types,
            "filters": self.filters,
            "channel": self.channel.record(),
            "order": self.order,
            "lane_deadline_seconds": self.lane_deadline_seconds,
            "rate_per_second": self.rate_per_second,
            "concurrency": self.concurrency,
            "backfill": self.backfill,
            "echo": self.echo,
        }


def read_subscriptions(config: Config) -> list[SubscriptionEntry]:
    """Every `[[subscriptions]]` table, its secret looked up.  Raises BadConfig naming the key."""
    kafka, settings = (
        config.section("kafka", KafkaSettings),
        config.section("notifier", NotifierSettings),
    )
    entries: list[SubscriptionEntry] = []
    targets = read_targets(config)
    egress = Egress(settings.allow_networks, settings.allow_ports)
    for number, table in enumerate(config.tables("subscriptions"), start=1):
        where = f"[[subscriptions]] {table.get('name', f'number {number}')}"
        entry = checked(SubscriptionEntry, table, where)
        if any(entry.name == other.name for other in entries):
            raise BadConfig(f"{where}: the name is used twice")
        if (why := idle_setting(entry.channel.type, entry.wish())) is not None:
            raise BadConfig(f"{where} {why}")
        if entry.name == API_KEYS:
            raise BadConfig(f"{where}: the name is taken by what API keys are kept under")
        if isinstance(entry.channel, WebhookEntry):
            check_reach(egress, entry.channel.url, f"{where} channel.url")
            for reference in entry.channel.secret:
                check_secret(reference, f"{where} channel.secret")
        elif isinstance(entry.channel, TopicEntry):
            refuse_own(kafka, entry.channel.topic, f"{where} channel.topic")
        elif isinstance(entry.channel, WriteBackEntry):
            if entry.echo:
                raise BadConfig(f"{where} echo: what was written back is never written back again")
            check_write_back(entry.channel, entry.types, targets, where)
        entries.append(entry)
    check_ways(
        (one.name, one.channel) for one in entries if isinstance(one.channel, WriteBackEntry)
    )
    return entries


def check_reach(egress: Egress, url: str, where: str) -> None:
    """Raises BadConfig when no name server could lead the URL where webhooks may go."""
    try:
        egress.check(url)
    except AddressRefused as refused:
        raise BadConfig(f"{where}: {refused}") from refused


def check_secret(reference: str, where: str) -> bytes:
    """The signing key behind a reference.  Raises BadConfig; the secret is not in the text."""
    return checked_key(secret(reference, where), where)


def checked_key(text: str, where: str) -> bytes:
    """The signing key a secret spells.  Raises BadConfig; the secret is not in the text."""
    try:
        return signing_key(text)
    except ValueError as error:
        raise BadConfig(f"{where}: {error}") from error


def open_sealer(settings: NotifierSettings) -> Sealer:
    """With the master keys looked up.  Raises BadConfig; no key is in the text."""
    return Sealer(master_keys(settings))


def master_keys(settings: NotifierSettings) -> list[bytes]:
    """The newest first.  Raises BadConfig; no key is in the text."""
    where = "[notifier] master_key"
    try:
        return [master_key(secret(one, where)) for one in settings.master_key]
    except ValueError as error:
        raise BadConfig(f"{where}: {error}") from error


def refuse_own(kafka: KafkaSettings, topic: str, where: str) -> None:
    """Raises BadConfig for a topic that we or Kafka itself keep books on."""
    if topic in {kafka.topic(one) for one in TOPICS} or topic.startswith("__"):
        raise BadConfig(
            f"{where}: {topic} is one of our own topics or of Kafka's, and what subscribers are "
            f"told may not stand there; name another one, such as {kafka.prefix}.for-NAME"
        )


def check_retention(kafka: KafkaSettings, settings: NotifierSettings) -> None:
    """Raises BadConfig when an event could expire before its last try (design 4)."""
    retention_days = events_retention_seconds(kafka) * 1000 / DAY_MS
    schedule_days = sum(settings.retry_schedule_seconds) * (1 + JITTER) * 1000 / DAY_MS
    if retention_days <= schedule_days + RETENTION_MARGIN_DAYS:
        raise BadConfig(
            f"[kafka] retention_days events: {retention_days:g} days are not more than the "
            f"{schedule_days:.1f} days of [notifier] retry_schedule_seconds and "
            f"{RETENTION_MARGIN_DAYS} more: lengthen one or shorten the other"
        )


def events_retention_seconds(kafka: KafkaSettings) -> float:
    """How long an event is kept on the events topic."""
    return int(kafka.topic_config(EVENTS)["retention.ms"]) / 1000
