"""Series of the map become cells and the map of now: sums by hand."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from liqheat.domain.steps import level_micro_usd
from liqheat.domain.windows import MINUTE_MS
from liqheat.viewer.levels import Levels
from liqheat.viewer.request import Shape

STEPS = level_micro_usd()
ALL = Shape(MINUTE_MS, "at_risk", ("binance", "okx"), ("inferred", "observed"), ("1-5x", "50x+"))
Series = tuple[int, str, str, str, str, list[int], list[int], list[int]]


def levels_of(series: Sequence[Series]) -> Levels:
    """Return levels of minute, venue, side, basis, band, buckets, steps, and micro-USD of version 1."""
    rows: list[dict[str, Any]] = [
        {
            "seconds": 60 * minute, "venue": venue, "side": side, "basis": basis, "leverage_band": band,
            "bucket": buckets, "at_risk_steps": steps, "expected_steps": [1] * len(steps), "at_risk_micro_usd": exact,
        }
        for minute, venue, side, basis, band, buckets, steps, exact in series
    ]  # fmt: skip
    steps = pl.List(pl.UInt16)
    kinds: dict[str, Any] = {
        "seconds": pl.UInt32, "bucket": pl.List(pl.Int32), "at_risk_steps": steps, "expected_steps": steps,
        "at_risk_micro_usd": pl.List(pl.Int64),
    }  # fmt: skip
    return Levels.of(pl.DataFrame(rows, schema_overrides=kinds))


MIXED = levels_of(
    [
        (1, "binance", "long", "inferred", "1-5x", [-5, 10], [100, 200], []),
        (1, "binance", "short", "inferred", "1-5x", [10], [300], []),
        (1, "okx", "long", "observed", "50x+", [10], [0], [7_000_000]),
        (2, "okx", "long", "inferred", "50x+", [], [], []),
        (2, "binance", "long", "inferred", "50x+", [-5], [50], []),
    ]
)


def cells(levels: Levels, shape: Shape) -> list[tuple[int, ...]]:
    found = levels.cells(shape)
    arrays = (found.column, found.bucket, found.long_micro_usd, found.short_micro_usd)
    return list(zip(*(array.tolist() for array in arrays), strict=True))


def test_cells_are_sums_over_venues_bases_and_bands() -> None:
    assert cells(MIXED, ALL) == [
        (1, -5, STEPS[100], 0),
        (1, 10, STEPS[200] + 7_000_000, STEPS[300]),
        (2, -5, STEPS[50], 0),
    ]


def test_filters_leave_out_whole_series() -> None:
    assert cells(MIXED, ALL._replace(bands=("50x+",))) == [(1, 10, 7_000_000, 0), (2, -5, STEPS[50], 0)]
    assert cells(MIXED, ALL._replace(venues=())) == []


def test_rows_of_version_1_have_nothing_expected() -> None:
    assert cells(MIXED, ALL._replace(measure="expected", venues=("okx",))) == [(1, 10, STEPS[1], 0)]


def test_the_last_minute_of_each_venue_is_the_last_with_buckets() -> None:
    wide = ALL._replace(step=5 * MINUTE_MS)
    assert cells(MIXED.last_of_venues(5 * MINUTE_MS), wide) == [(0, -5, STEPS[50], 0), (0, 10, 7_000_000, 0)]
    found = MIXED.last_of_venues().current(ALL)
    arrays = (found.bucket, found.venue, found.basis, found.long_micro_usd, found.short_micro_usd)
    assert list(zip(*(array.tolist() for array in arrays), strict=True)) == [
        (-5, "binance", "inferred", STEPS[50], 0),
        (10, "okx", "observed", 7_000_000, 0),
    ]
