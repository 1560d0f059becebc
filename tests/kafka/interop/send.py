"""Sends what it reads, in lines as read.py prints them, and ends when all of it was acknowledged.

    send.py kafka-python|librdkafka BOOTSTRAP TOPIC CODEC
"""

import sys

PATIENCE = 120  # seconds


def content(text):
    return None if text == "-" else bytes.fromhex(text)


def records():
    for line in sys.stdin:
        partition, _, timestamp, key, headers, value = line.rstrip("\n").split("\t")
        pairs = [header.split("=") for header in headers.split(";") if header]
        headers = [(bytes.fromhex(name).decode(), content(text)) for name, text in pairs]
        yield int(partition), int(timestamp), content(key), headers, content(value)


def with_kafka_python(bootstrap, topic, codec):
    from kafka import KafkaProducer

    producer = KafkaProducer(
        bootstrap_servers=bootstrap.split(","), compression_type=codec, batch_size=500_000, linger_ms=100,
    )
    sent = [
        producer.send(topic, value=value, key=key, headers=headers, partition=partition, timestamp_ms=timestamp)
        for partition, timestamp, key, headers, value in records()
    ]
    for one in sent:
        one.get(timeout=PATIENCE)
    producer.close()


def with_librdkafka(bootstrap, topic, codec):
    from confluent_kafka import Producer

    failures = []
    producer = Producer({"bootstrap.servers": bootstrap, "compression.type": codec, "linger.ms": 100})
    for partition, timestamp, key, headers, value in records():
        producer.produce(
            topic, value=value, key=key, headers=headers, partition=partition, timestamp=timestamp,
            on_delivery=lambda error, _: failures.append(error) if error else None,
        )
    left = producer.flush(PATIENCE)
    if failures or left:
        sys.exit(f"{left} not acknowledged, {len(failures)} failed: {failures[:3]}")


CLIENTS = {"kafka-python": with_kafka_python, "librdkafka": with_librdkafka}
CLIENTS[sys.argv[1]](sys.argv[2], sys.argv[3], sys.argv[4])
