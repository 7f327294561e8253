"""Margin tiers: the shipped table holds its own invariants, broken ones are refused, prices meet the definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqheat.domain.liquidation_price import linear_at_tier
from liqheat.domain.margin_tiers import BrokenMarginTiers, MarginTiers, shipped_tables, with_deductions
from liqheat.domain.market import Venue

TABLES = shipped_tables(Venue.BINANCE)
VIRTUAL = TABLES["VIRTUALUSDT"]


def test_every_shipped_table_passes_its_own_check() -> None:
    assert len(TABLES) > 700
    assert all(table.has_deductions for table in TABLES.values())


@pytest.mark.parametrize(
    ("step", "column", "value", "sentence"),
    [
        (1, 4, 26.0, "maintenance amount of 25 USD in tier 2"),
        (1, 0, 6_000.0, "tier 2 to start where tier 1 ends"),
        (0, 0, 1.0, "first tier to start at 0"),
        (2, 3, 0.001, "rates in .* that never fall"),
        (2, 2, 90.0, "leverages above 0 that never rise"),
        (0, 4, 1.0, "no amount in the first tier"),
        (3, 3, float("nan"), "finite numbers"),
    ],
)
def test_a_broken_table_is_refused_with_the_step_at_fault(step: int, column: int, value: float, sentence: str) -> None:
    rows = VIRTUAL.rows()
    rows[step][column] = value
    with pytest.raises(BrokenMarginTiers, match=sentence):
        MarginTiers.of(rows)


def test_computed_deductions_are_the_published_ones() -> None:
    for table in TABLES.values():
        computed = with_deductions([row[:4] for row in table.rows()])
        np.testing.assert_allclose(computed.maintenance_amount, table.maintenance_amount, atol=0.02, rtol=1e-9)


@given(
    st.sampled_from(sorted(TABLES)),
    st.sampled_from([1, -1]),
    st.floats(min_value=1e-4, max_value=1e5),
    st.floats(min_value=0.0001, max_value=0.999),
    st.floats(min_value=1.0, max_value=150.0),
)
def test_at_the_liquidation_price_margin_balance_meets_maintenance_margin(
    instrument: str, side: int, entry: float, size: float, leverage: float
) -> None:
    tiers = TABLES[instrument]
    notional = size * float(tiers.notional_cap[-1])
    quantity = notional / entry
    margin = notional / leverage
    solved = linear_at_tier(side, entry, quantity, margin, tiers)
    price = float(solved.price)
    if np.isnan(price):
        assert solved.tier == -1
        return
    balance = margin + side * quantity * (price - entry)
    needed = quantity * price * tiers.maintenance_margin_rate[solved.tier] - tiers.maintenance_amount[solved.tier]
    assert balance == pytest.approx(needed, rel=1e-6, abs=notional * 1e-9)
    if quantity * price < tiers.notional_cap[-1]:
        assert tiers.tier_at(quantity * price) == pytest.approx(solved.tier, abs=1)


def test_notional_limits_follow_the_leverages() -> None:
    assert VIRTUAL.notional_limit([75, 50, 20, 76]).tolist() == [5_000, 10_000, 100_000, 0]
