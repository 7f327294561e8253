"""A tiny engine for tests of the driver: it sums traded notional by minute and price bucket.

It keeps the promises of `processors.worker.engine.Engine`: split-invariant, absolute rows, revisions that
depend on the log alone. So tests of the driver need not know the real estimate, and run fast.
"""

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from liqheat.domain.events import Batch, Kind, schema_of
from liqheat.domain.money import to_micro_usd
from liqheat.domain.price_grid import bucket_of
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.codec import Rows
from liqheat.platform.codec_blocks import RowBlock, messages_of
from liqheat.platform.errors import PoisonMessage
from liqheat.platform.settings import Engine as EngineSettings

FACTOR = 5
REFUSED_PRICE = 666.0
"""This engine refuses trades at this price, whatever they are together with."""


@dataclass(slots=True)
class Tally:
    """Traded micro-USD by minute and bucket, for the minutes still open."""

    symbol: str
    lateness_ms: int
    revision: int = 0
    open_minute: int = 0
    changed: bool = False
    minutes: dict[int, dict[int, int]] = field(default_factory=dict)


@dataclass(slots=True)
class Tallies:
    """All symbols of one partition."""

    lateness_ms: int
    symbols: dict[str, Tally] = field(default_factory=dict)


class TallyEngine:
    """Closes a minute when a row comes that is `lateness_ms` past its end; late rows count in the earliest open."""

    def new_state(self, settings: EngineSettings) -> Tallies:
        return Tallies(settings.lateness_ms)

    def apply(self, state: Tallies, span: Sequence[RowBlock]) -> list[Batch]:
        before = deepcopy(state.symbols)
        outputs: list[Batch] = []
        try:
            for rows in messages_of(span).values():
                ends = [*rows.starts[1:].tolist(), rows.height]
                for (symbol, _), start, end in zip(rows.markets, rows.starts.tolist(), ends, strict=True):
                    tally = state.symbols.setdefault(symbol, Tally(symbol, state.lateness_ms))
                    outputs += _apply(tally, rows, slice(start, end))
        except PoisonMessage:
            state.symbols = before
            raise
        return outputs

    def snapshot(self, state: Tallies, only: Sequence[str] | None = None) -> list[Batch]:
        chosen = [each for each in state.symbols.values() if (each.changed if only is None else each.symbol in only)]
        for tally in chosen:
            tally.changed = False
        return [
            _rows(tally, "binance", minute, sums) for tally in chosen for minute, sums in sorted(tally.minutes.items())
        ]

    def counts(self, state: Tallies) -> dict[str, int]:
        return {}

    def dump(self, state: Tallies, symbol: str) -> bytes:
        tally = state.symbols[symbol]
        minutes = [[minute, sorted(sums.items())] for minute, sums in sorted(tally.minutes.items())]
        return json.dumps([symbol, tally.lateness_ms, tally.revision, tally.open_minute, minutes]).encode()

    def load(self, state: Tallies, data: bytes) -> None:
        symbol, lateness_ms, revision, open_minute, minutes = json.loads(data)
        loaded = {minute: dict(sums) for minute, sums in minutes}
        state.symbols[symbol] = Tally(symbol, lateness_ms, revision, open_minute, True, loaded)


def _apply(state: Tally, rows: Rows, own: slice) -> list[Batch]:
    count = own.stop - own.start
    state.changed = True
    if rows.kind is not Kind.TRADES:
        if rows.kind is Kind.MARGIN_TIERS:
            raise PoisonMessage("this engine takes no tiers")
        state.revision += count
        return []
    columns = {name: values[own] for name, values in rows.columns.items()}
    if (columns["price"] == REFUSED_PRICE).any():
        raise PoisonMessage("this engine takes no such price")
    times = columns["event_time"]
    amounts = to_micro_usd(columns["price"] * columns["quantity"])
    buckets = bucket_of(columns["price"], FACTOR)
    horizon = np.maximum.accumulate((times - state.lateness_ms) // MINUTE_MS * MINUTE_MS)
    outputs: list[Batch] = []
    for row in range(count):
        state.revision += 1
        minute = max(int(times[row]) // MINUTE_MS * MINUTE_MS, state.open_minute)
        sums = state.minutes.setdefault(minute, {})
        bucket = int(buckets[row])
        sums[bucket] = sums.get(bucket, 0) + int(amounts[row])
        if horizon[row] > state.open_minute:
            state.open_minute = int(horizon[row])
            for closed in sorted(minute for minute in state.minutes if minute < state.open_minute):
                outputs.append(_rows(state, rows.venue, closed, state.minutes.pop(closed)))
    return outputs


def _rows(state: Tally, venue: str, minute: int, sums: dict[int, int]) -> Batch:
    keys = sorted(sums)
    lists = {name: [0] * len(keys) for name in schema_of(Kind.HEATMAP_LEVELS).lists}
    row = {
        "window_start": minute,
        "side": 1,
        "basis": "inferred",
        "leverage_band": "1-5x",
        **lists,
        "bucket": keys,
        "opened_usd": [sums[key] for key in keys],
        "confidence": [1.0] * len(keys),
        "grid_factor": FACTOR,
        "model_version": 2,
        "revision": state.revision,
    }
    frame = pl.DataFrame([row], schema=schema_of(Kind.HEATMAP_LEVELS).polars)
    return Batch.of_market(Kind.HEATMAP_LEVELS, venue, state.symbol, "", frame)
