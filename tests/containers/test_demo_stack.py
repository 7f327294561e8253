"""The image is built and the compose file's demo runs in containers: healthy, rows arrive, a stop loses nothing."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from kafka import TopicPartition

from liqheat.domain.events import Batch, Kind
from liqheat.domain.instruments import DEFAULT_WATCH_LIST
from liqheat.domain.market import Venue
from liqheat.platform.codec import decode
from liqheat.platform.kafka import consumer
from liqheat.platform.partitions import partition_of
from liqheat.platform.settings import Kafka
from liqheat.platform.topics import Topic
from liqheat.simulator.listings import COINS
from sinks.clickhouse.tables import TOPICS
from tests.containers.engine import Engine
from tests.containers.stack import SINK, Stack
from tests.support.compose_file import OURS
from tests.support.workers import difference, expected, published, read_topic

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1_500)]

FEEDS = [f"demo-ingest-{venue.value}" for venue in Venue]
SERVICES = ["simulator", "worker", SINK, *FEEDS]
LISTED = {
    (symbol, venue.value)
    for symbol in DEFAULT_WATCH_LIST
    for venue in Venue
    if venue is not Venue.OKX or COINS[symbol].okx_contract is not None
}
IDENTITY = ["symbol", "venue", "window_start", "side", "basis", "leverage_band"]
MARKETS = """
SELECT symbol, venue, count() AS rows, sum(length(bucket)) AS buckets, toString(sum(arraySum(swept_micro_usd))) AS swept
FROM heatmap_levels_raw FINAL
GROUP BY symbol, venue
"""


@pytest.fixture
def stack(engine: Engine, image: str, kafka_image: str, tmp_path: Path) -> Iterator[Stack]:
    with Stack(engine, image, kafka_image, tmp_path / "data") as running:
        yield running


def test_every_service_of_the_demo_is_run_here() -> None:
    demo = {name for name, service in OURS.items() if service.get("profiles", ["demo"]) == ["demo"]}
    assert demo == {*SERVICES, "topics", "schema"}


def test_the_image_has_no_tools_to_build_with(engine: Engine, image: str) -> None:
    look = "import importlib.util as u; print([name for name in ('pip', 'setuptools') if u.find_spec(name)])"
    found = engine.run("run", "--rm", "--network=host", "--entrypoint", "/opt/liqheat/bin/python", image, "-c", look)
    assert found.stdout.strip() == "[]"


def test_the_demo_runs_and_a_stop_loses_nothing(stack: Stack) -> None:
    stack.start_kafka()
    settings = Kafka(bootstrap_servers=stack.bootstrap_servers)
    stack.wait(lambda: "Kafka Server started" in stack.last_words("kafka"), 60, "kafka")
    created = stack.run_job("topics")
    assert f"{len(Topic)} created" in created
    for name in ("simulator", "worker", SINK):
        stack.start(name)
    stack.wait(lambda: stack.healthy("simulator"), 180, "simulator")
    for name in FEEDS:
        stack.start(name)
    stack.wait(lambda: all(stack.healthy(name) for name in SERVICES), 240, *SERVICES)
    stack.wait(lambda: markets(settings) == LISTED, 300, "worker", *FEEDS)

    statuses = stack.stop(SERVICES)
    assert statuses == dict.fromkeys(SERVICES, 0), {name: stack.last_words(name) for name in SERVICES}

    # What the feeds had sent and nobody had read yet is read now, from where the stopped ones had committed.
    stack.resume(["worker", SINK])
    stack.wait(lambda: unread(settings, "liqheat-processors", [Topic.POSITION_EVENTS]) == 0, 120, "worker")
    stack.wait(lambda: unread(settings, "liqheat-sink", list(TOPICS)) == 0, 120, SINK)
    assert stack.stop(["worker", SINK]) == {"worker": 0, SINK: 0}

    symbol = DEFAULT_WATCH_LIST[0]
    log = list(batches_of(settings, Topic.POSITION_EVENTS, partition_of(symbol, settings.partitions)))
    made = published(settings, symbol)
    without_a_stop = expected(log, symbol)
    assert len(without_a_stop) > 1_000
    assert not difference(made, without_a_stop)

    stored = {(row["symbol"], row["venue"]): row for row in stack.query(MARKETS)}
    assert set(stored) == LISTED
    for row in latest_levels(settings).iter_rows(named=True):
        market = stored[row["symbol"], row["venue"]]
        found = {name: int(market[name]) for name in ("rows", "buckets", "swept")}
        assert found == {name: row[name] for name in found}, market


def batches_of(kafka: Kafka, topic: Topic, partition: int | None = None) -> Iterator[Batch]:
    for message in read_topic(kafka, topic):
        if partition is None or message.partition == partition:
            yield decode(message.headers, message.value)


def markets(kafka: Kafka) -> set[tuple[str, str]]:
    """Return the symbol and venue of every market with a minute."""
    return {
        (symbol, batch.venue) for batch in batches_of(kafka, Topic.MARKET_MINUTES) for symbol in batch.frame["symbol"]
    }


def unread(kafka: Kafka, group: str, topics: list[Topic]) -> int:
    """Return how many messages of `topics` the group has not committed."""
    partitions = [
        TopicPartition(kafka.topic(topic), number)
        for topic in topics
        for number in range(topic.partitions(kafka.partitions))
    ]
    observer = consumer(kafka, group=group)
    try:
        ends = observer.end_offsets(partitions)
        return sum(ends[partition] - (observer.committed(partition) or 0) for partition in partitions)
    finally:
        observer.close(autocommit=False)


def latest_levels(kafka: Kafka) -> pl.DataFrame:
    """Return rows, buckets and swept notional of each market, from the newest revision of each row on the topic."""
    frames = [
        batch.frame.with_columns(pl.lit(batch.venue).alias("venue"))
        for batch in batches_of(kafka, Topic.HEATMAP_BUCKETS)
        if batch.kind is Kind.HEATMAP_LEVELS
    ]
    newest = pl.concat(frames).sort("revision").unique(IDENTITY, keep="last")
    return newest.group_by("symbol", "venue").agg(
        pl.len().alias("rows"),
        pl.col("bucket").list.len().sum().alias("buckets"),
        pl.col("swept_usd").list.sum().sum().alias("swept"),
    )
