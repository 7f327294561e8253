"""Sinks of one group on a real broker: one of them judges, another takes over, and a judge that fails stops no row."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from liqheat.local.broker import Broker
from liqheat.platform import kafka as kafka_clients
from liqheat.platform.clickhouse import open_clickhouse
from liqheat.platform.clock import SystemClock
from liqheat.platform.codec import encode
from liqheat.platform.settings import Kafka, Settings, Sink
from liqheat.platform.topics import Topic
from sinks.clickhouse.writer import ClickHouseWriter
from sinks.service import Sink as SinkService
from sinks.studies import Studies
from tests.support.sink_fakes import heatmap_batch
from tests.support.waiting import eventually

pytestmark = [pytest.mark.clickhouse, pytest.mark.kafka]
PATIENCE = 60.0
"""Seconds; joining a group takes some of them."""


class Asked:
    """A judge with nothing to do, or one that fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.rounds = 0
        self._error = error

    def begin(self, now_ms: int) -> list[str]:
        self.rounds += 1
        if self._error is not None:
            raise self._error
        return []

    def judge(self, symbol: str) -> Iterator[dict[str, Any]]:
        raise AssertionError(symbol)

    def together(self) -> Iterator[dict[str, Any]]:
        raise AssertionError


class Running:
    """One sink in a thread."""

    def __init__(self, settings: Settings, judge: Asked) -> None:
        client = open_clickhouse(settings.clickhouse)
        studies = Studies(judge, ClickHouseWriter(client, settings.clickhouse), SystemClock(), 0.5)
        self.judge = judge
        self.service = SinkService(settings, client, studies=studies)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.service.run, args=(self._stop,))
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()


def test_one_sink_of_a_group_judges_and_another_takes_over(
    clickhouse: Client, settings: Settings, broker: Broker, kafka: Kafka
) -> None:
    if "Tansu" in broker.name:
        pytest.skip("Joining a group takes the embedded broker 20 s; Apache Kafka runs this")
    settings = settings.model_copy(update={"kafka": kafka, "sink": Sink(batch_age=0.05, retention_days=20_000)})
    sinks: list[Running] = []
    try:
        sinks.append(Running(settings, Asked()))
        eventually(lambda: sinks[0].judge.rounds > 0, PATIENCE)
        sinks.append(Running(settings, Asked()))
        assert sinks[1].service.ready.wait(60)
        eventually(lambda: [sink.service.leads for sink in sinks].count(True) == 1, PATIENCE)
        first, second = sorted(sinks, key=lambda sink: not sink.service.leads)
        asked = second.judge.rounds
        first.stop()
        eventually(lambda: second.service.leads and second.judge.rounds > asked, PATIENCE)
    finally:
        for sink in sinks:
            sink.stop()


def test_a_judge_that_fails_stops_no_row(clickhouse: Client, settings: Settings, kafka: Kafka) -> None:
    sink = Sink(batch_age=0.05, join_group=False, retention_days=20_000)
    settings = settings.model_copy(update={"kafka": kafka, "sink": sink})
    running = Running(settings, Asked(RuntimeError("a fault of the judge")))
    try:
        eventually(lambda: running.judge.rounds > 0, PATIENCE)
        producer = kafka_clients.producer(kafka)
        headers, value = encode(heatmap_batch(buckets=range(3)))
        producer.send(kafka.topic(Topic.HEATMAP_BUCKETS), key=b"TAO", value=value, headers=headers)
        producer.flush()
        producer.close()
        eventually(lambda: clickhouse.query("SELECT count() FROM heatmap").result_rows == [(3,)], PATIENCE)
        assert running.service.problem() is None
    finally:
        running.stop()
