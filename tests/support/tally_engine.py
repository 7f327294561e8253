"""A tiny engine for tests of the driver: it sums traded notional by minute and price bucket.

It keeps the promises of `processors.worker.engine.Engine`: split-invariant, absolute rows, revisions that
depend on the log alone. So tests of the driver need not know the real estimate, and run fast.
"""

import json
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from liqheat.domain.events import Batch, Kind, schema_of
from liqheat.domain.money import to_micro_usd
from liqheat.domain.price_grid import bucket_of, lower_edge, upper_edge
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.settings import Engine as EngineSettings

FACTOR = 5


@dataclass(slots=True)
class Tally:
    """Traded micro-USD by minute and bucket, for the minutes still open."""

    symbol: str
    lateness_ms: int
    revision: int = 0
    open_minute: int = 0
    minutes: dict[int, dict[int, int]] = field(default_factory=dict)


class TallyEngine:
    """Closes a minute when a row comes that is `lateness_ms` past its end; late rows count in the earliest open."""

    def new_state(self, symbol: str, settings: EngineSettings) -> Tally:
        return Tally(symbol, settings.lateness_ms)

    def apply(self, state: Tally, batch: Batch) -> list[Batch]:
        if batch.kind is not Kind.TRADES:
            if batch.kind is Kind.MARGIN_TIERS:
                raise ValueError("this engine takes no tiers")
            state.revision += batch.frame.height
            return []
        times = batch.frame["event_time"].to_numpy()
        amounts = to_micro_usd((batch.frame["price"] * batch.frame["quantity"]).to_numpy())
        buckets = bucket_of(batch.frame["price"].to_numpy(), FACTOR)
        horizon = np.maximum.accumulate((times - state.lateness_ms) // MINUTE_MS * MINUTE_MS)
        outputs: list[Batch] = []
        for row in range(len(times)):
            state.revision += 1
            minute = max(int(times[row]) // MINUTE_MS * MINUTE_MS, state.open_minute)
            sums = state.minutes.setdefault(minute, {})
            bucket = int(buckets[row])
            sums[bucket] = sums.get(bucket, 0) + int(amounts[row])
            if horizon[row] > state.open_minute:
                state.open_minute = int(horizon[row])
                for closed in sorted(minute for minute in state.minutes if minute < state.open_minute):
                    outputs.append(_rows(state, batch.venue, closed, state.minutes.pop(closed)))
        return outputs

    def snapshot(self, state: Tally) -> list[Batch]:
        return [_rows(state, "binance", minute, sums) for minute, sums in sorted(state.minutes.items())]

    def dump(self, state: Tally) -> bytes:
        minutes = [[minute, sorted(sums.items())] for minute, sums in sorted(state.minutes.items())]
        return json.dumps([state.symbol, state.lateness_ms, state.revision, state.open_minute, minutes]).encode()

    def load(self, data: bytes, settings: EngineSettings) -> Tally:
        symbol, lateness_ms, revision, open_minute, minutes = json.loads(data)
        return Tally(symbol, lateness_ms, revision, open_minute, {minute: dict(sums) for minute, sums in minutes})


def _rows(state: Tally, venue: str, minute: int, sums: dict[int, int]) -> Batch:
    keys = np.array(sorted(sums), dtype=np.int64)
    frame = pl.DataFrame(
        {
            "price_low": lower_edge(keys, FACTOR),
            "price_high": upper_edge(keys, FACTOR),
            "opened_usd": [sums[key] for key in keys.tolist()],
        }
    )
    constants: dict[str, int | float | str] = {
        "window_start": minute,
        "side": 1,
        "basis": "inferred",
        "leverage_band": "1-5x",
        "at_risk_usd": 0,
        "closed_usd": 0,
        "swept_usd": 0,
        "liquidated_usd": 0,
        "confidence": 1.0,
        "revision": state.revision,
    }
    schema = schema_of(Kind.HEATMAP_BUCKETS).polars
    frame = frame.with_columns(pl.lit(value).alias(name) for name, value in constants.items())
    return Batch(
        Kind.HEATMAP_BUCKETS,
        venue,
        state.symbol,
        "",
        frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items()),
    )
