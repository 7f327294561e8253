"""The loop on a real (embedded) ClickHouse: the same log, cut or killed anyhow, is one truth."""

import random
import threading

import pytest
from clickhouse_connect.driver.client import Client

from liqheat.domain.events import Batch, Gap, Kind, Liquidation, to_batch
from liqheat.domain.market import Venue
from liqheat.local.broker import Broker
from liqheat.platform import kafka as kafka_clients
from liqheat.platform.clickhouse import open_clickhouse
from liqheat.platform.clock import ManualClock
from liqheat.platform.codec import encode
from liqheat.platform.errors import ConfigurationError
from liqheat.platform.settings import Kafka, Settings, Sink
from liqheat.platform.topics import Topic
from sinks.clickhouse.writer import ClickHouseWriter
from sinks.loop import SinkLoop
from sinks.service import Sink as SinkService
from tests.support.sink_fakes import MIDNIGHT, TIME_MS, MemoryDeadLetters, MemorySource, filled_batch, heatmap_batch

pytestmark = pytest.mark.clickhouse

VIEWS = ("heatmap", "heatmap_1h", "heatmap_1d", "market_minutes", "liquidations", "gaps", "dead_letters")


def contents(client: Client) -> dict[str, list[tuple[object, ...]]]:
    """Every row that a reader sees, in one order."""
    return {
        view: sorted((tuple(row) for row in client.query(f"SELECT * FROM {view}").result_rows), key=repr)
        for view in VIEWS
    }


def a_log(seed: int = 7) -> MemorySource:
    """Two symbols over three hours: provisional rows, revisions, repeats, a poison message, other kinds between."""
    dice = random.Random(seed)
    source = MemorySource()
    for minute in range(0, 180, 9):
        for symbol in ("TAO", "WLD"):
            for revision in (minute * 10 + 1, minute * 10 + 4):
                buckets = sorted(dice.sample(range(12), 4))
                batch = heatmap_batch(
                    minute, symbol=symbol, buckets=buckets, revision=revision, at_risk=dice.randrange(10**9)
                )
                source.add(Topic.HEATMAP_BUCKETS, batch)
        source.add(Topic.MARKET_MINUTES, market_minute(minute, revision=minute + 1))
    source.add(Topic.HEATMAP_BUCKETS, heatmap_batch(), value=b"poison")
    source.add(Topic.GAPS, to_batch([Gap(Venue.OKX, "TAO", "T", TIME_MS, TIME_MS + 5, "trades", 1, "lost")]))
    twin = Liquidation(Venue.OKX, "TAO", "T", TIME_MS, 1, 2.0, 3.0)
    source.add(Topic.POSITION_EVENTS, to_batch([twin, twin]))
    source.add(Topic.DEAD_LETTERS, value=b"\x00\xff")
    return source


def market_minute(minute: int, revision: int) -> Batch:
    row = {"window_start": MIDNIGHT + minute * 60_000, "mark_close": 1.5, "taker_buy_usd": 1, "revision": revision}
    return filled_batch(Kind.MARKET_MINUTES, row, venue="okx")


def read(source: MemorySource, client: Client, settings: Settings, batch_rows: int, steps: int = 100) -> SinkLoop:
    """Read the whole log with batches of `batch_rows`; nothing is committed unless the loop does it."""
    sink = settings.sink.model_copy(update={"batch_rows": batch_rows, "rollup_interval": 2.0})
    clock = ManualClock()
    database = ClickHouseWriter(client, settings.clickhouse)
    loop = SinkLoop(
        settings.model_copy(update={"sink": sink}), source, database, MemoryDeadLetters(source.steps), clock
    )
    for _ in range(steps):
        clock.advance(0.5)
        loop.step()
        if source.exhausted:
            break
    return loop


def test_the_same_log_twice_and_cut_otherwise_is_stored_once(clickhouse: Client, settings: Settings) -> None:
    log = a_log()
    assert read(log, clickhouse, settings, batch_rows=37).finish()
    once = contents(clickhouse)
    assert [len(once[view]) > 0 for view in VIEWS] == [True] * len(VIEWS)
    assert read(MemorySource(log.records), clickhouse, settings, batch_rows=5).finish()
    assert contents(clickhouse) == once
    for table in ("heatmap_levels_raw", "heatmap_levels_1h_raw", "heatmap_levels_1d_raw"):
        clickhouse.command(f"OPTIMIZE TABLE {table} FINAL")
    assert contents(clickhouse) == once


def test_killed_between_insert_and_commit_nothing_is_lost_or_doubled(clickhouse: Client, settings: Settings) -> None:
    log = a_log()
    assert read(log, clickhouse, settings, batch_rows=1_000).finish()
    expected = contents(clickhouse)
    for table in (
        "heatmap_levels_raw",
        "heatmap_levels_1h_raw",
        "heatmap_levels_1d_raw",
        "market_minutes_raw",
        "liquidations_raw",
    ):
        clickhouse.command(f"TRUNCATE TABLE {table}")
    for table in ("gaps_raw", "dead_letters_raw"):
        clickhouse.command(f"TRUNCATE TABLE {table}")
    dice = random.Random(3)
    source = MemorySource(log.records)
    for _ in range(6):
        # Every commit of this life fails, so it dies with rows written that no offset remembers; sometimes one works.
        source.refused_commits = dice.choice([1, 10**6])
        read(source, clickhouse, settings, batch_rows=dice.choice([3, 40, 400]), steps=dice.randrange(1, 6))
        source = source.restarted()
    assert read(source, clickhouse, settings, batch_rows=50).finish()
    assert contents(clickhouse) == expected


