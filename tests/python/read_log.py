"""Reads a whole log with Confluent's own client, and decodes every record with the schemas that the server hands out.

    read_log.py URL BROKERS TOPIC [TOPIC ...]

Prints a JSON line a record: topic, partition, offset, key, headers, the schema's name, and the record as decoded.
"""

import json
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext


def main(url, brokers, *topics):
    registry = SchemaRegistryClient({"url": url})
    subjects = registry.get_subjects()
    for subject in subjects:
        latest = registry.get_latest_version(subject)
        assert registry.get_schema(latest.schema_id).schema_str == latest.schema.schema_str, subject
        assert latest.version in registry.get_versions(subject), subject
    decode = AvroDeserializer(registry)
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "no group", "enable.auto.commit": False})
    known = consumer.list_topics(timeout=20).topics
    for topic in topics:
        for partition in known[topic].partitions:
            read(consumer, decode, registry, topic, partition)
    consumer.close()


def read(consumer, decode, registry, topic, partition):
    place = TopicPartition(topic, partition, OFFSET_BEGINNING)
    _, end = consumer.get_watermark_offsets(place, timeout=20)
    consumer.assign([place])
    at = 0
    while at < end:
        message = consumer.poll(20)
        assert message is not None, f"{topic}/{partition} gives nothing at {at} of {end}"
        assert message.error() is None, message.error()
        at = message.offset() + 1
        value = message.value()
        if value is None:
            continue
        schema = json.loads(registry.get_schema(int.from_bytes(value[1:5], "big")).schema_str)
        record = decode(value, SerializationContext(topic, MessageField.VALUE))
        line = {
            "topic": topic,
            "partition": partition,
            "offset": message.offset(),
            "key": message.key() and message.key().decode(),
            "headers": {name: text.decode() for name, text in message.headers() or []},
            "type": schema["name"],
            "record": record,
        }
        print(json.dumps(line, default=str))


main(*sys.argv[1:])
