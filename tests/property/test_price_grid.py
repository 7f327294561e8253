"""The price grid against decimal arithmetic."""

from decimal import Decimal
from math import floor, log10

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqheat.domain import price_grid

prices = st.floats(min_value=1e-11, max_value=9e8)
factors = st.sampled_from(price_grid.FACTORS)


def decimal_edges(price: float) -> tuple[Decimal, Decimal]:
    """The fine bucket of a price by decimal arithmetic: what the grid's docstring says, the slow way."""
    exact = Decimal(price)
    decade = floor(log10(price))
    unit = Decimal(10) ** decade
    if exact < unit:
        unit /= 10
    elif exact >= 10 * unit:
        unit *= 10
    for upper, step in ((2, Decimal("0.001")), (5, Decimal("0.002")), (10, Decimal("0.005"))):
        if exact < upper * unit:
            low = exact // (step * unit) * (step * unit)
            return low, low + step * unit
    raise AssertionError(price)


@given(prices)
def test_a_price_lies_in_the_bucket_that_decimal_arithmetic_gives(price: float) -> None:
    bucket = price_grid.bucket_of(price)
    low, high = decimal_edges(price)
    # At an edge the float beside it decides, so the edge is compared as the float nearest to its decimal text.
    assert float(price_grid.lower_edge(bucket)) <= price < float(price_grid.upper_edge(bucket))
    if not np.isclose(price, float(low), rtol=1e-15) and not np.isclose(price, float(high), rtol=1e-15):
        assert float(price_grid.lower_edge(bucket)) == float(low)
        assert float(price_grid.upper_edge(bucket)) == float(high)


@given(prices, factors)
def test_coarser_levels_nest_exactly(price: float, factor: int) -> None:
    fine = price_grid.bucket_of(price)
    coarse = price_grid.bucket_of(price, factor)
    assert coarse == fine // factor
    assert price_grid.lower_edge(coarse, factor) <= price_grid.lower_edge(fine)
    assert price_grid.upper_edge(fine) <= price_grid.upper_edge(coarse, factor)


@given(prices, factors)
def test_an_edge_belongs_to_the_bucket_above_it(price: float, factor: int) -> None:
    bucket = price_grid.bucket_of(price, factor)
    assert price_grid.bucket_of(price_grid.lower_edge(bucket, factor), factor) == bucket
    assert price_grid.upper_edge(bucket, factor) == price_grid.lower_edge(bucket + 1, factor)


@given(st.lists(prices, min_size=1, max_size=50), factors)
def test_many_prices_at_once_are_many_single_prices(values: list[float], factor: int) -> None:
    together = price_grid.bucket_of(np.array(values), factor)
    assert together.tolist() == [int(price_grid.bucket_of(value, factor)) for value in values]


def test_the_articles_bucket_is_a_bucket() -> None:
    bucket = price_grid.bucket_of(0.857, 20)
    assert float(price_grid.lower_edge(bucket, 20)) == 0.85
    assert float(price_grid.upper_edge(bucket, 20)) == 0.86


@pytest.mark.parametrize("price", [0.0, -1.0, float("nan"), float("inf"), 1e12])
def test_what_is_no_price_is_refused(price: float) -> None:
    with pytest.raises(ValueError, match="Expected prices"):
        price_grid.bucket_of(price)


def test_a_factor_that_does_not_nest_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected a grid factor"):
        price_grid.check_factor(3)
