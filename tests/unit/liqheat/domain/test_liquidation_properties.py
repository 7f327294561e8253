"""What holds of every liquidation model, and ten thousand positions against brute force."""

import numpy as np
import pytest

from liqheat.domain.liquidation_models import (
    MissingTerm,
    Terms,
    UnsupportedTerm,
    liquidation_price,
)
from liqheat.domain.liquidation_price import linear_at_tier
from liqheat.domain.margin_tiers import MarginTiers, shipped_tables
from liqheat.domain.market import ModelName, Venue

LONG, SHORT = 1, -1


@pytest.mark.parametrize("model", list(ModelName))
def test_a_model_says_what_it_misses(model: ModelName) -> None:
    with pytest.raises(MissingTerm, match="Expected"):
        liquidation_price(model, Terms(side=1, entry_price=1.0, quantity=1.0))


@pytest.mark.parametrize("model", ["okx", "bybit", "bybit_legacy", "simple"])
def test_isolated_models_refuse_other_positions(model: str) -> None:
    with pytest.raises(UnsupportedTerm, match="isolated"):
        liquidation_price(
            ModelName(model),
            Terms(
                side=1,
                entry_price=1,
                quantity=1,
                leverage=5,
                maintenance_margin_rate=0.01,
                other_maintenance_margin=1.0,
            ),
        )


@pytest.mark.parametrize("model", list(ModelName))
def test_no_leverage_no_liquidation_of_a_long(model: ModelName) -> None:
    rate = 0.01 if model is ModelName.BYBIT_LEGACY else 0.0
    terms = Terms(side=1, entry_price=1.0, quantity=1.0, leverage=0.9, maintenance_margin_rate=rate)
    assert np.isnan(liquidation_price(model, terms))


def test_longs_die_below_and_shorts_above_their_entry() -> None:
    side = np.array([1, -1])
    for model in ModelName:
        terms = Terms(side=side, entry_price=2.0, quantity=10.0, leverage=10, maintenance_margin_rate=0.02)
        below, above = liquidation_price(model, terms)
        assert below < 2.0 < above, model


@pytest.mark.parametrize("model", list(ModelName))
def test_scalar_and_vector_agree_to_the_last_bit(model: ModelName) -> None:
    random = np.random.default_rng(1)
    count = 200
    columns = {
        "side": random.choice([-1.0, 1.0], count),
        "entry_price": random.uniform(0.01, 1e4, count),
        "quantity": random.uniform(1, 1e6, count),
        "leverage": random.uniform(1, 75, count),
        "maintenance_margin_rate": random.uniform(0.004, 0.1, count),
        "maintenance_amount": random.uniform(0, 100, count),
        "taker_fee_rate": np.full(count, 0.0005),
        "extra_margin": random.uniform(0, 10, count),
    }
    together = liquidation_price(model, Terms(**columns))
    for row in range(count):
        alone = liquidation_price(model, Terms(**{name: column[row] for name, column in columns.items()}))
        np.testing.assert_array_equal(alone, together[row])


def test_shipped_tiers_keep_margin_continuous_over_every_step() -> None:
    steps = 0
    for name, tiers in shipped_tables(Venue.BINANCE).items():
        if len(tiers) == 1:
            continue
        edges = tiers.notional_floor[1:]
        below = edges * tiers.maintenance_margin_rate[:-1] - tiers.maintenance_amount[:-1]
        above = edges * tiers.maintenance_margin_rate[1:] - tiers.maintenance_amount[1:]
        np.testing.assert_allclose(below, above, rtol=1e-9, atol=0.011, err_msg=name)
        assert (np.diff(tiers.notional_cap) > 0).all(), name
        assert (np.diff(tiers.maximum_leverage) <= 0).all(), name
        # Initial margin at maximum leverage covers maintenance margin, or a position would open dead.
        assert (1 / tiers.maximum_leverage >= tiers.maintenance_margin_rate).all(), name
        steps += len(edges)
    assert steps > 4_000


def brute_force(
    side: np.ndarray, entry: np.ndarray, quantity: np.ndarray, margin: np.ndarray, tiers: MarginTiers
) -> np.ndarray:
    """Bisect for the price where margin balance meets maintenance margin, summed tier by tier; NaN where none."""
    floors, rates = tiers.notional_floor, tiers.maintenance_margin_rate
    caps = np.append(tiers.notional_cap[:-1], np.inf)

    def excess(at: np.ndarray) -> np.ndarray:
        notional = (quantity * at)[:, None]
        maintenance = (np.clip(notional, floors, caps) - floors) @ rates
        return np.asarray(margin + side * quantity * (at - entry) - maintenance)

    low, high = np.full_like(entry, 1e-12), entry * 1e4
    exists = (excess(low) > 0) != (excess(high) > 0)
    for _ in range(100):
        middle = (low + high) / 2
        # A long is safe above its liquidation price, a short below it.
        go_down = (excess(middle) > 0) == (side > 0)
        low, high = np.where(go_down, low, middle), np.where(go_down, middle, high)
    return np.where(exists, (low + high) / 2, np.nan)


def test_ten_thousand_positions_over_all_shipped_tiers_agree_with_brute_force() -> None:
    random = np.random.default_rng(20260901)
    tables = shipped_tables(Venue.BINANCE)
    each = -(-10_000 // len(tables))
    checked = changed_tier = 0
    for name, tiers in tables.items():
        side = random.choice([-1.0, 1.0], each)
        entry = 10 ** random.uniform(-5, 5, each)
        notional = 10 ** random.uniform(1, np.log10(tiers.notional_cap[-1]), each)
        quantity = notional / entry
        most = tiers.maximum_leverage[tiers.tier_at(notional)]
        margin = notional / random.uniform(1, most, each) * random.uniform(1.0, 1.5, each)
        answer = linear_at_tier(side, entry, quantity, margin, tiers)
        expected = brute_force(side, entry, quantity, margin, tiers)
        np.testing.assert_array_equal(np.isnan(answer.price), np.isnan(expected), err_msg=name)
        # Amounts are published to the cent, so a small position may differ by a cent over its quantity.
        difference = np.nan_to_num(np.abs(answer.price - expected))
        assert (difference <= np.nan_to_num(expected) * 1e-8 + 0.011 / quantity).all(), name
        checked += each
        changed_tier += int(((answer.tier >= 0) & (answer.tier != tiers.tier_at(notional))).sum())
    assert checked >= 10_000
    assert changed_tier > 1_000
