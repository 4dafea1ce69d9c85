"""Topics: created when missing, verified always.  A mismatch stops the service with one line."""

from __future__ import annotations

from collections.abc import Iterable

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidReplicationFactorError,
    InvalidTopicError,
    KafkaError,
    PolicyViolationError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from bus.clock import Clock
from bus.errors import BadConfig, Stop
from bus.settings import KafkaSettings
from schemas.topics import TOPICS, Topic

RETRY_WAIT_SECONDS = 0.5
REFUSALS = (
    InvalidReplicationFactorError,
    InvalidTopicError,
    PolicyViolationError,
    TopicAuthorizationFailedError,
    ClusterAuthorizationFailedError,
)
VERIFIED_SETTINGS = ("cleanup.policy", "retention.ms", "max.message.bytes")


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
            await _create(admin, kafka, wanted)
            complaint = await _mismatch(admin, kafka, wanted)
        except (KafkaError, OSError, TimeoutError) as error:
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


async def _create(admin: AIOKafkaAdminClient, kafka: KafkaSettings, topics: list[Topic]) -> None:
    existing = set(await admin.list_topics())
    missing = [
        NewTopic(
            kafka.topic(topic),
            kafka.partition_count(topic),
            kafka.replication_factor,
            topic_configs=kafka.topic_config(topic),
        )
        for topic in topics
        if kafka.topic(topic) not in existing
    ]
    if not missing:
        return
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
    for found in described:
        if found["error_code"]:
            raise for_code(found["error_code"])(found["topic"])
        topic, count = names[found["topic"]], len(found["partitions"])
        if count != kafka.partition_count(topic):
            return (
                f"topic {found['topic']} has {count} partitions, expected "
                f"{kafka.partition_count(topic)}: set [kafka] partitions or slots to what is "
                "there, or choose another [kafka] prefix"
            )
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    for response in await admin.describe_configs(resources):
        for _, _, _, name, entries in response.resources:
            found_config = {entry[0]: entry[1] for entry in entries}
            for key in VERIFIED_SETTINGS:
                want = kafka.topic_config(names[name]).get(key)
                if want is not None and found_config.get(key) != want:
                    return (
                        f"topic {name} has {key}={found_config.get(key)}, expected {want}: "
                        "alter the topic, or the setting under [kafka]"
                    )
    return None
