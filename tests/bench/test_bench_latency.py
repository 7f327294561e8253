"""From an event at the publisher to a row that a query sees: publisher, Kafka, worker, sink, ClickHouse, all real."""

import asyncio
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from clickhouse_connect.driver.client import Client

from ingest.batching import BatchPolicy
from ingest.publisher import Publisher
from liqheat.domain.events import Mark, Trade
from liqheat.domain.market import Venue
from liqheat.platform import kafka as kafka_clients
from liqheat.platform.clickhouse import open_clickhouse
from liqheat.platform.settings import Ingest, Kafka, Settings
from sinks.service import Sink
from tests.support.workers import start_worker, wait_until_assigned

pytestmark = [pytest.mark.bench, pytest.mark.kafka, pytest.mark.clickhouse]

SYMBOLS = ("VIRTUAL", "FET", "AIXBT", "TAO", "WLD", "FARTCOIN", "KAITO", "GRASS", "RENDER")
SECONDS = 40
EVERY = 0.25
"""Seconds between the marks that are timed; each is a little higher than the one before."""


async def publish_marks(kafka: Kafka, sent: list[tuple[float, float]]) -> None:
    """Publish trades of nine symbols and a rising mark of the first, noting when each mark was handed over."""
    async with Publisher(kafka_clients.producer(kafka), BatchPolicy.of(Ingest()), kafka=kafka) as publisher:
        for number in range(round(SECONDS / EVERY)):
            now = time.time_ns() // 1_000_000
            for symbol in SYMBOLS:
                for _ in range(20):
                    publisher.add(Trade(Venue.BINANCE, symbol, f"{symbol}USDT", now, 1.0, 5.0, 1))
            price = 1.0 + number * 1e-4
            publisher.add(Mark(Venue.BINANCE, SYMBOLS[0], "VIRTUALUSDT", now, price))
            sent.append((time.monotonic(), price))
            await asyncio.sleep(EVERY)


def test_event_to_queryable_row(clickhouse: Client, settings: Settings, kafka: Kafka, tmp_path: Path) -> None:
    settings = settings.model_copy(
        update={
            "kafka": kafka,
            "sink": Settings().sink.model_copy(update={"retention_days": 20_000, "join_group": False}),
        }
    )
    sent: list[tuple[float, float]] = []
    seen: list[tuple[float, float]] = []
    stop = threading.Event()
    service = Sink(settings, open_clickhouse(settings.clickhouse))
    sink = threading.Thread(target=service.run, args=(stop,))
    statement = "SELECT max(mark_close) FROM market_minutes WHERE symbol = 'VIRTUAL'"
    with start_worker(kafka, tmp_path, "worker", snapshot_seconds=Settings().engine.snapshot_seconds) as worker:
        wait_until_assigned(worker)
        sink.start()
        try:
            publisher = threading.Thread(target=lambda: asyncio.run(publish_marks(kafka, sent)))
            publisher.start()
            while publisher.is_alive() or (seen and sent and seen[-1][1] < sent[-1][1]):
                highest = clickhouse.query(statement).result_rows[0][0]
                seen.append((time.monotonic(), float(highest or 0.0)))
                time.sleep(0.02)
        finally:
            stop.set()
            sink.join(timeout=30)
    delays = [next(at for at, highest in seen if highest >= price - 1e-12) - handed_over for handed_over, price in sent]
    steady = np.array(delays[len(delays) // 4 :])
    gaps = max(later - earlier for (earlier, _), (later, _) in pairwise(seen))
    sys.stdout.write(
        f"\nevent to queryable row: p50 {np.percentile(steady, 50):.2f} s, p99 {np.percentile(steady, 99):.2f} s "
        f"over {len(steady)} events (aim p99 < 3 s; asked every {gaps:.2f} s at most)\n"
    )
