"""The methods in use, written from their published descriptions, over the engine's own input.

Each is one `Method`: it takes the batches of one market (a venue's instrument) and shows its map. They share
a `Ladder`: a float book by published bucket. Their parameters are those that their authors publish.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from liqheat.domain.events import Batch, Kind
from liqheat.domain.liquidation_price import bankruptcy
from liqheat.domain.market import Side
from liqheat.domain.price_grid import bucket_of, middle
from liqheat.domain.windows import MINUTE_MS

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SIDES = (Side.LONG, Side.SHORT)
BAR_MS = 5 * MINUTE_MS
_SPAN = 2_000
"""Published buckets on each side of the first price that a ladder holds: a decade and more at any level."""


class Method(Protocol):
    """A way to make a map from what one market publishes."""

    def take(self, batch: Batch) -> None:
        """Take the next batch of the market's log."""

    def map(self, side: Side) -> tuple[IntArray, FloatArray]:
        """Return buckets at the ladder's grid level and the notional at risk (USD) in each."""


class Ladder:
    """Notional by bucket and side, in USD, that the mark sweeps."""

    def __init__(self, factor: int) -> None:
        self.factor = factor
        self.base: int | None = None
        self.usd = np.zeros((2, 2 * _SPAN))

    def add(self, side: Side, prices: FloatArray, usd: FloatArray) -> None:
        """Add `usd` at `prices` (NaN: no liquidation price, left out)."""
        known = np.isfinite(prices) & (usd > 0)
        if not known.any():
            return
        buckets = bucket_of(prices[known], self.factor)
        if self.base is None:
            self.base = int(buckets[0]) - _SPAN
        places = buckets - self.base
        inside = (places >= 0) & (places < 2 * _SPAN)
        np.add.at(self.usd[SIDES.index(side)], places[inside], usd[known][inside])

    def sweep(self, low: float, high: float) -> None:
        """Take out what a mark range, both ends included, liquidates."""
        if self.base is None:
            return
        below, above = (int(bucket_of(price, self.factor)) - self.base for price in (low, high))
        self.usd[0, max(below, 0) :] = 0.0
        self.usd[1, : max(above + 1, 0)] = 0.0

    def map(self, side: Side) -> tuple[IntArray, FloatArray]:
        """Return buckets and notional of one side."""
        row = self.usd[SIDES.index(side)]
        places = np.flatnonzero(row)
        return places + (self.base or 0), row[places]


class _Bars:
    """What several methods share: the last mark, and five-minute bars of marks, turnover and open interest."""

    def __init__(self, factor: int) -> None:
        self.ladder = Ladder(factor)
        self.mark = float("nan")
        self.open_interest = float("nan")
        self.bar = -1
        self.first = self.low = self.high = float("nan")
        self.turnover = 0.0
        self.bar_interest = float("nan")

    def take(self, batch: Batch) -> None:
        """Sort a batch by its kind."""
        frame = batch.frame
        if batch.kind is Kind.TRADES:
            self.trades(frame["price"].to_numpy(), frame["quantity"].to_numpy(), frame["taker_side"].to_numpy())
        elif batch.kind is Kind.MARKS:
            marks = frame["mark_price"].to_numpy()
            self._bar_of(int(frame["event_time"][0]), float(marks[0]))
            self.mark = float(marks[-1])
            self.low, self.high = min(self.low, float(marks.min())), max(self.high, float(marks.max()))
            self.ladder.sweep(float(marks.min()), float(marks.max()))
        elif batch.kind is Kind.OPEN_INTEREST:
            self.open_interest = float(frame["quantity"][-1])

    def trades(self, prices: FloatArray, quantities: FloatArray, taker_sides: IntArray) -> None:
        """Take trades; coins and USD per coin."""
        del taker_sides
        self.turnover += float(prices @ quantities)

    def map(self, side: Side) -> tuple[IntArray, FloatArray]:
        """Return the ladder's map."""
        return self.ladder.map(side)

    def close_bar(self, change_usd: float) -> None:
        """End a bar; `change_usd` is the change of open interest over it."""

    def _bar_of(self, time: int, mark: float) -> None:
        if time // BAR_MS == self.bar:
            return
        if self.bar >= 0:
            change = (self.open_interest - self.bar_interest) * self.mark
            self.close_bar(0.0 if np.isnan(change) else change)
        self.bar, self.first, self.low, self.high = time // BAR_MS, mark, mark, mark
        self.turnover, self.bar_interest = 0.0, self.open_interest


class LargeTrades(_Bars):
    """Every large trade at every leverage: its full size at 10, 25, 50 and 100x, buys as longs, sells as shorts.

    As the liquidation-map notebooks do (threshold 100,000 USD there); the threshold is a parameter because
    the tokens here are thinner than BTC.
    """

    LEVERAGES = np.array([10.0, 25.0, 50.0, 100.0])

    def __init__(self, factor: int, threshold_usd: float = 20_000.0) -> None:
        super().__init__(factor)
        self.threshold_usd = threshold_usd

    def trades(self, prices: FloatArray, quantities: FloatArray, taker_sides: IntArray) -> None:
        """Put each large trade on the ladder four times."""
        usd = prices * quantities
        for side in SIDES:
            large = (usd >= self.threshold_usd) & (taker_sides == side)
            for leverage in self.LEVERAGES:
                self.ladder.add(side, bankruptcy(side, prices[large], leverage), usd[large])


