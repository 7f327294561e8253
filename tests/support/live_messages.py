"""What the worker sends of a whole market in live operation, as the sink's bench wants it: ticks of 1.5 s.

Each tick every market's open minute is published again, each minute every market's closed map, and a tenth of the maps
every sixth second, for prices that reached new levels. Messages carry all symbols of a venue on one of twelve
partitions.
"""

import time
from collections.abc import Iterator

import polars as pl

from liqheat.domain.events import Batch, Kind, schema_of
from liqheat.domain.windows import MINUTE_MS
from tests.support.decaying_map import DecayingMap
from tests.support.sink_fakes import filled_batch
from tests.support.stored_market import VENUES

PARTITIONS = 12
TICK_SECONDS = 1.5
TICKS = 40

Tick = tuple[float, list[tuple[str, Batch]]]


def live(markets: int, minutes: int) -> Iterator[Tick]:
    """Yield (seconds that pass, messages as (name of the topic, batch)) for `minutes` minutes."""
    start = int(time.time() * 1_000) // MINUTE_MS * MINUTE_MS
    symbols = markets // len(VENUES)
    kinds = [list(DecayingMap(seed).minutes(start, minutes, warm_up=600)) for seed in range(3)]
    quiet = filled_batch(Kind.MARKET_MINUTES, {"mark_close": 1.0}).frame
    for minute in range(minutes):
        maps = [_frame(rows[minute], minute) for rows in kinds]
        levels = [("HEATMAP_BUCKETS", each) for each in _levels(maps, symbols)]
        for tick in range(TICKS):
            moment = start + minute * MINUTE_MS
            batches = [("MARKET_MINUTES", each) for each in _minutes(quiet, symbols, moment, minute * 100 + tick)]
            if tick == 1:
                batches += levels
            elif tick % 4 == 2:
                batches += levels[::10]
            yield TICK_SECONDS, batches


def _frame(row: dict[str, object], revision: int) -> pl.DataFrame:
    size = len(row["side"])  # type: ignore[arg-type]
    schema = schema_of(Kind.HEATMAP_LEVELS).polars
    columns = row | {"window_start": [row["window_start"]] * size, "basis": ["inferred"] * size}
    columns |= {"grid_factor": [5] * size, "model_version": [2] * size, "revision": [revision] * size}
    return pl.DataFrame(columns, schema_overrides=schema).select(list(schema))


def _levels(maps: list[pl.DataFrame], symbols: int) -> Iterator[Batch]:
    for place, venue in enumerate(VENUES):
        for partition in range(PARTITIONS):
            frames = [
                maps[(number + place) % len(maps)].with_columns(
                    symbol=pl.lit(f"T{number}"), instrument=pl.lit(f"T{number}")
                )
                for number in range(partition, symbols, PARTITIONS)
            ]
            yield Batch(Kind.HEATMAP_LEVELS, venue, pl.concat(frames).select(list(schema_of(Kind.HEATMAP_LEVELS).wire)))


def _minutes(quiet: pl.DataFrame, symbols: int, moment: int, revision: int) -> Iterator[Batch]:
    for venue in VENUES:
        for partition in range(PARTITIONS):
            names = pl.Series([f"T{number}" for number in range(partition, symbols, PARTITIONS)])
            rows = pl.concat([quiet] * len(names)).with_columns(
                symbol=names,
                instrument=names,
                window_start=pl.lit(moment, pl.Int64),
                revision=pl.lit(revision, pl.Int64),
            )
            yield Batch(Kind.MARKET_MINUTES, venue, rows.select(list(schema_of(Kind.MARKET_MINUTES).wire)))
