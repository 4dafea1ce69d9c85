"""How benches measure: from Kafka itself, never from inside what they measure."""