class OpenInterestLadder(_Bars):
    """The present open interest, spread over the volume profile and a fixed leverage ladder."""

    LEVERAGES = np.array([5.0, 10.0, 25.0, 50.0, 100.0])
    SHARES = np.array([0.15, 0.30, 0.25, 0.20, 0.10])

    def __init__(self, factor: int) -> None:
        super().__init__(factor)
        self.volume: dict[int, float] = {}

    def trades(self, prices: FloatArray, quantities: FloatArray, taker_sides: IntArray) -> None:
        """Gather the volume profile."""
        del taker_sides
        buckets, places = np.unique(bucket_of(prices, self.ladder.factor), return_inverse=True)
        for bucket, usd in zip(buckets.tolist(), np.bincount(places, prices * quantities).tolist(), strict=True):
            self.volume[bucket] = self.volume.get(bucket, 0.0) + usd

    def map(self, side: Side) -> tuple[IntArray, FloatArray]:
        """Spread open interest again, leaving out what lies beyond the mark already."""
        ladder = Ladder(self.ladder.factor)
        if not self.volume or np.isnan(self.mark * self.open_interest):
            return ladder.map(side)
        entries = middle(np.array(list(self.volume)), self.ladder.factor)
        weights = np.array(list(self.volume.values()))
        usd = weights / weights.sum() * self.open_interest * self.mark
        for leverage, share in zip(self.LEVERAGES, self.SHARES, strict=True):
            ladder.add(side, bankruptcy(side, entries, leverage), usd * share)
        ladder.sweep(self.mark, self.mark)
        return ladder.map(side)


class CandleDirection(_Bars):
    """Each rise of open interest opens one side at the bar's close, chosen by the bar's direction; falls close both."""

    LEVERAGES = OpenInterestLadder.LEVERAGES
    SHARES = OpenInterestLadder.SHARES

    def close_bar(self, change_usd: float) -> None:
        """Open or close by the bar's change of open interest."""
        if change_usd > 0:
            side = Side.SHORT if self.mark < self.first else Side.LONG
            prices = bankruptcy(side, np.full(len(self.LEVERAGES), self.mark), self.LEVERAGES)
            self.ladder.add(side, prices, change_usd * self.SHARES)
        elif change_usd < 0 and self.open_interest * self.mark > 0:
            self.ladder.usd *= max(1 + change_usd / (self.open_interest * self.mark - change_usd), 0.0)


class TurnoverSeeding(_Bars):
    """Each bar's turnover seeds both sides at close, high and low over leverage tiers with half-lives.

    More so while open interest rises; each side is scaled to open interest when it is shown.
    """

    LEVERAGES = np.array([3.0, 5.0, 10.0, 25.0])
    SHARES = np.array([0.35, 0.30, 0.20, 0.15])
    HALF_LIFE_DAYS = np.array([60.0, 30.0, 14.0, 5.0])
    ANCHORS = np.array([0.45, 0.275, 0.275])

    def __init__(self, factor: int) -> None:
        super().__init__(factor)
        self.rungs = [Ladder(factor) for _ in self.LEVERAGES]

    def take(self, batch: Batch) -> None:
        """Sweep the rungs as well."""
        super().take(batch)
        if batch.kind is Kind.MARKS:
            marks = batch.frame["mark_price"].to_numpy()
            for rung in self.rungs:
                rung.sweep(float(marks.min()), float(marks.max()))

    def close_bar(self, change_usd: float) -> None:
        """Seed the bar's turnover."""
        interest = self.open_interest * self.mark
        boost = min(1 + 8 * max(change_usd / interest, 0.0), 3.0) if interest > 0 else 1.0
        entries = np.array([self.mark, self.high, self.low])
        for rung, leverage, share, half_life in zip(
            self.rungs, self.LEVERAGES, self.SHARES, self.HALF_LIFE_DAYS, strict=True
        ):
            rung.usd *= 0.5 ** (BAR_MS / 86_400_000 / half_life)
            for side in SIDES:
                seeded = self.turnover * boost * share / 2 * self.ANCHORS
                rung.add(side, bankruptcy(side, entries, leverage), seeded)

    def map(self, side: Side) -> tuple[IntArray, FloatArray]:
        """Add the rungs up, scaled to open interest."""
        parts = [rung.map(side) for rung in self.rungs]
        buckets, usd = (np.concatenate([part[index] for part in parts]) for index in (0, 1))
        total, interest = float(usd.sum()), self.open_interest * self.mark
        return buckets, usd * (interest / total) if total > 0 and interest > 0 else usd


BASELINES: dict[str, type[LargeTrades | OpenInterestLadder | CandleDirection | TurnoverSeeding]] = {
    "large trades at every leverage": LargeTrades,
    "open interest on a ladder": OpenInterestLadder,
    "candle direction": CandleDirection,
    "turnover with half-life": TurnoverSeeding,
}
"""The methods by the names under which the table shows them."""
