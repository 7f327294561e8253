"""Seeded logs of position events, as the ingest services would write them: for tests of the processors."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from liqheat.domain.events import Batch, Kind, schema_of
from liqheat.domain.margin_tiers import MarginTiers
from liqheat.domain.windows import MINUTE_MS

START = 1_700_000_040_000 // MINUTE_MS * MINUTE_MS


def make_log(symbols: int, minutes: int, trades_a_minute: int, seed: int = 1) -> Iterator[Batch]:
    """Yield batches in log order: tiers first, then a minute at a time trades, marks, open interest, liquidations."""
    random = np.random.default_rng(seed)
    names = [f"COIN{number}" for number in range(symbols)]
    price = dict.fromkeys(names, 1.0)
    open_interest = dict.fromkeys(names, 1_000_000.0)
    for name in names:
        yield _tiers(name)
    for minute in range(minutes):
        start = START + minute * MINUTE_MS
        for name in names:
            steps = random.normal(0, 0.0004, trades_a_minute)
            path = price[name] * np.exp(np.cumsum(steps))
            price[name] = float(path[-1])
            times = np.sort(random.integers(start, start + MINUTE_MS, trades_a_minute))
            sides = random.choice(np.array([-1, 1], dtype=np.int8), trades_a_minute)
            trades = {
                "event_time": times,
                "price": path,
                "quantity": random.uniform(1, 500, trades_a_minute),
                "taker_side": sides,
                "trade_id": np.arange(trades_a_minute) + minute * trades_a_minute,
            }
            # Two thirds through the minute a change of open interest, then the rest of the trades.
            cut = trades_a_minute * 2 // 3
            yield _batch(Kind.TRADES, name, {column: values[:cut] for column, values in trades.items()})
            marks = path[:: max(1, trades_a_minute // 12)]
            yield _batch(Kind.MARKS, name, _marks(start, marks))
            open_interest[name] *= 1 + float(random.normal(0, 0.004))
            interest = {"event_time": [int(times[cut])], "quantity": [open_interest[name]]}
            yield _batch(Kind.OPEN_INTEREST, name, interest)
            yield _batch(Kind.TRADES, name, {column: values[cut:] for column, values in trades.items()})
            if minute % 3 == 0:
                died = {
                    "event_time": [int(times[-1])],
                    "side": [int(random.choice([-1, 1]))],
                    "price": [price[name]],
                    "quantity": [float(random.uniform(10, 1_000))],
                    "bankruptcy_price": [price[name]],
                }
                yield _batch(Kind.LIQUIDATIONS, name, died)


def _marks(start: int, marks: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> dict[str, object]:
    times = start + np.arange(len(marks)) * (MINUTE_MS // len(marks))
    return {
        "event_time": times,
        "mark_price": marks,
        "index_price": marks,
        "funding_rate": np.full(len(marks), 0.0001),
        "next_funding_time": np.full(len(marks), start + 8 * 60 * MINUTE_MS),
    }


def _tiers(name: str) -> Batch:
    rows = MarginTiers.of([[0, 50_000, 50, 0.01, 0], [50_000, 1e9, 20, 0.025, 750]]).rows()
    fields = ("notional_floor", "notional_cap", "maximum_leverage", "maintenance_margin_rate", "maintenance_amount")
    columns: dict[str, object] = {"event_time": [START] * 2, "tier": [1, 2], "tiers": [2, 2]}
    columns |= {field: [row[number] for row in rows] for number, field in enumerate(fields)}
    return _batch(Kind.MARGIN_TIERS, name, columns)


def _batch(kind: Kind, name: str, columns: dict[str, object]) -> Batch:
    schema = schema_of(kind).polars
    return Batch.of_market(kind, "binance", name, f"{name}USDT", pl.DataFrame(columns, schema=schema))
