"""Rows of lists go through the codec unchanged; lists that no map can have are poison with a sentence."""

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqheat.domain.events import Batch, Kind, schema_of
from liqheat.domain.units import MAXIMUM_LIST
from liqheat.platform import codec
from liqheat.platform.errors import PoisonMessage

SCHEMA = schema_of(Kind.HEATMAP_LEVELS)
AMOUNTS = ("at_risk_usd", "expected_usd", "opened_usd", "closed_usd", "swept_usd", "liquidated_usd")


def row_of(buckets: list[int], **changes: Any) -> dict[str, Any]:
    row = {
        "window_start": 1_700_000_040_000,
        "side": 1,
        "basis": "inferred",
        "leverage_band": "10-25x",
        "bucket": buckets,
        "confidence": [0.5] * len(buckets),
        "grid_factor": 5,
        "model_version": 2,
        "revision": 9,
    }
    return row | {name: [1_000_000] * len(buckets) for name in AMOUNTS} | changes


def batch_of(*rows: dict[str, Any]) -> Batch:
    frame = pl.DataFrame(list(rows), schema=SCHEMA.polars)
    return Batch.of_market(Kind.HEATMAP_LEVELS, "binance", "TAO", "TAOUSDT", frame)


buckets = st.lists(st.integers(min_value=-45_500, max_value=42_000), max_size=40, unique=True).map(sorted)


@given(st.lists(buckets, min_size=1, max_size=8))
def test_rows_of_lists_come_back_as_they_were(lists: list[list[int]]) -> None:
    batch = batch_of(*(row_of(each) for each in lists))
    assert codec.decode(*codec.encode(batch)).frame.equals(batch.frame)


def test_the_lists_have_the_widths_that_they_are_stored_with() -> None:
    types = SCHEMA.polars
    assert types["bucket"] == pl.List(pl.Int32)
    assert types["at_risk_usd"] == pl.List(pl.Int64)
    assert types["confidence"] == pl.List(pl.Float32)
    assert SCHEMA.lists == ("bucket", *AMOUNTS, "confidence")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda row: row | {"at_risk_usd": [1]}, "'bucket' and 'at_risk_usd' of a row differ in length"),
        (lambda row: row | {"bucket": [3, 2, 4]}, "'bucket' of a row does not rise"),
        (lambda row: row | {"bucket": [3, 3, 4]}, "'bucket' of a row does not rise"),
        (lambda row: row | {"swept_usd": [1, -1, 1]}, "Element 3 of the column 'swept_usd'"),
        (lambda row: row | {"bucket": [1, 2, 50_000]}, "'bucket' \\(number of the published price bucket\\) is 50000"),
        (lambda row: row | {"confidence": [0.1, -0.5, 0.2]}, "'confidence' \\(fraction of 1\\) is -0.5"),
        (lambda row: row | {"closed_usd": [1, None, 1]}, "'closed_usd' has 1 nulls in its lists"),
        (lambda row: row | {"closed_usd": None}, "'closed_usd' has 1 nulls"),
        (lambda row: row | {"model_version": 0}, "'model_version'"),
        (lambda _: row_of(list(range(MAXIMUM_LIST + 1))), f"a list of {MAXIMUM_LIST + 1} elements"),
    ],
)
def test_a_row_that_no_map_can_have_is_poison(spoil: Callable[[dict[str, Any]], dict[str, Any]], sentence: str) -> None:
    message = codec.encode(batch_of(row_of([5, 6]), spoil(row_of([1, 2, 3]))))
    with pytest.raises(PoisonMessage, match=sentence):
        codec.decode(*message)


def test_a_list_may_begin_below_the_end_of_the_one_before() -> None:
    batch = batch_of(row_of([7, 9]), row_of([]), row_of([1, 2]), row_of([]), row_of([0]), row_of([]))
    assert codec.decode(*codec.encode(batch)).frame.height == 6


def test_a_minute_of_an_older_version_is_readable() -> None:
    """Columns that came later have defaults; those that went are passed over."""
    schema = schema_of(Kind.MARKET_MINUTES)
    old = {column.name: 1 for column in schema.columns if column.default is None} | {"scale_long": 1.0}
    types = {name: schema.polars.get(name, pl.Float64()) for name in old}
    batch = Batch.of_market(Kind.MARKET_MINUTES, "binance", "TAO", "TAOUSDT", pl.DataFrame([old], schema=types))
    minute = codec.decode(*codec.encode(batch)).frame.row(0, named=True)
    assert minute["model_version"] == 1
    assert minute["expected_long_usd"] == 0
    assert "scale_long" not in minute
