"""What a move of the price would liquidate: cumulative curves both ways, imbalance, and where most liquidations lie.

Reads the expected notional of the two `SideBook`s of a minute: what will be executed if price gets there. A bucket
that the move only partly crosses counts with the crossed part of its width, so the curve is continuous in the price.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from liqheat.domain.market import Side
from liqheat.domain.price_grid import FloatArray, IntArray
from processors.signals.book import SideBook


@dataclass(frozen=True, slots=True)
class Curve:
    """Cumulative liquidations of one side as price moves away from the mark: `usd` (micro-USD) at each of `prices`.

    Prices fall for longs and rise for shorts; amounts only rise.
    """

    prices: FloatArray
    usd: IntArray


@dataclass(frozen=True, slots=True)
class MaxPain:
    """A side's bucket with most at-risk notional: middle price (USD; NaN if the side is empty) and micro-USD."""

    price: float
    usd: int


def cumulative(book: SideBook) -> Curve:
    """Return the curve at every bucket edge, outwards from the mark."""
    if book.side == Side.LONG:
        return Curve(book.edges[:-1][::-1], np.cumsum(book.expected[::-1]))
    return Curve(book.edges[1:], np.cumsum(book.expected))


def liquidated_by(book: SideBook, prices: Sequence[float]) -> list[int]:
    """Return the notional (micro-USD) of the book's side that moves of the mark to each of `prices` would liquidate."""
    low, high, to = book.edges[:-1], book.edges[1:], np.array(prices)[:, None]
    crossed = (high - to) / (high - low) if book.side == Side.LONG else (to - low) / (high - low)
    shares: npt.NDArray[np.float64] = np.clip(crossed, 0.0, 1.0)
    expected = book.expected.astype(np.float64)
    # One by one: a product of a matrix may sum in another order.
    return [round(float(each @ expected)) for each in shares]


def imbalance_percent(long_usd: int, short_usd: int) -> float:
    """Return (long - short) / (long + short) in %: +100 when all that is near lies below the price, NaN if nothing."""
    total = long_usd + short_usd
    return 100.0 * (long_usd - short_usd) / total if total else float("nan")


def max_pain(book: SideBook) -> MaxPain:
    """Return the heaviest bucket of a side, the one nearest to the mark if two are equal."""
    if not book.expected.any():
        return MaxPain(float("nan"), 0)
    if book.side == Side.LONG:
        index = len(book.expected) - 1 - int(np.argmax(book.expected[::-1]))
    else:
        index = int(np.argmax(book.expected))
    return MaxPain(book.middle(index), int(book.expected[index]))
