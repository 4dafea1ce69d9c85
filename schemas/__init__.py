"""What travels on Kafka and how it is keyed: the contract between services and with consumers.

Depends on pydantic only.  A record written here can be read by every later minor version;
a newer major is refused by name (`message.StateRecord`).
"""
