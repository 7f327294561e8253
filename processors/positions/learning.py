"""What markets note of every minute, and learn at the end of an update: `evidence` applied to the state.

`inferred` calls it between the sweep and the opening of a minute.
"""

import numpy as np

from liqheat.domain.money import MICRO_USD_PER_USD
from liqheat.domain.price_grid import FloatArray, IntArray
from processors.positions.distances import BAND_SHARES
from processors.positions.evidence import (
    KAPPA_WEIGHT,
    LEARNING_MINUTES,
    MEMORY_MINUTES,
    UNKNOWN_INTEREST,
    attribute,
    band_multipliers,
    venue_kappa,
)
from processors.positions.inferred_state import InferredState
from processors.positions.minute_columns import MinuteColumns, mean_price
from processors.positions.sweeping import Sweep


def note_minute(state: InferredState, markets: IntArray, minute: MinuteColumns, sweep: Sweep) -> None:
    """Add the minute to the update, where liquidations would have been seen, and its trades to the entries."""
    known = minute.liquidations_known
    state.pending_expected[markets] += np.where(known, sweep.expected[:, 0] + sweep.expected[:, 1], 0)
    state.pending_bands[markets] += np.where(known[:, None, None], sweep.bands_by_side, 0)
    executed = np.stack([minute.executed_long, minute.executed_short], axis=1)
    state.pending_executed[markets] += np.where(known[:, None], executed, 0)
    usd = (minute.buy_usd + minute.sell_usd).astype(np.float64)
    state.traded[markets] += np.stack([usd, usd * mean_price(minute)], axis=1)


def learn(state: InferredState, markets: IntArray, minute: MinuteColumns, updates: IntArray) -> None:
    """Let evidence fade and take the update in, of the markets whose update ends."""
    rows = np.flatnonzero(updates)
    if not rows.size:
        return
    markets = markets[rows]
    fade = np.exp2(-updates[rows] * LEARNING_MINUTES / MEMORY_MINUTES)
    update = state.pending_executed[markets]
    by_band = attribute(update, state.pending_bands[markets], state.multipliers[markets])
    swept = (state.pending_bands[markets, 0] + state.pending_bands[markets, 1]) / MICRO_USD_PER_USD
    executed = (update[:, 0] + update[:, 1]) / MICRO_USD_PER_USD
    state.executed[markets] = state.executed[markets] * fade + executed
    state.swept[markets] = state.swept[markets] * fade + state.pending_expected[markets] / MICRO_USD_PER_USD
    state.band_executed[markets] = state.band_executed[markets] * fade[:, None] + by_band
    state.band_swept[markets] = state.band_swept[markets] * fade[:, None] + swept
    for name in ("pending_executed", "pending_bands", "pending_expected"):
        getattr(state, name)[markets] = 0
    usd = _interest_usd(state, markets, minute.mark_close[rows])
    state.kappa[markets] = _kappa(state, markets, usd)
    shares = np.asarray(BAND_SHARES)
    state.multipliers[markets] = band_multipliers(state.band_executed[markets], state.band_swept[markets], usd, shares)


def _kappa(state: InferredState, markets: IntArray, interest_usd: FloatArray) -> FloatArray:
    """Return kappa of each market from its own and its symbol's evidence."""
    pooled, whole_sibling = np.zeros((2, len(markets))), np.zeros(len(markets), dtype=np.bool_)
    for place, market in enumerate(markets.tolist()):
        siblings = state.siblings[state.symbols[market]]
        whole = [other for other in siblings if not state.is_sampled[other] and state.swept[other] > 0]
        whole_sibling[place] = any(other != market for other in whole)
        for other in whole or siblings:
            pooled[:, place] += state.executed[other], state.swept[other]
    return venue_kappa(
        (state.executed[markets], state.swept[markets]),
        (pooled[0], pooled[1]),
        KAPPA_WEIGHT * interest_usd,
        state.is_sampled[markets],
        whole_sibling,
    )


def _interest_usd(state: InferredState, markets: IntArray, prices: FloatArray) -> FloatArray:
    usd = state.interest[markets] * prices
    return np.where(usd > 0, usd, UNKNOWN_INTEREST)
