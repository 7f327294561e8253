"""Kafka to Faust to outputs: rows per second of our worker, beside the usual way on the same broker."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from kafka import KafkaAdminClient
from kafka.admin import NewTopic

from liqheat.domain.events import Batch
from liqheat.platform.kafka import producer
from liqheat.platform.metrics import ROWS_CONSUMED
from liqheat.platform.settings import Engine, Kafka, Settings
from processors.pipeline import Pipeline
from processors.worker.app import Worker
from tests.bench.plain_faust import PlainWorker
from tests.support.log_maker import make_log
from tests.support.workers import write_log

pytestmark = [pytest.mark.bench, pytest.mark.kafka]

ROWS_A_BATCH = 500
PLAIN_EVENTS = 20_000


def in_batches(log: Iterator[Batch]) -> Iterator[Batch]:
    """Cut a log into messages as the publisher would."""
    for batch in log:
        for frame in batch.frame.iter_slices(ROWS_A_BATCH):
            yield Batch(batch.kind, batch.venue, frame)


def rows_consumed() -> float:
    samples = [sample for metric in ROWS_CONSUMED.collect() for sample in metric.samples]
    return sum(sample.value for sample in samples if sample.name.endswith("_total"))


async def timed(count: Callable[[], float], total: float) -> tuple[float, float]:
    """Return rows per second of wall time and of processor time, from the first row counted to the last."""
    while not count():  # noqa: ASYNC110 - an event would slow what is measured
        await asyncio.sleep(0.001)
    first, wall, processor = count(), time.perf_counter(), time.process_time()
    while count() < total:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.005)
    done = total - first
    return done / (time.perf_counter() - wall), done / (time.process_time() - processor)


@pytest.mark.parametrize("trades_a_minute", [60_000, 6_000])
async def test_rows_from_kafka_to_outputs(kafka: Kafka, trades_a_minute: int) -> None:
    minutes = 600_000 // trades_a_minute
    log = list(in_batches(make_log(symbols=4, minutes=minutes, trades_a_minute=trades_a_minute)))
    rows = sum(batch.frame.height for batch in log)
    write_log(kafka, log)
    settings = Settings(kafka=kafka, engine=Engine())
    before = rows_consumed()
    stop = asyncio.Event()
    serving = asyncio.create_task(Worker(settings, Pipeline(settings.signals)).serve(stop))
    ours, ours_a_core = await timed(lambda: rows_consumed() - before, rows)
    stop.set()
    await serving

    plain, plain_a_core = await plain_faust(kafka)
    print(  # noqa: T201 - a benchmark is its output
        f"\n{rows:,} rows in {len(log):,} messages, {trades_a_minute:,} trades per symbol and minute"
        f"\n  liqheat worker:     {ours:12,.0f} rows/s   {ours_a_core:12,.0f} rows/s of processor time"
        f"\n  plain Faust, JSON:  {plain:12,.0f} rows/s   {plain_a_core:12,.0f} rows/s of processor time"
        f"\n  ratio:              {ours / plain:12,.0f}          {ours_a_core / plain_a_core:12,.0f}"
    )


async def plain_faust(kafka: Kafka) -> tuple[float, float]:
    """Measure the usual way on events like ours."""
    name = f"plain-{uuid.uuid4().hex[:8]}"
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    admin.create_topics([NewTopic(name=f"{name}-events", num_partitions=4, replication_factor=1)])
    admin.close()
    random = np.random.default_rng(1)
    sender = producer(kafka)
    for price in random.uniform(0.9, 1.1, PLAIN_EVENTS).tolist():
        event = {"symbol": "COIN1", "price": price, "quantity": 10.0, "side": 1, "leverage": 10.0}
        sender.send(f"{name}-events", key=b"COIN1", value=json.dumps(event).encode())
    sender.flush()
    sender.close()
    worker = PlainWorker(kafka.bootstrap_servers, name, partitions=4)
    running = asyncio.create_task(worker.run_until(PLAIN_EVENTS))
    result = await timed(lambda: worker.events, PLAIN_EVENTS)
    await running
    return result
