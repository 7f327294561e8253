"""Every worked example of a venue or a library, to its stated tolerance; sources beside each group."""

from typing import NamedTuple

import pytest

from liqheat.domain.liquidation_models import (
    Terms,
    liquidation_price,
    liquidation_price_at_tier,
)
from liqheat.domain.liquidation_price import bankruptcy, hyperliquid
from liqheat.domain.margin_tiers import with_deductions
from liqheat.domain.market import ModelName

LONG, SHORT = 1, -1


def price(model: str, **terms: float) -> float:
    return float(liquidation_price(ModelName(model), Terms(**terms)))


@pytest.mark.parametrize(
    ("side", "entry", "leverage", "expected"),
    [(LONG, 1.0, 10, 0.90), (LONG, 1.0, 20, 0.95), (LONG, 60_000, 50, 58_800), (SHORT, 1.0, 10, 1.10)],
)
def test_simple_is_the_bankruptcy_price(side: int, entry: float, leverage: float, expected: float) -> None:
    assert price("simple", side=side, entry_price=entry, quantity=3, leverage=leverage) == pytest.approx(expected)
    margin = 3 * entry / leverage
    assert price("simple", side=side, entry_price=entry, quantity=3, wallet_balance=margin) == pytest.approx(expected)
    assert float(bankruptcy(side, entry, leverage)) == pytest.approx(expected)


ETH = {"side": LONG, "quantity": 3683.979, "entry_price": 1456.84}
BTC = {"side": LONG, "quantity": 109.488, "entry_price": 32481.98}


def test_binance_isolated_by_the_venues_calculator() -> None:
    eth = price("binance", **ETH, wallet_balance=1535443.01, maintenance_margin_rate=0.10, maintenance_amount=135365)
    assert eth == pytest.approx(1114.78, abs=0.01)
    btc = price("binance", **BTC, wallet_balance=1535443.01, maintenance_margin_rate=0.025, maintenance_amount=16300)
    assert btc == pytest.approx(18778.73, abs=0.01)


def test_binance_cross_counts_the_other_position() -> None:
    eth = price(
        "binance",
        **ETH,
        wallet_balance=1535443.01,
        maintenance_margin_rate=0.10,
        maintenance_amount=135365,
        other_maintenance_margin=109.488 * 31967.27 * 0.025 - 16300,
        other_unrealized_pnl=109.488 * (31967.27 - 32481.98),
    )
    assert eth == pytest.approx(1153.26, abs=0.01)
    btc = price(
        "binance",
        **BTC,
        wallet_balance=1535443.01,
        maintenance_margin_rate=0.025,
        maintenance_amount=16300,
        other_maintenance_margin=3683.979 * 1335.18 * 0.10 - 135365,
        other_unrealized_pnl=3683.979 * (1335.18 - 1456.84),
    )
    assert btc == pytest.approx(26316.89, abs=0.01)


def test_binance_cross_of_the_faq() -> None:
    # FAQ 25edcd7fe0e544839d0847b8cbb2e400
    answer = price(
        "binance", side=LONG, quantity=0.02, entry_price=50_000, wallet_balance=500, maintenance_margin_rate=0.004
    )
    assert answer == pytest.approx(25_100.40, abs=0.005)


# freqtrade tests/exchange/test_exchange.py, test_get_liquidation_price: rate 0.01, amount 0.01, W = q*EP/L
@pytest.mark.parametrize(
    ("side", "leverage", "entry", "quantity", "expected"),
    [
        (SHORT, 5, 10, 1, 11.89108910891089),
        (SHORT, 3, 10, 1, 13.211221122079207),
        (SHORT, 5, 8, 1, 9.514851485148514),
        (SHORT, 5, 10, 0.6, 11.897689768976898),
        (LONG, 5, 10, 1, 8.070707070707071),
        (LONG, 5, 8, 1, 6.454545454545454),
        (LONG, 3, 10, 1, 6.723905723905723),
        (LONG, 5, 10, 0.6, 8.063973063973064),
    ],
)
def test_binance_as_freqtrade(side: int, leverage: float, entry: float, quantity: float, expected: float) -> None:
    terms = {"side": side, "entry_price": entry, "quantity": quantity, "leverage": leverage}
    answer = price("binance", **terms, maintenance_margin_rate=0.01, maintenance_amount=0.01)
    assert answer == pytest.approx(expected, rel=1e-9)


