"""What happens in the load's markets, a tenth of a second at a time: prices, trades, liquidations, marks due.

Between `activity` (which markets) and `venues` (how it is written). Seeded, and a few numpy calls per step for all
markets together, so that the generator costs little. Trades come in bursts: each second every market's rate is
multiplied by a gamma variable of mean 1. A coin's price is a random walk that its markets on all venues share.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from liqheat.domain.market import Venue
from tests.bench.market.activity import (
    LIQUIDATED_PER_DAY,
    LIQUIDATION_USD,
    PROBE,
    FloatArray,
    IntArray,
    Market,
    trades_per_second,
)

STEP_MS = 100
SECOND_MS = 1_000
_BURST_SHAPE = 0.3
_HOUR_VOLATILITY = 0.012
_STORM_VOLATILITY = 3.0
_STORM_FALL = 0.04
_TRADE_NOISE = 1e-4
PROBE_RISE = 1e-4
"""By how much of its first price the probe's price rises per second."""
PROBE_STEPS_MS = (0, 200, 500, 700)
"""When in a second the probe's marks are made: more often than others, so that more are timed."""


@dataclass(frozen=True, slots=True)
class Storm:
    """From `start` on, `seconds` long, `factor` times the trades on `share` of the markets, whose price falls."""

    start: float
    seconds: float = 60.0
    factor: float = 30.0
    share: float = 0.2

    def covers(self, elapsed: float) -> bool:
        """Whether it blows `elapsed` seconds after the start of the load."""
        return self.start <= elapsed < self.start + self.seconds


@dataclass(frozen=True, slots=True)
class Step:
    """What happened in one step. Trades and liquidations are in order of market, then time; prices are quoted units.

    `marks` are the numbers of the markets whose mark is due, one per second and market. `prices`,
    `open_interest` (wire units) and `turnover` (USD, 24 h) are of all markets, now; the latter two change with trades
    only.
    """

    now: int
    trade_market: IntArray
    trade_time: IntArray
    trade_price: FloatArray
    trade_size: FloatArray
    trade_buys: IntArray
    death_market: IntArray
    death_price: FloatArray
    death_size: FloatArray
    death_longs: IntArray
    marks: IntArray
    prices: FloatArray
    open_interest: FloatArray
    turnover: FloatArray


