"""The market makers of one coin: the other side of every trade, so that longs always equal shorts.

Their inventories, in whole lots, sum with the traders' positions to zero on each venue. They turn over all
the time and are never near liquidation, so no entry price or margin is kept of them.
"""

import numpy as np

from liqheat.simulator.tape import IntArray


def maker_account(maker: IntArray) -> IntArray:
    """Return the account number of each market maker: -1, -2, ..."""
    return -1 - maker


class Makers:
    """Inventories of shape (venues, makers), signed lots (int64)."""

    def __init__(self, venues: int, makers: int) -> None:
        self.lots = np.zeros((venues, makers), np.int64)

    @property
    def count(self) -> int:
        """Makers on each venue."""
        return self.lots.shape[1]

    @property
    def net(self) -> IntArray:
        """Net inventory of each venue, lots."""
        return np.asarray(self.lots.sum(axis=1))

    @property
    def long_lots(self) -> IntArray:
        """Long lots of each venue."""
        return np.asarray(np.maximum(self.lots, 0).sum(axis=1))

    @property
    def short_lots(self) -> IntArray:
        """Short lots of each venue."""
        return np.asarray(np.maximum(-self.lots, 0).sum(axis=1))

    def fill(self, venue: IntArray, maker: IntArray, lots: IntArray) -> None:
        """Add signed `lots` to the inventories."""
        np.add.at(self.lots, (venue, maker), lots)
