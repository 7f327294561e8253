"""One market's bars through the model and its rivals, bar by bar, each asked before it sees what came.

Nothing here looks ahead: what a bar's path sweeps is asked with the state of the bar before; a liquidation is shown
when its interval has ended; a map is taken at the first bar of an hour.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from liqheat.domain.money import MICRO_USD_PER_USD
from liqheat.domain.price_grid import lower_edge
from liqheat.domain.windows import MINUTE_MS
from liqheat.scoring.bar_rivals import BarMethod, rivals
from liqheat.scoring.bars import Bar, Bars, Executed, Hours
from liqheat.scoring.places import CELL, CELLS
from processors.positions.inferred import InferredPositions
from processors.positions.minute_columns import MinuteColumns

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

OURS = "liqheat"


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """What each method said: USD per hour and side, (h, 2), streamed and frozen, and maps at hours, (h, 2, CELLS)."""

    streamed: dict[str, FloatArray]
    frozen: dict[str, FloatArray]
    maps: dict[str, npt.NDArray[np.float32]]
    """Only of the hours asked for; empty before the first bar."""
    at_risk: npt.NDArray[np.float32]
    """Notional at risk in the cells of those hours, of `OURS`."""
    facts: dict[str, float]
    """What `OURS` had learned by the end."""


class InferredBars:
    """`InferredPositions` as a `BarMethod`: a bar of k minutes closes as one minute with k elapsed."""

    def __init__(self, venue: str, symbol: str, *, is_sampled: bool, grid_factor: int = 5) -> None:
        self.model = InferredPositions(grid_factor)
        self.market = np.array([self.model.add_market(venue, symbol)])
        self.is_sampled = is_sampled
        self.factor = grid_factor
        self.end = -1
        self.interest = float("nan")

    def expect(self, low: float, high: float) -> tuple[float, float]:
        """Return what a path from the last close to `low` and `high` would execute, USD, longs and shorts."""
        swept = self.model.swept_so_far(self.market, np.array([low]), np.array([high])).expected[0] / MICRO_USD_PER_USD
        return float(swept[0]), float(swept[1])

    def close(self, bar: Bar) -> None:
        """Close the bar as a minute."""
        end = bar.start + bar.step_ms
        elapsed = (end - self.end) // MINUTE_MS if self.end >= 0 else bar.step_ms // MINUTE_MS
        executed = bar.executed or (0.0, 0.0)
        self.model.close(
            self.market,
            MinuteColumns(
                window_start=np.array([end - MINUTE_MS]),
                elapsed_minutes=np.array([elapsed]),
                mark_low=np.array([min(bar.low, bar.open)]),
                mark_high=np.array([max(bar.high, bar.open)]),
                mark_close=np.array([bar.close]),
                buy_usd=_micro(bar.buy_usd),
                sell_usd=_micro(bar.sell_usd),
                buy_price=np.array([bar.close]),
                sell_price=np.array([bar.close]),
                trade_low=np.array([bar.low]),
                trade_high=np.array([bar.high]),
                open_interest=np.array([bar.interest]),
                open_interest_before=np.array([self.interest]),
                executed_long=_micro(executed[0]),
                executed_short=_micro(executed[1]),
                executed_count=np.array([0]),
                liquidations_known=np.array([bar.executed is not None]),
                is_sampled=np.array([self.is_sampled]),
            ),
        )
        self.end, self.interest = end, bar.interest if np.isfinite(bar.interest) else self.interest

    def cells(self) -> FloatArray:
        """Return expected USD around the last close, (2, CELLS)."""
        return self._spread(self.model.fine(int(self.market[0])).expected)

    def at_risk_cells(self) -> FloatArray:
        """Return USD at risk around the last close, (2, CELLS)."""
        return self._spread(self.model.fine(int(self.market[0])).at_risk)

    def _spread(self, amounts: IntArray) -> FloatArray:
        """Spread fine buckets evenly over the cells of `places` that they overlap."""
        fine = self.model.fine(int(self.market[0]))
        edges = np.log(lower_edge(fine.first_bucket + np.arange(len(amounts) + 1)))
        upto = np.concatenate([[0.0], np.cumsum(amounts / MICRO_USD_PER_USD)])
        away = np.arange(CELLS + 1) * CELL
        price = float(np.log(fine.mark))
        above = np.interp(price + away, edges, upto)
        below = np.interp(price - away, edges, upto)
        return np.stack([-np.diff(below), np.diff(above)])


def walk(
    bars: Bars,
    executed: Executed,
    hours: Hours,
    asked: npt.NDArray[np.bool_],
    ours: InferredBars,
    advance: Callable[[int], None],
    *,
    with_rivals: bool = True,
) -> Walk:
    """Run all methods over `bars`.

    Args:
        bars: the history.
        executed: its liquidations.
        hours: the same by hour.
        asked: which hours' maps are kept, shape (h,).
        ours: the model, before its first bar.
        advance: called with the number of bars done.
        with_rivals: whether the rivals run too.
    """
    methods: dict[str, BarMethod] = {OURS: ours}
    if with_rivals:
        methods.update(rivals(float(bars.low.min()), float(bars.high.max())))
    shown, is_known = executed.by_bar(bars)
    streamed = {name: np.zeros((len(hours.start), 2)) for name in methods}
    frozen = {name: np.zeros((len(hours.start), 2)) for name in methods}
    kept = np.cumsum(asked) - 1
    maps = {name: np.zeros((int(asked.sum()), 2, CELLS), dtype=np.float32) for name in methods}
    at_risk = np.zeros((int(asked.sum()), 2, CELLS), dtype=np.float32)
    for hour in range(len(hours.start)):
        first, after = int(hours.first[hour]), int(hours.after[hour])
        for name, method in methods.items():
            frozen[name][hour] = method.expect(float(hours.low[hour]), float(hours.high[hour]))
            if asked[hour] and first:
                maps[name][kept[hour]] = method.cells()
        if asked[hour] and first:
            at_risk[kept[hour]] = ours.at_risk_cells()
        for place in range(first, after):
            known = (float(shown[place, 0]), float(shown[place, 1])) if is_known[place] else None
            bar = bars.at(place, known)
            for name, method in methods.items():
                streamed[name][hour] += method.expect(min(bar.low, bar.open), max(bar.high, bar.open))
                method.close(bar)
        advance(after)
    facts = ours.model.facts(ours.market)
    learned = {"kappa": float(facts.kappa[0]), "learned_usd": float(facts.learned_usd[0])}
    return Walk(streamed, frozen, maps, at_risk, learned)


def _micro(usd: float) -> IntArray:
    return np.array([round(usd * MICRO_USD_PER_USD)], dtype=np.int64)