class Tape:
    """Moves all markets on; the same seed and steps give the same tape."""

    def __init__(self, markets: Sequence[Market], seed: int) -> None:
        self.markets = markets
        self._random = np.random.default_rng(seed)
        self._storms: list[tuple[Storm, IntArray]] = []
        self._coin = np.array([market.coin for market in markets])
        self._moves = np.zeros(int(self._coin.max()) + 1)
        self._unit_price = np.array([market.unit_price for market in markets])
        self._usd_per_size = np.array([market.size_usd for market in markets])
        self._rate = trades_per_second(markets)
        turnover = np.array([market.turnover_usd for market in markets])
        self._turnover = turnover.copy()
        self._mean_usd = turnover / 86_400 / self._rate
        held = np.array([market.open_interest_usd for market in markets])
        self._open_interest = held / self._usd_per_size
        self._death_rate = held * LIQUIDATED_PER_DAY / LIQUIDATION_USD / 86_400
        self._basis = 1 + self._random.normal(0, 2e-4, len(markets))
        self._is_probe = np.array([market.symbol == PROBE for market in markets])
        self._basis[self._is_probe] = 1.0
        self._mark_phase = self._phases()
        self._bursts = np.ones(len(markets))

    def _phases(self) -> IntArray:
        """Return in which step of the second each market's mark comes: Binance sends all of them together."""
        phases = self._random.integers(0, SECOND_MS // STEP_MS, len(self.markets))
        phases[[market.venue is Venue.BINANCE for market in self.markets]] = 0
        return phases

    def _coins_of(self, storm: Storm) -> IntArray:
        """Choose coins until the storm's share of the markets is reached."""
        order = self._random.permutation(len(self._moves) - 1)
        markets_per_coin = np.bincount(self._coin, minlength=len(self._moves))[order]
        needed = int(np.searchsorted(np.cumsum(markets_per_coin), storm.share * (len(self.markets) - 1))) + 1
        return order[:needed]

    def add_storm(self, storm: Storm) -> None:
        """Have a storm blow over coins chosen at random."""
        self._storms.append((storm, self._coins_of(storm)))

    def factors(self, elapsed: float) -> FloatArray:
        """Return the factor on each market's trades, 1 outside of a storm."""
        factor = np.ones(len(self.markets))
        for storm, coins in self._storms:
            if storm.covers(elapsed):
                factor[np.isin(self._coin, coins)] = storm.factor
        return factor

    def step(self, now: int, elapsed: float) -> Step:
        """Move on by one step that ends at `now` (ms), `elapsed` seconds after the start of the load."""
        random = self._random
        seconds = STEP_MS / SECOND_MS
        factor = self.factors(elapsed)
        self._move(elapsed, seconds)
        if now % SECOND_MS < STEP_MS:
            self._bursts = random.gamma(_BURST_SHAPE, 1 / _BURST_SHAPE, len(self.markets))
        prices = self._unit_price * np.exp(self._moves[self._coin]) * self._basis
        counts = random.poisson(self._rate * self._bursts * factor * seconds)
        trade_market = np.repeat(np.arange(len(counts)), counts)
        total = len(trade_market)
        usd = random.exponential(1.0, total) * self._mean_usd[trade_market]
        traded = np.bincount(trade_market, usd, len(counts))
        # What left the last 24 h is taken off whenever something comes in, so that a quiet market shows no change.
        self._turnover += np.where(counts, traded - counts * self._mean_usd, 0.0)
        self._turnover = np.maximum(self._turnover, 1.0)
        self._open_interest *= 1 + np.where(counts, random.normal(0, 1e-4, len(counts)), 0.0)
        deaths = np.repeat(np.arange(len(counts)), random.poisson(self._death_rate * factor * seconds))
        death_usd = random.exponential(LIQUIDATION_USD, len(deaths))
        # Within a step the times of one market's trades must not go back.
        times = now - STEP_MS + np.sort(random.integers(0, STEP_MS, total))
        order = np.lexsort((times, trade_market))
        return Step(
            now,
            trade_market,
            times[order],
            prices[trade_market] * (1 + random.normal(0, _TRADE_NOISE, total)),
            usd / self._usd_per_size[trade_market],
            random.integers(0, 2, total),
            deaths,
            prices[deaths] * (1 + random.normal(0, _TRADE_NOISE, len(deaths))),
            death_usd / self._usd_per_size[deaths],
            random.integers(0, 2, len(deaths)),
            self._marks_due(now),
            prices,
            self._open_interest.copy(),
            self._turnover.copy(),
        )

    def _marks_due(self, now: int) -> IntArray:
        phase = now % SECOND_MS // STEP_MS
        probe = self._is_probe & (phase * STEP_MS in PROBE_STEPS_MS)
        return np.flatnonzero((self._mark_phase == phase) & ~self._is_probe | probe)

    def _move(self, elapsed: float, seconds: float) -> None:
        spread = np.full(len(self._moves), _HOUR_VOLATILITY * np.sqrt(seconds / 3_600))
        drift = np.zeros(len(self._moves))
        for storm, coins in self._storms:
            if storm.covers(elapsed):
                spread[coins] *= _STORM_VOLATILITY
                drift[coins] = -_STORM_FALL * seconds / storm.seconds
        self._moves += drift + self._random.normal(0, 1, len(self._moves)) * spread
        # The probe's price says which mark it was, so it rises by the same at each step.
        self._moves[-1] = np.log1p(elapsed * PROBE_RISE)
