"""librdkafka's mock cluster, by itself.

    mock.py ADVERTISED_PORT,… TOPIC:PARTITIONS …

Prints the brokers' real ports and runs until standard input ends; each line there is one trouble for the next produce requests.
The library is the one that the confluent-kafka package brings; Python has no names for its mock functions, so they are called as
rdkafka_mock.h declares them.
"""

import ctypes
import glob
import os
import sys

import confluent_kafka

PRODUCE = 0
# Retriable errors of a broker, and librdkafka's own code for a connection that is closed in place of an answer. A mock broker
# that answers with an error has not appended.
TROUBLE = [6, -195, 7, 19, 3, 56]


def library():
    beside = os.path.join(os.path.dirname(os.path.dirname(confluent_kafka.__file__)), "confluent_kafka.libs")
    found = glob.glob(os.path.join(beside, "librdkafka*.so*"))
    return ctypes.CDLL(found[0] if found else "librdkafka.so.1")


def main():
    rd = library()
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    rd.rd_kafka_conf_new.restype = pointer
    rd.rd_kafka_conf_set.argtypes = [pointer, text, text, text, ctypes.c_size_t]
    rd.rd_kafka_new.restype = pointer
    rd.rd_kafka_new.argtypes = [number, pointer, text, ctypes.c_size_t]
    rd.rd_kafka_mock_cluster_new.restype = pointer
    rd.rd_kafka_mock_cluster_new.argtypes = [pointer, number]
    rd.rd_kafka_mock_cluster_bootstraps.restype = text
    rd.rd_kafka_mock_cluster_bootstraps.argtypes = [pointer]
    rd.rd_kafka_mock_topic_create.argtypes = [pointer, text, number, number]
    rd.rd_kafka_mock_broker_set_host_port.argtypes = [pointer, ctypes.c_int32, text, number]
    rd.rd_kafka_mock_push_request_errors_array.argtypes = [pointer, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(number)]

    why = ctypes.create_string_buffer(512)
    settings = rd.rd_kafka_conf_new()
    rd.rd_kafka_conf_set(settings, b"log_level", b"3", why, len(why))  # it warns that it has no servers: it is one
    handle = rd.rd_kafka_new(0, settings, why, len(why))
    if not handle:
        sys.exit(f"rd_kafka_new: {why.value.decode()}")
    front = [int(port) for port in sys.argv[1].split(",")]
    cluster = rd.rd_kafka_mock_cluster_new(handle, len(front))
    behind = [server.rsplit(":", 1)[1] for server in rd.rd_kafka_mock_cluster_bootstraps(cluster).decode().split(",")]
    for broker, port in enumerate(front, start=1):
        if rd.rd_kafka_mock_broker_set_host_port(cluster, broker, b"127.0.0.1", port):
            sys.exit(f"broker {broker} cannot be given the port {port}")
    for topic in sys.argv[2:]:
        name, partitions = topic.rsplit(":", 1)
        if rd.rd_kafka_mock_topic_create(cluster, name.encode(), int(partitions), len(front)):
            sys.exit(f"the topic {name} cannot be made")
    print(" ".join(behind), flush=True)
    for turn, _ in enumerate(sys.stdin):
        errors = (number * 2)(*[TROUBLE[turn % len(TROUBLE)]] * 2)
        rd.rd_kafka_mock_push_request_errors_array(cluster, PRODUCE, 2, errors)


main()
