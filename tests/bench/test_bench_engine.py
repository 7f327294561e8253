"""The pure engine beside a bare numpy pass over the same batches, its memory at 1,700 markets, its checkpoint.

Figures for `make bench`, judged by nobody: machines differ, so the ratio to the pass in the same run counts.
"""

import sys
import time
import tracemalloc
from collections.abc import Callable, Mapping

import numpy as np
import polars as pl
import pytest

from liqheat.domain.events import NAN, Batch, Kind, schema_of
from liqheat.platform.settings import Engine as EngineSettings
from liqheat.platform.state_codec import unpack
from processors.heatmap import engine
from processors.heatmap.state import PartitionState, SavedSymbol

pytestmark = pytest.mark.bench

ROWS, START = 500, 1_767_225_600_000
MARKETS = 1_700


def log(batches: int, seed: int = 7, rows: int = ROWS) -> list[Batch]:
    """Make trade batches of `rows` a quarter of a second apart, a mark each second, open interest each 15 s."""
    random = np.random.default_rng(seed)
    result: list[Batch] = []

    def add(kind: Kind, columns: Mapping[str, object]) -> None:
        frame = pl.DataFrame(columns, schema=schema_of(kind).polars)
        result.append(Batch.of_market(kind, "binance", symbol, f"{symbol}USDT", frame))

    coins, price, symbol = 2e7, 1.3, "V"
    for number in range(batches):
        now = START + number * 250
        price *= float(np.exp(random.normal(0, 0.0004)))
        if number % 4 == 0:
            mark = {"event_time": [now], "mark_price": [price], "index_price": [price], "funding_rate": [NAN]}
            add(Kind.MARKS, {**mark, "next_funding_time": [0]})
        if number % 60 == 0:
            coins *= float(np.exp(random.normal(0, 0.002)))
            add(Kind.OPEN_INTEREST, {"event_time": [now], "quantity": [coins]})
        trades = {
            "event_time": now + np.sort(random.integers(0, 250, rows)),
            "price": price * (1 + random.normal(0, 2e-4, rows)),
            "quantity": random.exponential(300, rows),
            "taker_side": random.choice(np.array([-1, 1], dtype=np.int8), rows),
            "trade_id": np.arange(rows) + number * rows,
        }
        add(Kind.TRADES, trades)
    return result


def bare_pass(batches: list[Batch]) -> np.ndarray:
    """Sum notional by price bucket and taker side: the least that any engine over these rows must do."""
    book = np.zeros(8_192)
    for batch in batches:
        if batch.kind is Kind.TRADES:
            price = batch.frame["price"].to_numpy()
            notional = np.rint(price * batch.frame["quantity"].to_numpy() * 1e6)
            bucket = (np.log10(price) * 3_500).astype(np.int64) + 2_048
            side = batch.frame["taker_side"].to_numpy() > 0
            book += np.bincount(bucket + side * 4_096, weights=notional, minlength=8_192)
    return book


def seconds_of(works: list[Callable[[list[Batch]], object]], batches: list[Batch]) -> list[float]:
    """Return the best of seven runs of each of `works`, taken in turns so that a busy machine meets all alike."""
    best = [float("inf")] * len(works)
    for _ in range(7):
        for number, work in enumerate(works):
            started = time.perf_counter()
            work(batches)
            best[number] = min(best[number], time.perf_counter() - started)
    return best


def run(batches: list[Batch]) -> PartitionState:
    state = engine.new_state(EngineSettings())
    for batch in batches:
        engine.apply(state, batch)
    return state


def test_rows_a_second_beside_a_bare_numpy_pass(capsys: pytest.CaptureFixture[str]) -> None:
    batches = log(2_000)
    rows = sum(batch.frame.height for batch in batches)
    bare, ours = seconds_of([bare_pass, run], batches)
    with capsys.disabled():
        sys.stdout.write(
            f"\nengine: {rows / ours / 1e6:.1f} M rows/s, {bare / ours:.0%} of a bare numpy pass"
            f" ({rows / bare / 1e6:.1f} M rows/s), {rows:,} rows in {len(batches):,} batches\n"
        )


def test_memory_of_1700_markets_after_an_hour(capsys: pytest.CaptureFixture[str]) -> None:
    hours = [log(14_400, seed, rows=20) for seed in range(4)]
    dumps = [engine.dump(run(hour), "V") for hour in hours]
    tracemalloc.start()
    state = engine.new_state(EngineSettings())
    for number in range(MARKETS):
        # One state holds all markets of a partition, each under a symbol of its own.
        saved = unpack(dumps[number % len(dumps)], SavedSymbol)
        saved.symbol = f"V{number:05}"
        state.restore(saved)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    with capsys.disabled():
        sys.stdout.write(
            f"\nengine: {len(state.venues):,} markets in {used / 2**20:,.0f} MB,"
            f" a checkpoint of one is {max(map(len, dumps)) / 1024:.0f} KB\n"
        )
