"""Topics: created when missing, verified always.  A mismatch stops the service with one line."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    IllegalSaslStateError,
    InvalidReplicationFactorError,
    InvalidTopicError,
    KafkaError,
    PolicyViolationError,
    SaslAuthenticationFailed,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
    for_code,
)

from bus.clock import Clock
from bus.errors import BadConfig, RetryLater, Stop
from bus.settings import KafkaSettings
from schemas.topics import RECORD_BYTES_MAX, TOPICS, Topic

RETRY_WAIT_SECONDS = 0.5
REFUSALS = (
    InvalidReplicationFactorError,
    InvalidTopicError,
    PolicyViolationError,
    TopicAuthorizationFailedError,
    ClusterAuthorizationFailedError,
)
CREDENTIALS_REFUSED = (
    AuthenticationFailedError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
    IllegalSaslStateError,
)
SIZE_SETTING = "max.message.bytes"
VERIFIED_SETTINGS = ("cleanup.policy", "retention.ms", SIZE_SETTING)
RECORD_BYTES_DEFAULT = 1_048_588  # Kafka's, where a topic's settings are not shown to us

log = structlog.get_logger(__name__)


async def ensure_topics(
    kafka: KafkaSettings, clock: Clock, topics: Iterable[Topic] = TOPICS
) -> None:
    """Wait for the broker, create what is missing, verify the rest.

    Raises Stop when no broker answers within `start_timeout_seconds`, BadConfig on a mismatch.
    Two services doing this at once is not an error.
    """
    wanted = list(topics)
    deadline = clock.monotonic() + kafka.start_timeout_seconds
    while True:
        admin = AIOKafkaAdminClient(**kafka.client_args())
        try:
            await admin.start()
            await _create(admin, kafka, [_new(kafka, topic) for topic in wanted])
            complaint = await _mismatch(admin, kafka, wanted)
        except (KafkaError, OSError, TimeoutError) as error:
            await _refuse_credentials(kafka)
            if clock.monotonic() > deadline:
                raise Stop(
                    f"no Kafka at {kafka.bootstrap_servers} within "
                    f"{kafka.start_timeout_seconds} s: {error!r}; "
                    "check [kafka] bootstrap_servers"
                ) from error
            await clock.sleep(RETRY_WAIT_SECONDS)
            continue
        finally:
            await admin.close()
        if complaint is None:
            return
        raise BadConfig(complaint)


@dataclass(frozen=True, slots=True)
class Layout:
    """How a topic is laid out."""

    partition_count: int
    record_bytes_max: int


async def layout_of(
    kafka: KafkaSettings, topic: str, clock: Clock, *, partitions: int, config: Mapping[str, str]
) -> Layout:
    """Of any topic; a missing one is made with these `partitions` and this `config`.

    Raises BadConfig when it cannot be made, RetryLater when Kafka gives no answer.
    """
    admin = AIOKafkaAdminClient(**kafka.client_args())
    try:
        await admin.start()
        made = NewTopic(topic, partitions, kafka.replication_factor, topic_configs=dict(config))
        await _create(admin, kafka, [made])
        deadline = clock.monotonic() + kafka.request_timeout_ms / 1000
        [described] = await admin.describe_topics([topic])
        while described["error_code"]:  # one just made is not known everywhere at once
            if clock.monotonic() > deadline:
                raise for_code(described["error_code"])(topic)
            await clock.sleep(RETRY_WAIT_SECONDS)
            [described] = await admin.describe_topics([topic])
        found = (await _configs(admin, [topic]))[topic]
        size = int(found.get(SIZE_SETTING) or RECORD_BYTES_DEFAULT)
        return Layout(len(described["partitions"]), min(size, RECORD_BYTES_MAX))
    except (KafkaError, OSError, TimeoutError) as error:
        raise RetryLater(f"topic {topic}: {error!r}") from error
    finally:
        await admin.close()


def _new(kafka: KafkaSettings, topic: Topic) -> NewTopic:
    return NewTopic(
        kafka.topic(topic),
        kafka.partition_count(topic),
        kafka.replication_factor,
        topic_configs=kafka.topic_config(topic),
    )


def replication_complaint(kafka: KafkaSettings, brokers: int) -> str | None:
    """Why topics are not made with one replica; None where they may be.  Pure.

    One broker can keep no more than one.  On several, one replica is lost with its broker, so it
    has to be asked for.
    """
    if brokers < 2 or kafka.replication_factor > 1:
        return None
    if "replication_factor" in kafka.model_fields_set:
        return None
    return (
        f"the cluster has {brokers} brokers and [kafka] replication_factor is not set, so topics "
        "would have one replica and be lost with its broker: set replication_factor = "
        f"{min(brokers, 3)}, or = 1 if one replica is what you want"
    )


def one_replica_warning(brokers: int, replicas: Mapping[str, int]) -> str | None:
    """What to say of topics, with their fewest replicas, on a cluster of several brokers.  Pure."""
    alone = sorted(name for name, count in replicas.items() if count == 1)
    if brokers < 2 or not alone:
        return None
    return (
        f"the cluster has {brokers} brokers, but these topics have one replica and are lost with "
        f"its broker: {', '.join(alone)}; kafka-reassign-partitions.sh adds replicas"
    )


async def _refuse_credentials(kafka: KafkaSettings) -> None:
    """Raises BadConfig when a broker refuses who we are, or we refuse its certificate.

    Clients only log that and say that there is no broker.
    """
    if kafka.security_protocol == "PLAINTEXT":
        return
    arguments = kafka.client_args()
    for server in arguments.pop("bootstrap_servers"):
        host, _, port = server.rpartition(":")
        try:
            connection = await create_conn(host.strip("[]"), int(port), **arguments)
        except CREDENTIALS_REFUSED as error:
            raise BadConfig(
                f"[kafka] {server} refuses the user {kafka.sasl_username!r} with "
                f"{kafka.sasl_mechanism}: {error}; check sasl_username, sasl_password and "
                "sasl_mechanism"
            ) from error
        except ssl.SSLCertVerificationError as error:
            raise BadConfig(
                f"[kafka] the certificate of {server} is not trusted: {error.verify_message}; "
                "check ssl_ca_file and the host name"
            ) from error
        except (KafkaError, OSError, TimeoutError):
            continue
        connection.close()


async def _create(
    admin: AIOKafkaAdminClient, kafka: KafkaSettings, topics: Iterable[NewTopic]
) -> None:
    existing = set(await admin.list_topics())
    missing = [topic for topic in topics if topic.name not in existing]
    if not missing:
        return
    brokers = len((await admin.describe_cluster())["brokers"])
    if (complaint := replication_complaint(kafka, brokers)) is not None:
        raise BadConfig(complaint)
    response = await admin.create_topics(missing)
    for name, code, *_ in response.topic_errors:
        error = for_code(code)
        if error in REFUSALS:
            raise BadConfig(
                f"topic {name} cannot be created: {error.__name__}; check [kafka] "
                "replication_factor, prefix, and what the user may do"
            )
        if code and error is not TopicAlreadyExistsError:
            raise error(f"creating {name}")


async def _mismatch(
    admin: AIOKafkaAdminClient, kafka: KafkaSettings, topics: list[Topic]
) -> str | None:
    """The first difference between the catalogue and the cluster, as a line for a person."""
    names = {kafka.topic(topic): topic for topic in topics}
    described = await admin.describe_topics(list(names))
    replicas: dict[str, int] = {}
    for found in described:
        if found["error_code"]:
            raise for_code(found["error_code"])(found["topic"])
        topic, count = names[found["topic"]], len(found["partitions"])
        replicas[found["topic"]] = min(len(one["replicas"]) for one in found["partitions"])
        if count != kafka.partition_count(topic):
            return (
                f"topic {found['topic']} has {count} partitions, expected "
                f"{kafka.partition_count(topic)}: set [kafka] partitions or slots to what is "
                "there, or choose another [kafka] prefix"
            )
    brokers = len((await admin.describe_cluster())["brokers"])
    if (warning := one_replica_warning(brokers, replicas)) is not None:
        log.warning("kafka.one_replica", warning=warning)
    for name, found_config in (await _configs(admin, names)).items():
        for key in VERIFIED_SETTINGS:
            want = kafka.topic_config(names[name]).get(key)
            if want is not None and found_config.get(key) != want:
                return (
                    f"topic {name} has {key}={found_config.get(key)}, expected {want}: "
                    "alter the topic, or the setting under [kafka]"
                )
    return None


async def _configs(
    admin: AIOKafkaAdminClient, names: Iterable[str]
) -> dict[str, dict[str, str | None]]:
    """Kafka's own settings of each topic."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    return {
        name: {entry[0]: entry[1] for entry in entries}
        for response in await admin.describe_configs(resources)
        for _, _, _, name, entries in response.resources
    }
