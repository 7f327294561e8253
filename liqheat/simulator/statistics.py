"""What a population looks like from outside: the statistics that a simulator like reality has to share with it.

`measure` runs a market and returns them; the tests compare them with what was measured on real accounts and real
liquidations. Each is defined as the measurement on real data was.
"""

from dataclasses import dataclass

import numpy as np

from liqheat.domain.windows import HOUR_MS
from liqheat.simulator.account_market import AccountMarket
from liqheat.simulator.tape import FloatArray, IntArray
from liqheat.simulator.traders import BoolArray

DISTANCES = (0.01, 0.02, 0.05, 0.10, 0.25, 0.50, 1.00)
MOVES = ((0.001, 0.0025), (0.0025, 0.005), (0.005, 0.01), (0.01, 0.02), (0.02, 0.04))
"""Classes of an hour's adverse move, as fractions."""
LARGE_ACCOUNT_USD = 25_000.0
"""Account value from which accounts were seen on the real venue."""
_RETENTION_HOURS = (7, 24)
_WHOLE = 0.9
"""Part of a position that counts as almost whole."""


@dataclass(slots=True)
class Statistics:
    """Sums over hours and snapshots, so that several markets can be joined; see the properties for what they say."""

    within_usd: FloatArray
    """Notional of large accounts whose liquidation price lies within each of `DISTANCES` of the mark."""
    without_usd: float
    large_usd: float
    sizes: list[FloatArray]
    """Notional of every position, USD, snapshot by snapshot."""
    near_largest: list[float]
    """Of what lies within 10% on a side, the part that its five largest positions hold."""
    moved: FloatArray
    """Sum of the hours' adverse moves by class of `MOVES`, %."""
    executed: FloatArray
    """Liquidated in those hours, bp of open interest."""
    all_executed: float
    hours: int
    kept: FloatArray
    """Notional of large accounts still open after each of `_RETENTION_HOURS`."""
    watched: FloatArray
    reached_usd: float
    """Large accounts' notional whose liquidation price of a day ago the mark has reached since."""
    reached_gone_usd: float
    reached_whole_usd: float

    @classmethod
    def empty(cls) -> "Statistics":
        """Return statistics of nothing."""
        classes = len(MOVES)
        return cls(
            np.zeros(len(DISTANCES)),
            0.0,
            0.0,
            [],
            [],
            np.zeros(classes),
            np.zeros(classes),
            0.0,
            0,
            np.zeros(len(_RETENTION_HOURS)),
            np.zeros(len(_RETENTION_HOURS)),
            0.0,
            0.0,
            0.0,
        )

    @property
    def within(self) -> FloatArray:
        """Share of large accounts' notional with a liquidation price within each of `DISTANCES`."""
        return self.within_usd / self.large_usd

    @property
    def without(self) -> float:
        """Share of large accounts' notional without a liquidation price."""
        return self.without_usd / self.large_usd

    @property
    def median_size(self) -> float:
        """Median notional of a position, USD."""
        return float(np.median(np.concatenate(self.sizes)))

    @property
    def high_size(self) -> float:
        """95th percentile of the notional of a position, USD."""
        return float(np.quantile(np.concatenate(self.sizes), 0.95))

    @property
    def largest_share(self) -> float:
        """Part of all notional that the largest 1% of positions hold, mean over snapshots."""
        shares = [float(np.sort(one)[-max(len(one) // 100, 1) :].sum() / one.sum()) for one in self.sizes]
        return float(np.mean(shares))

    @property
    def executed_per_move(self) -> FloatArray:
        """Liquidated per 1% of an hour's adverse move, bp of open interest, by class of `MOVES`; NaN without hours."""
        known = np.where(self.moved > 0, self.moved, 1.0)
        return np.where(self.moved > 0, self.executed / known, np.nan)

    @property
    def executed_per_day(self) -> float:
        """Liquidated in a day over open interest."""
        return self.all_executed / 1e4 / (self.hours / 24)

    @property
    def retention(self) -> FloatArray:
        """Share of large accounts' notional still open after 7 h and after 24 h."""
        return self.kept / self.watched

    @property
    def reached_gone(self) -> float:
        """Of `reached_usd`, the share that was closed; NaN of nothing."""
        return self.reached_gone_usd / self.reached_usd if self.reached_usd else float("nan")

    @property
    def reached_whole(self) -> float:
        """Of `reached_usd`, the share that is there almost whole, for margin had been added; NaN of nothing."""
        return self.reached_whole_usd / self.reached_usd if self.reached_usd else float("nan")


@dataclass(frozen=True, slots=True)
class _Watched:
    """Large accounts' positions as they were at one hour."""

    rows: IntArray
    opened: IntArray
    lots: IntArray
    notional: FloatArray
    side: IntArray
    liquidation_price: FloatArray


def measure(market: AccountMarket, hours: int, step_ms: int, into: Statistics | None = None) -> Statistics:
    """Run `market` for `hours` in steps of `step_ms` and return its statistics, added to `into` if given."""
    result = Statistics.empty() if into is None else into
    watched: list[_Watched] = []
    lows, highs = [], []
    for hour in range(hours):
        watched.append(_watch(market))
        _look_at_stock(market, watched[-1], result)
        low, high = _run_hour(market, step_ms, result)
        lows.append(low)
        highs.append(high)
        for number, age in enumerate(_RETENTION_HOURS):
            if hour + 1 >= age:
                _look_back(market, watched[hour + 1 - age], number, result)
        if hour + 1 >= _RETENTION_HOURS[-1]:
            first = hour + 1 - _RETENTION_HOURS[-1]
            _look_at_reached(market, watched[first], min(lows[first:]), max(highs[first:]), result)
    return result


def _watch(market: AccountMarket) -> _Watched:
    table = market.positions
    rows = table.open_rows
    rows = rows[table.equity(rows, market.mark_prices) >= LARGE_ACCOUNT_USD]
    notional = table.quantity(rows) * market.mark_prices[table.venue[rows]]
    return _Watched(
        rows,
        table.opened[rows].copy(),
        table.lots[rows].copy(),
        notional,
        table.side[rows].copy(),
        table.liquidation_price[rows].copy(),
    )


def _look_at_stock(market: AccountMarket, large: _Watched, result: Statistics) -> None:
    table = market.positions
    rows = table.open_rows
    marks = market.mark_prices[table.venue[rows]]
    notional = table.quantity(rows) * marks
    result.sizes.append(notional)
    distance = np.abs(large.liquidation_price / market.mark_prices[table.venue[large.rows]] - 1)
    for number, reach in enumerate(DISTANCES):
        result.within_usd[number] += large.notional[distance <= reach].sum()
    result.without_usd += float(large.notional[np.isnan(distance)].sum())
    result.large_usd += float(large.notional.sum())
    near = np.abs(table.liquidation_price[rows] / marks - 1) <= 0.10
    for side in (1, -1):
        here = np.sort(notional[near & (table.side[rows] == side)])
        if len(here):
            result.near_largest.append(float(here[-5:].sum() / here.sum()))


def _run_hour(market: AccountMarket, step_ms: int, result: Statistics) -> tuple[float, float]:
    """Run an hour, add what was liquidated, and return the lowest and highest index price."""
    start = low = high = market.index_price
    interest = float(market.open_interest_usd.sum())
    liquidated = {1: 0.0, -1: 0.0}
    for _ in range(HOUR_MS // step_ms):
        ended = market.step(step_ms).liquidations
        low, high = min(low, market.index_price), max(high, market.index_price)
        usd = ended.price * ended.lots * market.quantity_steps[ended.venue]
        for side in liquidated:
            liquidated[side] += float(usd[ended.side == side].sum())
    result.hours += 1
    for side, reached in ((1, low), (-1, high)):
        move, executed = abs(reached / start - 1), liquidated[side] / interest * 1e4
        result.all_executed += executed
        for number, (least, most) in enumerate(MOVES):
            if least <= move < most:
                result.moved[number] += 100 * move
                result.executed[number] += executed
    return low, high


def _still_open(market: AccountMarket, before: _Watched) -> BoolArray:
    table = market.positions
    return np.asarray((table.lots[before.rows] > 0) & (table.opened[before.rows] == before.opened))


def _look_back(market: AccountMarket, before: _Watched, number: int, result: Statistics) -> None:
    share = np.minimum(market.positions.lots[before.rows] / before.lots, 1.0)
    result.kept[number] += float((before.notional * share)[_still_open(market, before)].sum())
    result.watched[number] += float(before.notional.sum())


def _look_at_reached(market: AccountMarket, before: _Watched, low: float, high: float, result: Statistics) -> None:
    reached = np.where(before.side > 0, low <= before.liquidation_price, high >= before.liquidation_price)
    is_open = _still_open(market, before)
    whole = is_open & (market.positions.lots[before.rows] >= _WHOLE * before.lots)
    result.reached_usd += float(before.notional[reached].sum())
    result.reached_gone_usd += float(before.notional[reached & ~is_open].sum())
    result.reached_whole_usd += float(before.notional[reached & whole].sum())
