"""How it travels: Kafka and process life.  Knows records, partitions and time, no fulfillments."""
