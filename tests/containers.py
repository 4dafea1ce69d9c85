"""Kafka as a container: the official image with the broker settings of the embedded one."""

from __future__ import annotations

from testcontainers.community.kafka import KafkaContainer

from bus.embedded import BROKER_SETTINGS
from bus.jars import KAFKA_VERSION


class ApacheKafkaContainer(KafkaContainer):
    """testcontainers' Kafka on `apache/kafka`, which it does not know by itself."""

    def __init__(self, image: str = f"apache/kafka:{KAFKA_VERSION}") -> None:
        super().__init__(image)
        self.with_kraft()
        self.with_env("KAFKA_HEAP_OPTS", "-Xmx512m")
        for name, value in BROKER_SETTINGS.items():
            self.with_env("KAFKA_" + name.upper().replace(".", "_"), value)

    def with_kraft(self) -> ApacheKafkaContainer:
        """KRaft without the parent's test of the tag, which is for another vendor's numbers."""
        self.kraft_enabled = True
        return self

    def tc_start(self) -> None:
        """Advertises the mapped port, known only now, and runs the image's own entry point."""
        outside = f"{self.listener_name}://{self.get_bootstrap_server()}"
        script = (
            f"export KAFKA_ADVERTISED_LISTENERS={outside},BROKER://$(hostname -i):9092\n"
            "exec /etc/kafka/docker/run\n"
        )
        self.create_file(script.encode(), self.TC_START_SCRIPT)
