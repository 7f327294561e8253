"""The resting order book of a simulated market: forced orders eat it and move price, and it refills.

One book over all venues holds the state (`OrderBook`, used by `market.Market`); `levels_of` cuts a venue's share
of it into price levels for the wires. It shares no code with what predicts cascades.
"""

from dataclasses import dataclass
from math import ceil, copysign, floor
from typing import NamedTuple

import numpy as np

from liqheat.simulator.tape import FloatArray, IntArray

REACH = 0.30
"""How far from the middle orders rest, as a fraction of the price; what must go further finds no order."""
_UNIT = 0.01
"""The distance for which depth is stated, in the log of the price."""
_TYPICAL_ORDER_USD = 2_000.0


@dataclass(frozen=True, slots=True)
class DepthShape:
    """How a book looks at rest and how it comes back: `depth_usd * (distance / 1%) ** exponent` on each side.

    Distances are in the log of the price. An exponent of 1 is the same depth at every price; above 1 the book is
    thicker further away.
    """

    depth_usd: float
    """Resting within 1% of the middle on each side, over all venues, USD."""
    exponent: float = 1.0
    refill_half_life_hours: float = 0.03
    """Time in which half of what was taken rests again."""
    permanent_share: float = 0.0
    """Share of the displacement that stays when the book has refilled: makers quote around the new price."""
    maximum_displacement: float = REACH
    """Furthest that taken orders move the price, in its log."""


class OrderBook:
    """The book of one coin; its state is what was taken and not refilled, and how far the price was moved for good."""

    def __init__(self, shape: DepthShape) -> None:
        self.shape = shape
        self.pressure_usd = 0.0
        """Bought less sold by forced orders and not refilled yet, USD: below 0 bids are missing."""
        self.shift = 0.0
        """Displacement that has become permanent, in the log of the price."""
        self.taken_usd = 0.0
        """All that orders ever took, USD."""

    @property
    def displacement(self) -> float:
        """How far the price is from where it were without forced orders, in its log."""
        return self.shift + self._place(self.pressure_usd)

    def take(self, usd: float) -> None:
        """Let a market order eat: `usd` above 0 buys (asks go), below 0 sells (bids go)."""
        most = self._within(self.shape.maximum_displacement)
        self.pressure_usd = min(max(self.pressure_usd + usd, -most), most)
        self.taken_usd += abs(usd)

    def refill(self, hours: float) -> None:
        """Let `hours` pass: new orders rest where some were taken."""
        if not self.pressure_usd:
            return
        before = self._place(self.pressure_usd)
        self.pressure_usd *= 0.5 ** (hours / self.shape.refill_half_life_hours)
        self.shift += self.shape.permanent_share * (before - self._place(self.pressure_usd))

    def resting_usd(self, side: int, distance: FloatArray) -> FloatArray:
        """Return what rests between the middle and `distance` (log of the price, from 0), USD.

        `side` is +1 for bids, below the middle, and -1 for asks. Bids that were taken are missing below, and where they
        were, asks rest now: the sum over both sides between two prices stays the same.
        """
        here = self._place(self.pressure_usd)
        far = here - side * np.minimum(np.asarray(distance, dtype=np.float64), REACH)
        return np.abs(self._signed(far) - self._signed(np.float64(here)))

    def _within(self, distance: float) -> float:
        return float(self.shape.depth_usd * (distance / _UNIT) ** self.shape.exponent)

    def _signed(self, place: FloatArray | np.float64) -> FloatArray:
        return np.sign(place) * self.shape.depth_usd * (np.abs(place) / _UNIT) ** self.shape.exponent

    def _place(self, usd: float) -> float:
        return copysign(_UNIT * (abs(usd) / self.shape.depth_usd) ** (1 / self.shape.exponent), usd)


class BookLevels(NamedTuple):
    """One side of a venue's book, best price first; arrays of one length."""

    prices: FloatArray
    """USD per coin, multiples of the step."""
    quantities: FloatArray
    """Coins, multiples of the quantity step, above 0."""
    orders: IntArray
    """Resting orders in the level, at least 1."""


@dataclass(frozen=True, slots=True)
class BookSnapshot:
    """A venue's book at `time` (ms); `update_id` rises with every simulated step."""

    time: int
    update_id: int
    bids: BookLevels
    asks: BookLevels


def levels_of(
    book: OrderBook, side: int, mark: float, share: float, step: float, quantity_step: float, limit: int
) -> BookLevels:
    """Return at most `limit` levels of one side of a venue's book, best first; changes nothing.

    Args:
        book: the market's book over all venues.
        side: +1 bids, -1 asks.
        mark: middle of the venue's book, USD per coin.
        share: the venue's part of the whole book, 0 to 1.
        step: distance of the levels, USD; bids are rounded down to it and asks up.
        quantity_step: smallest quantity, coins. Levels that round to nothing are left out.
        limit: levels at most.
    """
    first = ceil(mark / step - 1e-9) - 1 if side > 0 else floor(mark / step + 1e-9) + 1
    furthest = mark * (1 - REACH) if side > 0 else mark * (1 + REACH)
    count = min(limit, max(int(side * (first - furthest / step)) + 1, 0))
    numbers = first - side * np.arange(count)
    prices: FloatArray = np.round(numbers * step, 10).astype(np.float64)
    prices = prices[prices > 0]
    distances: FloatArray = np.abs(np.log(prices / mark)).astype(np.float64)
    usd: FloatArray = share * book.resting_usd(side, distances)
    # Rounding the running sum, not each level, keeps the side's total right where single levels are tiny.
    coins = (np.diff(np.append(0.0, usd)) / prices).cumsum()
    whole: IntArray = np.floor(coins / quantity_step).astype(np.int64)
    lots: IntArray = np.diff(np.append(0, whole)).astype(np.int64)
    here = np.flatnonzero(lots)
    quantities: FloatArray = np.round(lots[here] * quantity_step, 10).astype(np.float64)
    orders = 1 + (quantities * prices[here] / _TYPICAL_ORDER_USD).astype(np.int64)
    return BookLevels(prices[here], quantities, orders)
