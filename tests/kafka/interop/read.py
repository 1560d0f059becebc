"""Prints every record of a topic up to the present end, as Dump.java does.

    read.py kafka-python|librdkafka BOOTSTRAP TOPIC
"""

import sys
import time

PATIENCE = 120  # seconds


def text(some_bytes):
    return "-" if some_bytes is None else bytes(some_bytes).hex()


def show(partition, offset, timestamp, key, headers, value):
    pairs = ";".join(name.encode().hex() + "=" + text(content) for name, content in headers or [])
    sys.stdout.write(f"{partition}\t{offset}\t{timestamp}\t{text(key)}\t{pairs}\t{text(value)}\n")


def with_kafka_python(bootstrap, topic):
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap.split(","), group_id=None, enable_auto_commit=False, check_crcs=True,
        fetch_max_wait_ms=100, bootstrap_timeout_ms=10_000,
    )
    partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
    left = {at: end for at, end in consumer.end_offsets(partitions).items() if end > 0}
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    deadline = time.monotonic() + PATIENCE
    while left:
        if time.monotonic() > deadline:
            sys.exit(f"nothing came for {PATIENCE} s; still to read: {left}")
        for at, records in consumer.poll(timeout_ms=200).items():
            deadline = time.monotonic() + PATIENCE
            for r in records:
                show(at.partition, r.offset, r.timestamp, r.key, r.headers, r.value)
            if at in left and records and records[-1].offset + 1 >= left[at]:
                del left[at]
    consumer.close()


def with_librdkafka(bootstrap, topic):
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": "read", "enable.auto.commit": False, "check.crcs": True,
        "auto.offset.reset": "error",
    })
    numbers = consumer.list_topics(topic, timeout=PATIENCE).topics[topic].partitions
    ends = {number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=PATIENCE)[1] for number in numbers}
    left = {number: end for number, end in ends.items() if end > 0}
    consumer.assign([TopicPartition(topic, number, 0) for number in numbers])
    deadline = time.monotonic() + PATIENCE
    while left:
        if time.monotonic() > deadline:
            sys.exit(f"nothing came for {PATIENCE} s; still to read: {left}")
        for r in consumer.consume(1000, timeout=0.2):
            if r.error():
                sys.exit(str(r.error()))
            deadline = time.monotonic() + PATIENCE
            show(r.partition(), r.offset(), r.timestamp()[1], r.key(), r.headers(), r.value())
            if r.offset() + 1 >= left.get(r.partition(), 1 << 63):
                del left[r.partition()]
    consumer.close()


CLIENTS = {"kafka-python": with_kafka_python, "librdkafka": with_librdkafka}
CLIENTS[sys.argv[1]](sys.argv[2], sys.argv[3])
