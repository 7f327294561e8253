"""How orders of a simulated market become trades: each meets a market maker, and makers trade among themselves.

Used by `market.Market` in every step. It keeps the makers' inventories, the trade numbers of each venue and the
turnover of the last 24 hours; all chance comes from the generator that the market passes in.
"""

from collections import deque
from dataclasses import dataclass
from math import log10, sqrt, tanh

import numpy as np

from liqheat.domain.windows import DAY_MS, MINUTE_MS
from liqheat.simulator.listings import Coin, Listing
from liqheat.simulator.makers import Makers, maker_account
from liqheat.simulator.tape import FloatArray, IntArray, Trades
from liqheat.simulator.traders import BoolArray

HALF_SPREAD = 0.0001


@dataclass(frozen=True, slots=True)
class Orders:
    """Orders of one step: signed lots against the makers; `passive` ones were resting in the book."""

    venue: IntArray
    lots: IntArray
    account: IntArray
    passive: BoolArray

    @classmethod
    def none(cls) -> "Orders":
        """Return no orders."""
        nothing = np.zeros(0, np.int64)
        return cls(nothing, nothing, nothing, nothing.astype(bool))

    @classmethod
    def joined(cls, parts: "list[Orders]") -> "Orders":
        """Return all of `parts`, in order."""
        return cls(
            np.concatenate([part.venue for part in parts]),
            np.concatenate([part.lots for part in parts]),
            np.concatenate([part.account for part in parts]),
            np.concatenate([part.passive for part in parts]),
        )


@dataclass(frozen=True, slots=True)
class Quotes:
    """What trades of a step are priced by; arrays have one element per venue."""

    now: int
    step_ms: int
    mark_prices: FloatArray
    held_usd: FloatArray
    """Open interest, USD."""
    drift: float
    """Change of the index over the step, as a fraction."""
    activity: float
    """How much busier than usual the market is."""


class Trading:
    """The makers, trade numbers and turnover of one coin on its venues."""

    def __init__(self, coin: Coin, listings: tuple[Listing, ...], makers: int, daily_turnover: float) -> None:
        """`daily_turnover` is what makers trade among themselves in a day, in open interests."""
        self.makers = Makers(len(listings), makers)
        self._listings, self._volatility = listings, coin.volatility
        self._quantity_steps = np.array([listing.quantity_step for listing in listings])
        self._decimals = round(-log10(coin.tick_size))
        self._daily_turnover = daily_turnover
        self._trade_ids = np.zeros(len(listings), np.int64)
        self._minutes: deque[tuple[int, FloatArray]] = deque()
        self.turnover = np.zeros(len(listings))
        """Quote volume of each venue in the last 24 h, USD."""

    def execute(self, orders: list[Orders], quotes: Quotes, generator: np.random.Generator) -> Trades:
        """Match each order with a market maker, add the makers' trades among themselves, and number them all."""
        all_orders = Orders.joined(orders)
        venue, lots, account = all_orders.venue, all_orders.lots, all_orders.account
        maker = generator.integers(self.makers.count, size=len(venue))
        self.makers.fill(venue, maker, -lots)
        counterparty = maker_account(maker)
        bought = lots > 0
        taker_side = np.where(bought ^ all_orders.passive, 1, -1)
        buyer, seller = np.where(bought, account, counterparty), np.where(bought, counterparty, account)
        churn = self._churn(quotes, generator)
        columns = zip((venue, np.abs(lots), taker_side, buyer, seller), churn, strict=True)
        return self._number(quotes, generator, *(np.concatenate(pair) for pair in columns))

    def _churn(
        self, quotes: Quotes, generator: np.random.Generator
    ) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray]:
        """Trade among the makers: most of the turnover, and no change of their sum."""
        seconds = quotes.step_ms / 1_000
        makers = self.makers.count
        mean_count = min(0.7 * seconds, 4.0)
        counts = generator.poisson(mean_count, len(self._listings)) if makers > 1 else np.zeros(1, np.int64)
        venue = np.repeat(np.arange(len(counts)), counts)
        size = len(venue)
        chance = generator.random((5, size))
        usd = self._daily_turnover * quotes.held_usd / 86_400 * seconds * quotes.activity / mean_count
        usd = np.minimum(usd, 0.02 * quotes.held_usd)
        each = usd[venue] * -np.log(np.maximum(chance[0], 1e-12))
        lots = np.maximum((each / (self._quantity_steps * quotes.mark_prices)[venue]).astype(np.int64), 1)
        first = (chance[1] * makers).astype(np.int64)
        second = (first + 1 + (chance[2] * (makers - 1)).astype(np.int64)) % makers
        # Mostly the shorter of the two buys, so that inventories stay small.
        inventory = self.makers.lots
        swap = (inventory[venue, first] > inventory[venue, second]) ^ (chance[3] < 0.15)
        buyer, seller = np.where(swap, second, first), np.where(swap, first, second)
        hourly = quotes.drift / self._volatility / sqrt(max(seconds, 1) / 3_600)
        taker_side = np.where(chance[4] < 0.5 + 0.3 * tanh(hourly), 1, -1)
        self.makers.fill(venue, buyer, lots)
        self.makers.fill(venue, seller, -lots)
        return venue, lots, taker_side, maker_account(buyer), maker_account(seller)

    def _number(
        self,
        quotes: Quotes,
        generator: np.random.Generator,
        venue: IntArray,
        lots: IntArray,
        taker_side: IntArray,
        buyer: IntArray,
        seller: IntArray,
    ) -> Trades:
        """Spread trades over the step, price them around the mark, order them and give them their numbers."""
        times = quotes.now - generator.integers(0, quotes.step_ms, size=len(venue))
        order = np.argsort(times, kind="stable")
        venue, taker_side = venue[order], taker_side[order]
        spread = taker_side * HALF_SPREAD * (0.5 + generator.random(len(venue)))
        identifier = np.empty(len(venue), np.int64)
        for number in range(len(self._listings)):
            here = np.flatnonzero(venue == number)
            identifier[here] = self._trade_ids[number] + np.arange(1, len(here) + 1)
            self._trade_ids[number] += len(here)
        return Trades(
            venue=venue,
            time=times[order],
            price=np.round(quotes.mark_prices[venue] * (1 + spread), self._decimals),
            lots=lots[order],
            taker_side=taker_side,
            buyer=buyer[order],
            seller=seller[order],
            identifier=identifier,
        )

    def count_turnover(self, trades: Trades, now: int) -> None:
        """Add `trades` to the turnover of the day that ends at `now` (ms)."""
        usd = trades.price * trades.lots * self._quantity_steps[trades.venue]
        by_venue: FloatArray = np.bincount(trades.venue, usd, len(self._listings)).astype(np.float64)
        minute = now // MINUTE_MS
        minutes = self._minutes
        if minutes and minutes[-1][0] == minute:
            minutes[-1][1][:] += by_venue
        else:
            minutes.append((minute, by_venue))
        self.turnover += by_venue
        while minutes[0][0] <= minute - DAY_MS // MINUTE_MS:
            self.turnover -= minutes.popleft()[1]