def test_micro_usd_and_unknown_values_read_as_dollars_and_null(clickhouse: Client, settings: Settings) -> None:
    log = MemorySource()
    log.add(Topic.HEATMAP_BUCKETS, heatmap_batch(at_risk=1_234_567, side=-1))
    log.add(Topic.MARKET_MINUTES, market_minute(0, revision=1))
    assert read(log, clickhouse, settings, batch_rows=10).finish()
    assert clickhouse.query("SELECT side, at_risk_usd, price_low, price_high FROM heatmap").result_rows == [
        ("short", pytest.approx(1.234567, rel=0.005), 100.0, 101.0)
    ]
    row = clickhouse.query(
        "SELECT mark_close, index_price, next_funding_time, taker_buy_usd FROM market_minutes"
    ).result_rows
    assert row == [(1.5, None, None, 1e-6)]


def test_a_sink_without_its_tables_says_what_to_do(empty_clickhouse: Client, settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="liqheat migrate"):
        SinkService(settings, empty_clickhouse).run(threading.Event())


@pytest.mark.kafka
@pytest.mark.parametrize("join_group", [True, False])
def test_from_kafka_to_the_views_over_a_restart(
    clickhouse: Client, settings: Settings, broker: Broker, kafka: Kafka, join_group: bool
) -> None:
    if join_group and "Tansu" in broker.name:
        pytest.skip("Joining a group takes the embedded broker 20 s; Apache Kafka runs this")
    sink = Sink(batch_age=0.05, rollup_interval=0.1, join_group=join_group, retention_days=20_000)
    settings = settings.model_copy(update={"kafka": kafka, "sink": sink})
    producer = kafka_clients.producer(kafka)

    def publish(minute: int, value: bytes | None = None) -> None:
        headers, encoded = encode(heatmap_batch(minute, buckets=range(20)))
        topic = kafka.topic(Topic.HEATMAP_BUCKETS)
        producer.send(topic, key=b"TAO", value=encoded if value is None else value, headers=headers)

    def run_until(statement: str, expected: int) -> None:
        stop = threading.Event()
        service = SinkService(settings, open_clickhouse(settings.clickhouse))
        thread = threading.Thread(target=service.run, args=(stop,))
        thread.start()
        try:
            for _ in range(600):
                if clickhouse.query(statement).result_rows[0][0] == expected:
                    break
                stop.wait(0.05)
        finally:
            stop.set()
            thread.join(timeout=30)
        assert clickhouse.query(statement).result_rows == [(expected,)]
        assert service.problem() is None

    for minute in range(5):
        publish(minute)
    publish(5, value=b"poison")
    producer.flush()
    run_until("SELECT (SELECT count() FROM heatmap_1h) + (SELECT count() FROM dead_letters)", 21)
    assert clickhouse.query("SELECT count() FROM heatmap").result_rows == [(100,)]
    assert clickhouse.query("SELECT origin_offset, value FROM dead_letters").result_rows == [(5, "poison")]
    publish(6)
    producer.flush()
    run_until("SELECT count() FROM heatmap", 120)
    # Offsets were committed: the second life read one message, so the poison was not met again.
    assert clickhouse.query("SELECT count() FROM dead_letters_raw").result_rows == [(1,)]
    producer.close()


@pytest.mark.kafka
def test_a_second_sink_takes_over_partitions_without_loss(
    clickhouse: Client, settings: Settings, broker: Broker, kafka: Kafka
) -> None:
    if "Tansu" in broker.name:
        pytest.skip("Joining a group takes the embedded broker 20 s; Apache Kafka runs this")
    # Rollups are never due in time, so a partition that moves has uncommitted rows behind it.
    sink = Sink(batch_age=0.05, rollup_interval=600, retention_days=20_000, day_retention_days=20_000)
    settings = settings.model_copy(update={"kafka": kafka, "sink": sink})
    producer = kafka_clients.producer(kafka)
    symbols = [f"S{number}" for number in range(12)]

    def publish(minute: int) -> None:
        for symbol in symbols:
            headers, value = encode(heatmap_batch(minute, symbol=symbol))
            producer.send(kafka.topic(Topic.HEATMAP_BUCKETS), key=symbol.encode(), value=value, headers=headers)
        producer.flush()

    def rows() -> int:
        count: int = clickhouse.query("SELECT count() FROM heatmap").result_rows[0][0]
        return count

    def wait_for(expected: int) -> None:
        for _ in range(1_200):
            if rows() == expected:
                return
            threading.Event().wait(0.05)
        raise AssertionError(f"{rows()} rows instead of {expected}")

    stops = [threading.Event(), threading.Event()]
    services = [SinkService(settings, open_clickhouse(settings.clickhouse)) for _ in stops]
    threads = [
        threading.Thread(target=service.run, args=(stop,)) for service, stop in zip(services, stops, strict=True)
    ]
    try:
        publish(0)
        threads[0].start()
        wait_for(12)
        threads[1].start()
        # The second one has partitions only after the first has given them up.
        assert services[1].ready.wait(60)
        publish(1)
        wait_for(24)
        stops[0].set()
        threads[0].join(30)
        publish(2)
        wait_for(36)
    finally:
        for stop, thread in zip(stops, threads, strict=True):
            stop.set()
            if thread.is_alive():
                thread.join(30)
    # Flows are kept in steps of 10 %.
    ((days, opened),) = clickhouse.query("SELECT count(), sum(opened_usd) FROM heatmap_1d").result_rows
    assert (days, opened) == (12, pytest.approx(36.0, rel=0.05))
    producer.close()
