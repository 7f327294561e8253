"""Whatever the terms, the two answers never contradict each other: bankruptcy lies beyond liquidation."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqheat.domain.liquidation_models import (
    CROSS_MODELS,
    Terms,
    bankruptcy_price,
    liquidation_price,
    liquidation_price_at_tier,
)
from liqheat.domain.margin_tiers import shipped_tables
from liqheat.domain.market import ModelName, Venue

TABLES = {name: shipped_tables(Venue.BINANCE)[name] for name in ("BTCUSDT", "ETHUSDT", "VIRTUALUSDT", "1000PEPEUSDT")}


@st.composite
def terms_of(draw: st.DrawFn, model: ModelName) -> dict[str, float]:
    entry = draw(st.floats(1e-6, 1e6))
    quantity = draw(st.floats(1e-3, 1e6))
    notional = entry * quantity
    terms = {
        "side": draw(st.sampled_from([1.0, -1.0])),
        "entry_price": entry,
        "quantity": quantity,
        "taker_fee_rate": draw(st.sampled_from([0.0, 0.0005, 0.01])),
        "extra_margin": draw(st.floats(-0.2, 3.0)) * notional,
    }
    if draw(st.booleans()):
        terms["leverage"] = draw(st.floats(1.0, 125.0))
    else:
        terms["wallet_balance"] = draw(st.floats(0.0, 2.0)) * notional
    if model in CROSS_MODELS:
        terms["other_maintenance_margin"] = draw(st.floats(0.0, 1.0)) * notional
        if model is ModelName.BINANCE:
            terms["other_unrealized_pnl"] = draw(st.floats(-1.0, 1.0)) * notional
        elif draw(st.booleans()):
            terms["account_value"] = draw(st.floats(0.0, 3.0)) * notional
            terms["mark_price"] = entry * draw(st.floats(0.5, 2.0))
    return terms


def in_order(terms: dict[str, float], liquidation: float, bankruptcy: float) -> bool:
    """Whether bankruptcy is beyond liquidation; none at all is beyond everything, but not the other way round."""
    side, entry_price = terms["side"], terms["entry_price"]
    if math.isnan(bankruptcy):
        return True
    if math.isnan(liquidation):
        # A long whose liquidation price is 0 or less is bankrupt at 0 or less too.
        return side < 0
    return (liquidation - bankruptcy) * side >= -1e-9 * max(entry_price, bankruptcy)


@pytest.mark.parametrize("model", list(ModelName))
@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_bankruptcy_lies_beyond_liquidation(model: ModelName, data: st.DataObject) -> None:
    terms = data.draw(terms_of(model))
    rate = data.draw(st.floats(0.0, 0.5))
    asked = Terms(**terms, maintenance_margin_rate=rate)
    assert in_order(terms, float(liquidation_price(model, asked)), float(bankruptcy_price(model, asked)))


@pytest.mark.parametrize("model", list(ModelName))
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_bankruptcy_lies_beyond_liquidation_at_every_tier(model: ModelName, data: st.DataObject) -> None:
    terms = data.draw(terms_of(model))
    tiers = TABLES[data.draw(st.sampled_from(sorted(TABLES)))]
    asked = Terms(**terms)
    liquidation = float(liquidation_price_at_tier(model, asked, tiers).price)
    assert in_order(terms, liquidation, float(bankruptcy_price(model, asked)))


@pytest.mark.parametrize("model", list(ModelName))
@given(leverage=st.floats(1.0, 100.0), extra=st.floats(0.0, 0.9), side=st.sampled_from([1.0, -1.0]))
@settings(max_examples=100, deadline=None)
def test_added_margin_never_brings_either_price_nearer(
    model: ModelName, leverage: float, extra: float, side: float
) -> None:
    def both(added: float) -> tuple[float, float]:
        terms = Terms(
            side=side,
            entry_price=100.0,
            quantity=1.0,
            leverage=leverage,
            maintenance_margin_rate=0.01,
            extra_margin=added,
        )
        return float(liquidation_price(model, terms)), float(bankruptcy_price(model, terms))

    for before, after in zip(both(0.0), both(extra * 100.0 / 2), strict=True):
        assert math.isnan(before) or math.isnan(after) or (before - after) * side >= -1e-9
