"""A simulated day whose leverage mix the engine is not told, and how near to it what was learned comes."""

import numpy as np
import numpy.typing as npt
import pytest

from liqheat.domain.market import LEVERAGE_BANDS, Venue, leverage_band
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.settings import Engine
from liqheat.simulator.simulation import SimulationConfig, batches_of, make_market, reference_batches
from liqheat.simulator.traders import Population, TraderKind
from processors import engine

STEP_MS, MINUTES = 30_000, 24 * 60
SETTINGS = Engine()


def by_band(leverages: npt.ArrayLike, notionals: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the share of notional in each leverage band."""
    sums = np.bincount(leverage_band(leverages), np.asarray(notionals, dtype=np.float64), len(LEVERAGE_BANDS))
    return np.asarray(sums / sums.sum(), dtype=np.float64)


def distance(left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> float:
    """Return the total variation distance."""
    return float(np.abs(left - right).sum() / 2)


# 0.2% and 1.5% of open interest are liquidated. Two separate humps are not resolved to the aim of 0.15.
@pytest.mark.parametrize(("mix", "aim"), [("cautious", 0.15), ("two-humps", 0.30)])
def test_a_day_of_liquidations_tells_the_leverage_bands_in_use(mix: str, aim: float) -> None:
    config = SimulationConfig(
        seed=5,
        symbols=("FARTCOIN",),
        venues=(Venue.BYBIT, Venue.BINANCE),
        regime="ranging",
        step_ms=STEP_MS,
        open_interest_ms=MINUTE_MS,
        population=Population.with_mix(mix, 2_000),
    )
    market = make_market(config, "FARTCOIN")
    state = engine.new_state("FARTCOIN", SETTINGS)
    for batch in reference_batches(market):
        engine.apply(state, batch)
    leverages, notionals = [np.zeros(0)], [np.zeros(0)]
    for _ in range(MINUTES):
        for batch in batches_of(market, [market.step(STEP_MS) for _ in range(MINUTE_MS // STEP_MS)]):
            engine.apply(state, batch)
        held = market.positions
        isolated = np.isin(held.kind, (TraderKind.RETAIL, TraderKind.HOLDER)) & (held.lots > 0)
        fresh = np.flatnonzero(isolated & (held.opened > market.now - MINUTE_MS))
        leverages.append(held.leverage[fresh])
        notionals.append(held.quantity(fresh) * held.entry_price[fresh])
    true = by_band(np.concatenate(leverages), np.concatenate(notionals))
    learned = by_band(SETTINGS.leverages, state.mix.estimate().shares)
    prior = by_band(SETTINGS.leverages, SETTINGS.leverage_shares)
    assert distance(learned, true) < aim
    assert distance(prior, true) > 0.6
