"""Several sinks in one group: each hour is rolled up by one, and nothing is lost or done twice as members change."""

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl
import pytest
from clickhouse_connect.driver.client import Client

from liqheat.local.broker import Broker
from liqheat.platform import kafka as kafka_clients
from liqheat.platform.broker_watch import BrokerWatch
from liqheat.platform.clickhouse import open_clickhouse
from liqheat.platform.codec import encode
from liqheat.platform.partitions import partition_of
from liqheat.platform.settings import Kafka, Settings, Sink
from liqheat.platform.topics import Topic
from liqheat.platform.watching import broker_watch
from sinks import gathering, service
from sinks.clickhouse.rollup import MarketHour
from sinks.clickhouse.tables import LEVELS, TOPICS
from sinks.clickhouse.writer import ClickHouseWriter
from sinks.service import Sink as SinkService
from tests.support.sink_fakes import heatmap_batch

pytestmark = [pytest.mark.clickhouse, pytest.mark.kafka, pytest.mark.timeout(300)]

SYMBOLS = [f"S{number}" for number in range(24)]


@dataclass
class Member:
    """A sink of the group in a thread, and what it has written."""

    settings: Settings
    rows: int = 0
    rolled_up: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.sink = SinkService(self.settings, open_clickhouse(self.settings.clickhouse))
        self.thread = threading.Thread(target=self.sink.run, args=(self.stop,))

    def leave(self) -> None:
        self.stop.set()
        self.thread.join(60)
        assert not self.thread.is_alive()


class Group:
    """Starts members that note what they write, and publishes minutes of every symbol."""

    def __init__(self, settings: Settings, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings = settings
        self.client = client
        self.members: list[Member] = []
        self.published = 0
        self._producer = kafka_clients.producer(settings.kafka)
        members = self.members

        class NotingWriter(ClickHouseWriter):
            """A member's own: writers are made in the member's thread."""

            def _member(self) -> Member:
                return next(each for each in members if each.thread is threading.current_thread())

            def insert(self, table: str, frames: Sequence[pl.DataFrame]) -> int:
                count = super().insert(table, frames)
                if table == LEVELS.name:
                    self._member().rows += count
                return count

            def roll_up(self, hours: Iterable[MarketHour]) -> None:
                touched = list(hours)
                super().roll_up(touched)
                self._member().rolled_up += [hour.symbol for hour in touched]

        monkeypatch.setattr(service, "ClickHouseWriter", NotingWriter)
        # On a busy machine rollups take long, and would rest for minutes.
        monkeypatch.setattr(gathering, "_ROLLUP_REST", 0.0)

    def join(self) -> Member:
        member = Member(self.settings)
        self.members.append(member)
        member.thread.start()
        assert member.sink.ready.wait(90)
        return member

    def publish(self, minute: int) -> None:
        kafka = self.settings.kafka
        for symbol in SYMBOLS:
            headers, value = encode(heatmap_batch(minute, symbol=symbol, revision=minute + 1))
            partition = partition_of(symbol, kafka.partitions)
            self._producer.send(kafka.topic(Topic.HEATMAP_BUCKETS), value=value, headers=headers, partition=partition)
            self.published += 1
        self._producer.flush()

    def wait_until_rolled_up(self) -> None:
        """Return once the days hold what the minutes do: their flows are sums."""
        sums = "SELECT count(), sum(opened_usd) FROM heatmap"
        days = "SELECT sum(opened_usd) FROM heatmap_1d"

        def done() -> bool:
            ((rows, opened),) = self.client.query(sums).result_rows
            ((rolled_up,),) = self.client.query(days).result_rows
            return bool(rows == self.published and rolled_up == pytest.approx(opened, rel=1e-6))

        wait_for(done, lambda: f"{self.client.query(sums).result_rows} {self.client.query(days).result_rows}")

    def watch(self, member: Member | None = None) -> BrokerWatch:
        """Return the watch of the group's lag, as a member has it or as one that knows of commits only."""
        reached = None if member is None else member.sink.reached
        return broker_watch(self.settings.kafka, self.settings.sink.group, TOPICS, reached)

    def forget(self) -> None:
        """Begin to count what the members write from here."""
        for member in self.members:
            member.rows = 0
            member.rolled_up.clear()

    def close(self) -> None:
        for member in self.members:
            member.leave()
        self._producer.close()


def wait_for(condition: Callable[[], bool], say: Callable[[], str]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, say()
        threading.Event().wait(0.1)


@pytest.fixture
def group(
    clickhouse: Client, settings: Settings, broker: Broker, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Group]:
    if "Tansu" in broker.name:
        pytest.skip("Joining a group takes the embedded broker 20 s; Apache Kafka runs this")
    # A busy machine that misses a heartbeat would look like a change of the group.
    kafka = kafka.model_copy(update={"session_seconds": 30.0})
    sink = Sink(batch_age=0.05, rollup_interval=0.3, retention_days=20_000, day_retention_days=20_000)
    started = Group(settings.model_copy(update={"kafka": kafka, "sink": sink}), clickhouse, monkeypatch)
    try:
        yield started
    finally:
        started.close()


def test_a_member_that_stores_what_it_reads_is_well_long_before_the_rollup_and_the_commit(group: Group) -> None:
    member = group.join()
    group.publish(0)
    group.wait_until_rolled_up()
    rare = group.settings.sink.model_copy(update={"rollup_interval": 3_600.0})
    member.leave()
    group.settings = group.settings.model_copy(update={"sink": rare})
    member = group.join()
    minutes = itertools.count(1)

    def commits_halt() -> bool:
        # Again and again, for a late change of the group has what is stored rolled up and committed.
        group.publish(next(minutes))
        threading.Event().wait(0.5)
        return by_commits.lag() is not None

    with group.watch() as by_commits, group.watch(member) as watch:
        wait_for(commits_halt, lambda: "nothing waits to be committed")
        assert watch.lag() is None
        heatmap = group.settings.kafka.topic(Topic.HEATMAP_BUCKETS)

        def is_all_reached() -> bool:
            ends = watch.ends(heatmap, range(group.settings.kafka.partitions))
            return bool(ends) and {number: member.sink.reached()[heatmap, number] for number in ends} == ends

        wait_for(is_all_reached, lambda: f"{member.sink.reached()}")


def test_each_symbol_is_stored_and_rolled_up_by_one_member(group: Group) -> None:
    first, second = group.join(), group.join()
    for minute in range(3):
        group.publish(minute)
        group.wait_until_rolled_up()
    group.forget()
    for minute in range(60, 63):
        group.publish(minute)
        group.wait_until_rolled_up()
    assert first.rows + second.rows == 3 * len(SYMBOLS)
    assert set(first.rolled_up) & set(second.rolled_up) == set()
    assert set(first.rolled_up) | set(second.rolled_up) == set(SYMBOLS)
    assert min(first.rows, second.rows) > 0


def test_nothing_is_lost_as_members_leave_and_join(group: Group) -> None:
    first, second = group.join(), group.join()
    group.publish(0)
    first.leave()
    group.publish(1)
    group.wait_until_rolled_up()
    third = group.join()
    group.publish(2)
    group.wait_until_rolled_up()
    group.forget()
    group.publish(3)
    group.wait_until_rolled_up()
    assert second.rows + third.rows == len(SYMBOLS)
    assert set(second.rolled_up) & set(third.rolled_up) == set()
    # What one did before it left, the next does not do again.
    second.leave()
    third.rows = 0
    group.publish(4)
    group.wait_until_rolled_up()
    assert third.rows == len(SYMBOLS)
