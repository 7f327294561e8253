"""What one step of a market brings forth: trades, executed liquidations, marks, open interest.

Made by `market.Market`; turned into normalised events by `simulation` and into venue frames by `wire`.
Venues are indices into the market's listings; quantities are whole lots, so that sums are exact.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Trades:
    """Executed trades in time order; arrays of one length. Accounts below 0 are market makers."""

    venue: IntArray
    time: IntArray
    price: FloatArray
    lots: IntArray
    taker_side: IntArray
    buyer: IntArray
    seller: IntArray
    identifier: IntArray
    """Consecutive for each venue."""

    def __len__(self) -> int:
        return len(self.venue)


@dataclass(frozen=True, slots=True)
class Liquidations:
    """Forced closes of a step in time order; arrays of one length."""

    venue: IntArray
    time: IntArray
    side: IntArray
    price: FloatArray
    """Fill price."""
    lots: IntArray
    bankruptcy_price: FloatArray
    liquidation_price: FloatArray
    mark_price: FloatArray
    """The mark that reached the liquidation price."""
    account: IntArray

    def __len__(self) -> int:
        return len(self.venue)

    def at(self, rows: npt.NDArray[np.bool_] | IntArray) -> "Liquidations":
        """Return these rows, in order."""
        return Liquidations(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def joined(cls, parts: "list[Liquidations]") -> "Liquidations":
        """Return all of `parts`, each of which set off the next: their times are dealt out in this order."""
        whole = cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))
        return replace(whole, time=np.sort(whole.time))


def latest_each_second(times: IntArray) -> npt.NDArray[np.bool_]:
    """Return which of rising `times` (ms) are the last of their second.

    Binance publishes only the latest liquidation of a symbol within 1000 ms, OKX about one per second.
    """
    seconds = times // 1_000
    return np.append(seconds[1:] != seconds[:-1], True) if len(times) else np.zeros(0, bool)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of one coin's market, at its end; arrays by venue have one element a listing."""

    time: int
    index_price: float
    mark_prices: FloatArray
    funding_rates: FloatArray
    """For the venue's own funding interval."""
    next_funding_times: IntArray
    settled: npt.NDArray[np.bool_]
    """Venues whose funding was charged in this step."""
    open_interest: IntArray
    """Lots, one-sided."""
    turnover: FloatArray
    """Quote volume of the last 24 h, USD."""
    trades: Trades
    liquidations: Liquidations
