"""The watches of broker and ClickHouse: silent, refusing and broken servers are reported within ten seconds."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import KafkaConnectionError, RequestTimedOutError

from liqheat.platform.broker_watch import BrokerWatch
from liqheat.platform.clickhouse_watch import ClickHouseWatch, ping
from liqheat.platform.errors import TransientError
from liqheat.platform.kafka import partitions_of
from liqheat.platform.settings import ClickHouse, Kafka
from tests.support.waiting import eventually

REPORT_SECONDS = 10.0


@contextmanager
def http_server(status: int) -> Iterator[int]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/ping"
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def test_a_clickhouse_that_accepts_and_says_nothing_is_reported_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        clickhouse = ClickHouse(port=silent.getsockname()[1])
        with ClickHouseWatch(clickhouse) as watch:
            eventually(lambda: "does not answer" in (watch.problem() or ""))


def test_a_clickhouse_that_comes_and_goes_is_followed() -> None:
    with http_server(200) as port:
        watch = ClickHouseWatch(ClickHouse(port=port))
        watch.__enter__()
        time.sleep(0.5)
        assert watch.problem() is None
    eventually(lambda: "Cannot reach ClickHouse" in (watch.problem() or ""))
    watch.__exit__()


def test_an_error_of_clickhouse_is_reported_with_its_status() -> None:
    with http_server(503) as port:
        assert ping(ClickHouse(port=port)) == f"ClickHouse at 127.0.0.1:{port} answers /ping with 503"


class Cluster:
    """An admin client of a cluster that a test breaks."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.committed, self.first, self.end = 100, 0, 100
        self.closed = 0

    def describe_cluster(self) -> None:
        if self.error is not None:
            raise self.error

    def list_group_offsets(self, group: str) -> dict[str, Any]:
        return {group: {TopicPartition("log", 0): SimpleNamespace(offset=self.committed)}}

    def list_partition_offsets(self, places: dict[TopicPartition, object]) -> dict[TopicPartition, Any]:
        return {
            place: SimpleNamespace(offset=self.first if spec == OffsetSpec.EARLIEST else self.end)
            for place, spec in places.items()
        }

    def close(self) -> None:
        self.closed += 1


def test_a_broker_that_stops_answering_is_reported_and_its_recovery_is_seen() -> None:
    cluster = Cluster()
    with BrokerWatch(Kafka(), "group", ["log"], connect=lambda _: cluster) as watch:
        time.sleep(0.3)
        assert watch.problem() is None
        cluster.error = RequestTimedOutError("Request timed out")
        eventually(lambda: "does not answer" in (watch.problem() or ""))
        cluster.error = KafkaConnectionError("refused")
        eventually(lambda: "Cannot reach Kafka" in (watch.problem() or ""))
        # A client that failed is not asked again.
        assert cluster.closed > 0
        cluster.error = None
        eventually(lambda: watch.problem() is None)


def test_a_client_that_hangs_is_reported_as_well() -> None:
    let_go = threading.Event()

    class Hanging(Cluster):
        def describe_cluster(self) -> None:
            let_go.wait(30)

    with BrokerWatch(Kafka(), connect=lambda _: Hanging()) as watch:
        eventually(lambda: "has not answered for" in (watch.problem() or ""))
        let_go.set()


@pytest.mark.timeout(60)
def test_a_group_that_makes_no_progress_is_reported_once_there_is_work() -> None:
    cluster = Cluster()
    with BrokerWatch(Kafka(), "group", ["log"], connect=lambda _: cluster) as watch:
        time.sleep(0.3)
        assert watch.lag() is None
        cluster.end = 150
        eventually(lambda: "make no progress" in (watch.lag() or ""), 2 * REPORT_SECONDS)
        assert watch.ends("log", [0, 1]) == {0: 150}
        assert watch.standing("log", [0, 1])[0] > 8
        cluster.first = 150
        eventually(lambda: watch.lag() is None)
        assert watch.standing("log", [0, 1]) == {}, "what the log no longer holds is not waited for"
        cluster.committed = 150
        eventually(lambda: watch.lag() is None)


class FreshTopics:
    """A consumer of a broker that lists a new topic only at the third look."""

    def __init__(self) -> None:
        self.looks = 0

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return {1, 0} if topic == "new" and self.looks >= 3 else None

    def topics(self) -> set[str]:
        self.looks += 1
        return set()


def test_a_topic_that_was_just_made_is_waited_for_and_one_that_is_missing_is_reported() -> None:
    assert partitions_of(FreshTopics(), "new") == [0, 1]
    with pytest.raises(TransientError, match="The topic old is missing"):
        partitions_of(FreshTopics(), "old", patience=0.3)
