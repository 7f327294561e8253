"""The fall of bitcoin from 43,527 to 38,224 on 20 and 21 January 2022 as a log of position events.

Prices and volume are the recorded minute bars that the simulator ships. What bars do not hold is modelled, simply
and without chance: open interest grows by a tenth of what is traded, melts by 0.01 % a minute, and loses on
sharp minutes; executed liquidations are a twentieth of the volume of minutes that move more than 0.5 %.
"""

import csv
import gzip
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources

import polars as pl

from liqheat.domain.events import Batch, Kind, schema_of, to_batch
from liqheat.domain.margin_tiers import shipped_tables
from liqheat.domain.market import Venue
from liqheat.domain.windows import HOUR_MS

SYMBOL, INSTRUMENT, VENUE = "BTC", "BTCUSDT", Venue.BINANCE
FIRST = datetime(2022, 1, 20, 12, tzinfo=UTC)
LAST = datetime(2022, 1, 21, 4, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Bar:
    """One recorded minute: start (ms), prices (USD) and quote volume (USD)."""

    start: int
    open: float
    high: float
    low: float
    close: float
    volume: float


def bars() -> list[Bar]:
    """Return all recorded minutes, oldest first."""
    packed = resources.files("liqheat.simulator").joinpath("data/btc_perp_1m_2022-01.csv.gz").read_bytes()
    rows = csv.DictReader(io.StringIO(gzip.decompress(packed).decode()))
    return [
        Bar(
            int(datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC).timestamp() * 1_000),
            *(float(row[name]) for name in ("open", "high", "low", "close", "volume")),
        )
        for row in rows
    ]


def crash_log() -> Iterator[Batch]:
    """Yield the batches of each minute in log order, from `FIRST` to `LAST`."""
    first, last = int(FIRST.timestamp() * 1_000), int(LAST.timestamp() * 1_000)
    recorded = bars()
    yield to_batch(list(shipped_tables(VENUE)[INSTRUMENT].to_events(VENUE, SYMBOL, INSTRUMENT, first)))
    coins = 60_000.0
    for number, bar in enumerate(recorded):
        move = bar.close / bar.open - 1
        coins += 0.1 * bar.volume / bar.close - 0.0001 * coins - 3 * max(abs(move) - 0.003, 0) * coins
        if not first <= bar.start < last:
            continue
        yield from _minute(bar, move, coins, sum(each.volume for each in recorded[number - 1_440 : number]))


def _minute(bar: Bar, move: float, coins: float, turnover: float) -> Iterator[Batch]:
    start, buying = bar.start, 0.5 + max(min(move * 100, 0.4), -0.4)
    quantity = bar.volume / bar.close
    settlement = start - start % (8 * HOUR_MS) + 8 * HOUR_MS
    extremes = (bar.low, bar.high) if bar.close >= bar.open else (bar.high, bar.low)
    prices = (bar.open, *extremes, bar.close)
    times = [start + 1_000, start + 20_000, start + 40_000, start + 59_000]
    nan = float("nan")
    yield _batch(
        Kind.MARKS, [(time, price, nan, 0.0001, settlement) for time, price in zip(times, prices, strict=True)]
    )
    yield _batch(
        Kind.TRADES,
        [
            (time, price, quantity / 4 * share, side, -1)
            for time, price in zip(times, prices, strict=True)
            for side, share in ((1, buying), (-1, 1 - buying))
        ],
    )
    if abs(move) > 0.005:
        side = 1 if move < 0 else -1
        yield _batch(Kind.LIQUIDATIONS, [(start + 59_000, side, bar.close, 0.05 * quantity, nan)])
    yield _batch(Kind.OPEN_INTEREST, [(start + 59_500, coins)])
    yield _batch(Kind.TURNOVER, [(start + 59_600, turnover)])


def _batch(kind: Kind, rows: list[tuple[float, ...]]) -> Batch:
    frame = pl.DataFrame(rows, schema=schema_of(kind).polars, orient="row")
    return Batch.of_market(kind, VENUE, SYMBOL, INSTRUMENT, frame)
