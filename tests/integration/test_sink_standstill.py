"""A sink whose Kafka client delivers a partition no longer ends with a sentence, and the next one stores the rest."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from kafka import TopicPartition

from liqheat.platform import kafka as kafka_clients
from liqheat.platform import standstill
from liqheat.platform.clickhouse import open_clickhouse
from liqheat.platform.codec import encode
from liqheat.platform.errors import TransientError
from liqheat.platform.settings import Kafka, Settings, Sink
from liqheat.platform.topics import Topic
from liqheat.platform.watching import broker_watch
from sinks.service import Sink as SinkService
from tests.support.sink_fakes import heatmap_batch
from tests.support.waiting import eventually

pytestmark = [pytest.mark.clickhouse, pytest.mark.kafka]

PATIENCE = 60.0
IDLE_SECONDS = 2.0


@pytest.fixture
def sink_settings(settings: Settings, kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(standstill, "IDLE_SECONDS", IDLE_SECONDS)
    sink = Sink(batch_age=0.05, rollup_interval=0.1, join_group=False, retention_days=20_000)
    return settings.model_copy(update={"kafka": kafka, "sink": sink})


class Running:
    """A sink in a thread, watched as the command does it."""

    def __init__(self, settings: Settings) -> None:
        self.service = SinkService(settings, open_clickhouse(settings.clickhouse))
        self.broker = broker_watch(settings.kafka, settings.sink.group, (), self.service.reached)
        self.service.broker = self.broker
        self.error: TransientError | None = None
        self.thread = threading.Thread(target=self._run)
        self._stop = threading.Event()

    def _run(self) -> None:
        try:
            self.service.run(self._stop)
        except TransientError as error:
            self.error = error

    def end(self) -> None:
        self._stop.set()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


@contextmanager
def running(settings: Settings) -> Iterator[Running]:
    sink = Running(settings)
    with sink.broker:
        sink.thread.start()
        try:
            yield sink
        finally:
            sink.end()


def publish(kafka: Kafka, *minutes: int) -> None:
    producer = kafka_clients.producer(kafka)
    for minute in minutes:
        headers, value = encode(heatmap_batch(minute, buckets=range(20)))
        producer.send(kafka.topic(Topic.HEATMAP_BUCKETS), partition=0, key=b"TAO", value=value, headers=headers)
    producer.flush()
    producer.close()


def test_it_ends_with_a_sentence_and_the_next_one_stores_the_rest(
    clickhouse: Client, sink_settings: Settings, kafka: Kafka
) -> None:
    def rows() -> Any:
        return clickhouse.query("SELECT count() FROM heatmap").result_rows[0][0]

    topic = kafka.topic(Topic.HEATMAP_BUCKETS)
    with running(sink_settings) as first:
        publish(kafka, 0)
        eventually(lambda: rows() == 20, PATIENCE)
        # What a fault of the client comes to: it holds the partition, and asks the broker for nothing of it.
        source = first.service._source
        assert source is not None
        source._consumer.pause(TopicPartition(topic, 0))
        publish(kafka, 1, 2)
        eventually(lambda: first.error is not None, PATIENCE)
        assert str(first.error).startswith(f"Kafka's client delivers nothing of {topic}[0], though messages wait there")
    with running(sink_settings) as second:
        eventually(lambda: rows() == 60, PATIENCE)
    assert second.error is None