# freqtrade, same test: rate 0.01, fee 0.0006
@pytest.mark.parametrize(
    ("side", "leverage", "entry", "quantity", "expected"),
    [
        (SHORT, 5, 10, 1, 11.87413417771621),
        (SHORT, 5, 10, 2, 11.87413417771621),
        (SHORT, 3, 10, 1, 13.193482419684678),
        (SHORT, 5, 8, 1, 9.499307342172967),
        (LONG, 5, 10, 1, 8.085708510208207),
        (LONG, 3, 10, 1, 6.738090425173506),
    ],
)
def test_okx_counts_the_closing_fee(side: int, leverage: float, entry: float, quantity: float, expected: float) -> None:
    terms = {"side": side, "entry_price": entry, "quantity": quantity, "leverage": leverage}
    answer = price("okx", **terms, maintenance_margin_rate=0.01, taker_fee_rate=0.0006)
    assert answer == pytest.approx(expected, rel=1e-9)


def test_bybit_current_scales_extra_margin_by_the_fee() -> None:
    terms = {"side": LONG, "quantity": 1, "entry_price": 40_000, "leverage": 50, "maintenance_margin_rate": 0.005}
    assert price("bybit", **terms, extra_margin=3_000, taker_fee_rate=0.00055) == pytest.approx(36_380.25, abs=0.01)
    assert price("bybit", **terms) == pytest.approx(39_397, abs=0.5)


@pytest.mark.parametrize(
    ("side", "entry", "extra", "expected"),
    [
        (LONG, 20_000, 0, 19_700),
        (SHORT, 20_000, 3_000, 23_300),
        (LONG, 20_000, -200, 19_900),
        (LONG, 40_000, 0, 39_400),
    ],
)
def test_bybit_legacy_by_the_help_centre(side: int, entry: float, extra: float, expected: float) -> None:
    terms = {"side": side, "quantity": 1, "entry_price": entry, "leverage": 50, "maintenance_margin_rate": 0.005}
    assert price("bybit_legacy", **terms, extra_margin=extra) == pytest.approx(expected, abs=1e-6)


# freqtrade, bybit rows: entry 10, rate 0.01
@pytest.mark.parametrize(
    ("side", "leverage", "expected"),
    [
        (LONG, 1, 0.1),
        (LONG, 3, 6.7666666),
        (LONG, 5, 8.1),
        (LONG, 10, 9.1),
        (SHORT, 1, 19.9),
        (SHORT, 3, 13.233333),
        (SHORT, 5, 11.9),
        (SHORT, 10, 10.9),
    ],
)
def test_bybit_legacy_as_freqtrade(side: int, leverage: float, expected: float) -> None:
    terms = {"side": side, "quantity": 1, "entry_price": 10, "leverage": leverage, "maintenance_margin_rate": 0.01}
    assert price("bybit_legacy", **terms) == pytest.approx(expected, abs=1e-6)


class Real(NamedTuple):
    """A position that Hyperliquid itself priced."""

    side: int
    entry: float
    quantity: float
    collateral: float
    maximum_leverage: float
    expected: float


# Read from the venue, published in freqtrade tests/exchange/test_hyperliquid.py (the last three are computed there).
REAL_POSITIONS = [
    Real(LONG, 2458.5, 0.015, 36.864593, 50, 0.86915825),
    Real(LONG, 63287.0, 0.00039, 24.673292, 50, 22.37166537),
    Real(LONG, 146.82, 0.16, 23.482979, 20, 0.05269872),
    Real(LONG, 145.83, 0.33, 24.045107, 20, 74.83696193),
    Real(LONG, 2459.5, 0.0199, 24.454895, 50, 1243.0411908),
    Real(LONG, 62739.0, 0.00077, 24.137992, 50, 31708.03843631),
    Real(LONG, 0.11586, 437.0, 25.29769, 20, 0.05945697),
    Real(SHORT, 2642.8, 0.019, 25.091876, 50, 3924.18322043),
    Real(SHORT, 155.89, 0.32, 24.924941, 20, 228.07847866),
    Real(SHORT, 0.14333, 351.0, 25.136807, 20, 0.20970228),
    Real(SHORT, 68595.0, 0.00069, 23.64871, 50, 101849.99354283),
    Real(SHORT, 65536.0, 0.00099, 21.604172, 50, 86493.46174617),
    Real(LONG, 173.06, 0.6, 20.735658, 20, 142.05186667),
    Real(LONG, 2545.5, 0.0329, 20.909894, 50, 1929.23322895),
    Real(SHORT, 67400.0, 0.00031, 20.887308, 50, 133443.97317151),
    Real(SHORT, 2552.0, 0.0327, 20.833393, 50, 3157.53150453),
    Real(LONG, 66930.0, 0.0015, 20.043862, 50, 54108.51043771),
    Real(LONG, 67033.0, 0.00121, 20.251817, 50, 50804.00091827),
    Real(LONG, 2521.9, 0.0237, 19.902091, 50, 1699.14071943),
    Real(SHORT, 68139.0, 0.00145, 19.72573, 50, 80933.61590987),
    Real(SHORT, 178.29, 0.11, 19.605036, 20, 347.82205322),
    Real(LONG, 176.23, 0.33, 19.364946, 20, 120.56240404),
    Real(SHORT, 173.08, 0.33, 19.01881, 20, 225.08561715),
    Real(SHORT, 68240.0, 0.00105, 17.887922, 50, 84431.79820839),
    Real(SHORT, 2518.4, 0.007, 17.62263, 50, 4986.05799151),
    Real(LONG, 2533.2, 0.0347, 17.555195, 50, 2047.7642302),
    Real(LONG, 0.13284, 360.0, 15.943218, 20, 0.09082388),
    Real(SHORT, 163.11, 0.48, 15.650731, 20, 190.94213618),
    Real(LONG, 67141.0, 0.00067, 14.979079, 50, 45236.52992613),
    Real(LONG, 250.0, 0.5, 25.0, 10, 210.5263157894737),
    Real(SHORT, 190.0, 0.5, 9.5, 10, 199.04761904761904),
    Real(LONG, 350.0, 1.0, 50.0, 10, 315.7894736842105),
]


