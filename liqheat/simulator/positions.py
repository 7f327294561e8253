"""All traders' positions of one coin on all venues, as columns; and what each position costs to liquidate.

A row is one (venue, account). A free row has no lots and triggers that no price or time reaches, so the hot
path (`triggered`) needs no mask. Rows are reused oldest first; a row's number is its account's number.
"""

from collections import deque

import numpy as np
import numpy.typing as npt

from liqheat.domain.liquidation_price import linear_at_tier
from liqheat.simulator.listings import Listing
from liqheat.simulator.tape import FloatArray, IntArray

NEVER = np.iinfo(np.int64).max


class Positions:
    """Struct of arrays; quantities in lots (int64), prices USD per coin, margin USD, times ms."""

    def __init__(self, listings: tuple[Listing, ...], capacity: int) -> None:
        self._listings = listings
        self._steps = np.array([listing.quantity_step for listing in listings])
        self.venue = np.zeros(capacity, np.int64)
        self.kind = np.zeros(capacity, np.int8)
        self.side = np.zeros(capacity, np.int64)
        self.lots = np.zeros(capacity, np.int64)
        self.entry_price = np.zeros(capacity)
        self.leverage = np.zeros(capacity)
        self.margin = np.zeros(capacity)
        self.account = np.zeros(capacity, np.int64)
        self.opened = np.zeros(capacity, np.int64)
        self.stop_price = np.full(capacity, np.nan)
        self.profit_price = np.full(capacity, np.nan)
        self.liquidation_price = np.full(capacity, np.nan)
        self.lower = np.full(capacity, -np.inf)
        self.upper = np.full(capacity, np.inf)
        self.expires = np.full(capacity, NEVER)
        self._free = deque(range(capacity))

    @property
    def open_rows(self) -> IntArray:
        """The rows that hold a position."""
        return np.flatnonzero(self.lots)

    @property
    def count(self) -> int:
        """How many positions are open."""
        return len(self.lots) - len(self._free)

    def quantity(self, rows: npt.NDArray[np.int64]) -> FloatArray:
        """Return the coins of each row."""
        return np.asarray(self.lots[rows] * self._steps[self.venue[rows]])

    def bankruptcy_price(self, rows: npt.NDArray[np.int64]) -> FloatArray:
        """Return the price at which each row's margin is used up; NaN where a long's never is."""
        price = self.entry_price[rows] - self.side[rows] * self.margin[rows] / self.quantity(rows)
        return np.where(price > 0, price, np.nan)

    def take(self, count: int) -> IntArray:
        """Reserve `count` free rows, growing the table where it is full."""
        if len(self._free) < count:
            self._grow(max(count, len(self.lots)))
        return np.array([self._free.popleft() for _ in range(count)], dtype=np.int64)

    def release(self, rows: IntArray) -> None:
        """Free `rows`."""
        self.lots[rows] = 0
        self.side[rows] = 0
        self.liquidation_price[rows] = np.nan
        self.lower[rows] = -np.inf
        self.upper[rows] = np.inf
        self.expires[rows] = NEVER
        self._free.extend(rows.tolist())

    def reprice(self, rows: IntArray) -> None:
        """Set the liquidation price of `rows` by their venue's rule and tiers, and the triggers with it."""
        venue = self.venue[rows]
        for number, listing in enumerate(self._listings):
            here = rows[venue == number]
            if len(here):
                self.liquidation_price[here] = linear_at_tier(
                    self.side[here],
                    self.entry_price[here],
                    self.quantity(here),
                    self.margin[here],
                    listing.tiers,
                    listing.taker_fee_rate,
                ).price
        self._set_triggers(rows, self.liquidation_price[rows])

    def _set_triggers(self, rows: IntArray, losing: FloatArray) -> None:
        """Set at which marks `rows` close; `losing` is where they are liquidated, NaN where they never are."""
        is_long = self.side[rows] > 0
        # Whichever comes first on the losing side; fmax and fmin pass over the NaN of "none".
        floor = np.fmax(np.fmax(losing, self.stop_price[rows]), -np.inf)
        ceiling = np.fmin(np.fmin(losing, self.stop_price[rows]), np.inf)
        profit = self.profit_price[rows]
        self.lower[rows] = np.where(is_long, floor, np.fmax(profit, -np.inf))
        self.upper[rows] = np.where(is_long, np.fmin(profit, np.inf), ceiling)

    def triggered(self, mark_prices: FloatArray, now: int) -> IntArray:
        """Return the rows that their liquidation, stop, target or time closes at these marks (one per venue)."""
        marks = mark_prices[self.venue]
        return np.flatnonzero((marks <= self.lower) | (marks >= self.upper) | (self.expires <= now))

    def is_liquidated(self, rows: IntArray, mark_prices: FloatArray) -> npt.NDArray[np.bool_]:
        """Return which of `rows` their mark price has brought to the liquidation price."""
        distance = self.side[rows] * (mark_prices[self.venue[rows]] - self.liquidation_price[rows])
        return np.asarray(distance <= 0)

    def _grow(self, extra: int) -> None:
        start = len(self.lots)
        fresh = type(self)(self._listings, extra)
        for name, column in vars(self).items():
            if isinstance(column, np.ndarray) and name != "_steps":
                setattr(self, name, np.concatenate([column, getattr(fresh, name)]))
        self._free.extend(range(start, start + extra))
