"""What a message of the log unpacks to is bounded: a broker refuses what would fill the memory of worker and sink."""

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from liqheat.local.broker import Broker
from liqheat.platform.kafka import MAXIMUM_MESSAGE_BYTES, create_topics
from liqheat.platform.settings import Kafka
from liqheat.platform.topics import Topic

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(200)]
INSIDE = 300_000_000
"""Bytes that zstd packs into some ten thousand, and lz4 into more than a message may have."""


@pytest.fixture
def kafka(broker: Broker) -> Kafka:
    if "Tansu" in broker.name:
        pytest.skip("Needs Apache Kafka (Java and Maven)")
    settings = Kafka(bootstrap_servers=broker.bootstrap_servers, topic_prefix="packed-")
    create_topics(settings)
    return settings


def test_a_message_that_unpacks_to_gigabytes_is_refused_and_stops_no_other(kafka: Kafka) -> None:
    topic = kafka.topic(Topic.POSITION_EVENTS)
    bomb = KafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers, compression_type="zstd", max_request_size=2 * INSIDE, retries=0
    )
    with pytest.raises(KafkaError):
        bomb.send(topic, bytes(INSIDE), partition=0).get(60)
    bomb.send(topic, b"good", partition=0).get(60)
    bomb.close(timeout=5)

    where = TopicPartition(topic, 0)
    reader = KafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers,
        auto_offset_reset="earliest",
        consumer_timeout_ms=20_000,
        max_partition_fetch_bytes=4 * MAXIMUM_MESSAGE_BYTES,
    )
    reader.assign([where])
    assert next(reader).value == b"good"
    reader.close()