@pytest.mark.parametrize("real", REAL_POSITIONS)
def test_hyperliquid_agrees_with_the_venues_own_prices(real: Real) -> None:
    terms = {"side": real.side, "entry_price": real.entry, "quantity": real.quantity}
    isolated = price("hyperliquid", **terms, wallet_balance=real.collateral, max_leverage=real.maximum_leverage)
    assert isolated == pytest.approx(real.expected, rel=1e-4)
    rate = 1 / (2 * real.maximum_leverage)
    required = real.quantity * real.entry * rate
    cross = price(
        "hyperliquid",
        **terms,
        account_value=real.collateral,
        maintenance_margin_required=required,
        maintenance_margin_rate=rate,
    )
    assert cross == pytest.approx(real.expected, rel=1e-4)
    verbatim = hyperliquid(real.side, real.entry, real.quantity, real.collateral - required, rate)
    assert cross == pytest.approx(float(verbatim), rel=1e-9)


def test_hyperliquid_cross_takes_the_whole_account_at_mark() -> None:
    account = {"account_value": 1_000.0, "maintenance_margin_required": 120.0, "max_leverage": 5}
    answer = price("hyperliquid", side=LONG, entry_price=9.0, mark_price=10.0, quantity=100.0, **account)
    assert answer == pytest.approx(10 - (1_000 - 120) / 100 / (1 - 0.1), rel=1e-12)


def test_hyperliquid_takes_the_tier_at_the_liquidation_notional() -> None:
    # Margin table 52: 10x, and 5x from 20M USD on; the position is below the edge at entry, above it when it dies.
    tiers = with_deductions([[0, 20e6, 10, 0.05], [20e6, 1e15, 5, 0.1]])
    terms = Terms(side=SHORT, entry_price=1.0, quantity=19e6, wallet_balance=6e6)
    answer = liquidation_price_at_tier(ModelName.HYPERLIQUID, terms, tiers)
    assert int(answer.tier) == 1
    notional = 19e6 * float(answer.price)
    assert 6e6 - (notional - 19e6) == pytest.approx(notional * 0.1 - 20e6 * 0.05)


def test_hyperliquid_cross_at_tier_counts_its_own_margin_once() -> None:
    tiers = with_deductions([[0, 20e6, 10, 0.05], [20e6, 1e15, 5, 0.1]])
    account = {"account_value": 8e6, "maintenance_margin_required": 3e6}
    terms = Terms(side=LONG, entry_price=0.9, mark_price=1.0, quantity=25e6, **account)
    answer = liquidation_price_at_tier(ModelName.HYPERLIQUID, terms, tiers)
    others = 3e6 - (25e6 * 0.1 - 1e6)
    notional = 25e6 * float(answer.price)
    own = float(tiers.maintenance_margin(notional))
    assert 8e6 + (notional - 25e6) == pytest.approx(others + own)


@pytest.mark.parametrize(("side", "expected"), [(SHORT, 3174.60), (LONG, 2807.017543859649)])
def test_dydx_by_its_docs(side: int, expected: float) -> None:
    terms = {"side": side, "quantity": 3, "entry_price": 3000, "maintenance_margin_rate": 0.05}
    for equity in ({"account_value": 1_000.0}, {"wallet_balance": 1_000.0}):
        assert price("dydx", **terms, **equity) == pytest.approx(expected, abs=0.005)
    with_others = price("dydx", **terms, account_value=1_300.0, other_maintenance_margin=300.0)
    assert with_others == pytest.approx(expected, abs=0.005)
