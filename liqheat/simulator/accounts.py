"""The positions of accounts: what `positions` keeps, and the account behind each.

A crossed position's `margin` is all that backs it: the balance and what the account's other positions are
worth. It changes as these do, and the liquidation price with it, as venues publish it. An account that defends
itself has a price at which it acts (`called`), between the mark and its liquidation.
"""

import numpy as np

from liqheat.simulator.listings import Listing
from liqheat.simulator.positions import Positions
from liqheat.simulator.tape import FloatArray, IntArray

CALL_SHARE = 0.35
"""An account acts when this part of the room is left that it had between price and liquidation."""


class Accounts(Positions):
    """Columns of `Positions`, and those of the accounts behind them."""

    def __init__(self, listings: tuple[Listing, ...], capacity: int) -> None:
        super().__init__(listings, capacity)
        self.is_cross = np.zeros(capacity, bool)
        self.is_large = np.zeros(capacity, bool)
        self.is_defended = np.zeros(capacity, bool)
        self.other_usd = np.zeros(capacity)
        """Signed size of the account's other positions, USD."""
        self.room = np.full(capacity, np.nan)
        """Distance of price and liquidation price, USD per coin, when the account last looked."""
        self.worst_price = np.full(capacity, np.nan)
        """How far the mark has come against the position since it was opened, USD per coin."""
        self.call_lower = np.full(capacity, -np.inf)
        self.call_upper = np.full(capacity, np.inf)
        self.liquidates = True
        """Whether liquidation closes positions; off in a twin run, which shows what price does without."""

    def release(self, rows: IntArray) -> None:
        """Free `rows`."""
        super().release(rows)
        self.is_cross[rows] = self.is_defended[rows] = False
        self.other_usd[rows] = 0.0
        self.call_lower[rows] = -np.inf
        self.call_upper[rows] = np.inf

    def reprice(self, rows: IntArray) -> None:
        """Set liquidation price and triggers of `rows`, and at which price their accounts act."""
        super().reprice(rows)
        side = self.side[rows]
        call = self.liquidation_price[rows] + side * CALL_SHARE * self.room[rows]
        acts = self.is_defended[rows] & ~np.isnan(call)
        self.call_lower[rows] = np.where(acts & (side > 0), call, -np.inf)
        self.call_upper[rows] = np.where(acts & (side < 0), call, np.inf)

    def look(self, rows: IntArray, prices: FloatArray) -> None:
        """Let accounts take note of the room they have now at `prices` (one per row), and reprice them."""
        self.reprice(rows)
        self.room[rows] = np.abs(prices - self.liquidation_price[rows])
        self.reprice(rows)

    def note_marks(self, mark_prices: FloatArray) -> None:
        """Bring `worst_price` up to these marks (one per venue)."""
        marks = mark_prices[self.venue]
        worse = self.side * (marks - self.worst_price) < 0
        self.worst_price[worse] = marks[worse]

    def called(self, mark_prices: FloatArray) -> IntArray:
        """Return the rows whose account acts at these marks (one per venue)."""
        marks = mark_prices[self.venue]
        return np.flatnonzero((marks <= self.call_lower) | (marks >= self.call_upper))

    def stop_liquidating(self) -> None:
        """Let no position be liquidated from now on."""
        self.liquidates = False
        self.reprice(self.open_rows)

    def equity(self, rows: IntArray, mark_prices: FloatArray) -> FloatArray:
        """Return the account value behind `rows`, USD: margin and the position's profit or loss."""
        profit = self.side[rows] * self.quantity(rows) * (mark_prices[self.venue[rows]] - self.entry_price[rows])
        return np.asarray(self.margin[rows] + profit)

    def _set_triggers(self, rows: IntArray, losing: FloatArray) -> None:
        super()._set_triggers(rows, losing if self.liquidates else np.full(len(rows), np.nan))
