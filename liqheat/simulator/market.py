"""The market of one coin on its venues, with every position known: the simulator's pure core.

`step` moves the price, closes what the price or time closes, liquidates on mark price, lets traders open,
charges funding, and returns everything that a venue would publish of it. What traders do is the subclasses'
matter: `crowd_market` has simple isolated traders, `account_market` accounts as they are seen on real venues.
No clock, no I/O; all chance comes from the generators that are passed in, so the same seed gives the same market.
"""

import copy
from abc import ABC, abstractmethod
from math import exp, log, log10, sqrt
from typing import Self

import numpy as np

from liqheat.domain.windows import HOUR_MS
from liqheat.simulator.listings import Coin, Listing
from liqheat.simulator.makers import Makers
from liqheat.simulator.order_book import DepthShape, OrderBook
from liqheat.simulator.positions import Positions
from liqheat.simulator.price_paths import PricePath
from liqheat.simulator.tape import FloatArray, IntArray, Liquidations, Step
from liqheat.simulator.traders import BoolArray, Mood
from liqheat.simulator.trading import HALF_SPREAD, Orders, Quotes, Trading

_FUNDING_INTEREST = 0.0001
_FUNDING_DAMPER = 0.0005


class Market(ABC):
    """One coin with its traders on all venues; see `step`."""

    def __init__(
        self,
        coin: Coin,
        listings: tuple[Listing, ...],
        positions: Positions,
        trading: Trading,
        depth: DepthShape,
        path: PricePath,
        generator: np.random.Generator,
        start_ms: int,
    ) -> None:
        """Set the market up at `start_ms` (ms) and its first price, without a position yet."""
        self.coin, self.listings, self.positions = coin, listings, positions
        self.now = start_ms
        self.steps = 0
        self.book = OrderBook(depth)
        self.quantity_steps = np.array([listing.quantity_step for listing in listings])
        self._trading, self._path, self._generator = trading, path, generator
        self._intervals = np.array([listing.funding_interval for listing in listings])
        self._decimals = round(-log10(coin.tick_size))
        self._trader_long = np.zeros(len(listings), np.int64)
        self._trader_short = np.zeros(len(listings), np.int64)
        self._premium = self._tilt = 0.0
        self._basis = np.zeros(len(listings))
        self._undisturbed = path.advance(0)
        self.index_price = self._undisturbed
        self.mark_prices = np.full(len(listings), self.index_price)
        self._fast = self._slow = log(self.index_price)
        self._variance = coin.volatility**2
        self._held_usd = np.zeros(len(listings))

    # -- what can be asked ---------------------------------------------------------------------------------

    @property
    def makers(self) -> Makers:
        """The market makers and their inventories."""
        return self._trading.makers

    @property
    def open_interest(self) -> IntArray:
        """One-sided open interest of each venue, lots."""
        return self._trader_long + self.makers.long_lots

    @property
    def open_interest_usd(self) -> FloatArray:
        """One-sided open interest of each venue at its mark, USD."""
        return np.asarray(self.open_interest * self.quantity_steps * self.mark_prices)

    @property
    def short_interest(self) -> IntArray:
        """Sum of the short positions of each venue, lots: equal to `open_interest`, always."""
        return self._trader_short + self.makers.short_lots

    @property
    def undisturbed_price(self) -> float:
        """Price (USD per coin) where no forced order had ever taken from the book."""
        return self._undisturbed

    def fork(self, path: PricePath) -> Self:
        """Return a copy of the market as it is now, with the same chance ahead, whose price follows `path`."""
        return copy.deepcopy(self, {id(self._path): path})

    # -- one step ------------------------------------------------------------------------------------------

    def step(self, step_ms: int) -> Step:
        """Move on by `step_ms` and return what happened; times of trades lie within the step."""
        before = self.index_price
        settled = (self.now + step_ms) // self._intervals > self.now // self._intervals
        self.now += step_ms
        self.steps += 1
        self._move_price(step_ms)
        orders, liquidations = self._close_triggered(step_ms)
        orders += self._change_some(step_ms)
        orders.append(self._arrive(step_ms))
        funding_rates = self._funding_rates()
        if settled.any():
            self._charge_funding(np.where(settled, funding_rates, 0.0))
        quotes = self._quotes(step_ms, self.index_price / before - 1)
        trades = self._trading.execute([self._worked(part) for part in orders], quotes, self._generator)
        self._trading.count_turnover(trades, self.now)
        return Step(
            time=self.now,
            index_price=self.index_price,
            mark_prices=self.mark_prices,
            funding_rates=funding_rates,
            next_funding_times=(self.now // self._intervals + 1) * self._intervals,
            settled=settled,
            open_interest=self.open_interest,
            turnover=self._trading.turnover.copy(),
            trades=trades,
            liquidations=liquidations,
        )

    @abstractmethod
    def _close_triggered(self, step_ms: int) -> tuple[list[Orders], Liquidations]:
        """Close what liquidation, stop, target or time closes; return the orders that do it, and the liquidations."""

    @abstractmethod
    def _change_some(self, step_ms: int) -> list[Orders]:
        """Let some traders cut their position or add margin; return the orders."""

    @abstractmethod
    def _arrive(self, step_ms: int) -> Orders:
        """Open the positions of those who come in this step; return their orders."""

    def _worked(self, orders: Orders) -> Orders:
        """Return how `orders` reach the book: here each in one piece."""
        return orders

    # -- price ---------------------------------------------------------------------------------------------

    def _move_price(self, step_ms: int) -> None:
        hours = step_ms / HOUR_MS
        self.book.refill(hours)
        previous = log(self.index_price)
        self._undisturbed = self._path.advance(step_ms)
        # The perpetual trades above the index where traders are net long, and the other way round.
        interest = self.open_interest
        longs = float(interest.sum())
        self._tilt = -float(self.makers.net.sum()) / longs if longs else 0.0
        memory = exp(-4 * hours)
        noise = self._generator.standard_normal(1 + len(self.listings))
        self._premium = self._premium * memory + (1 - memory) * 0.004 * self._tilt
        self._premium += 0.0002 * sqrt(1 - memory * memory) * float(noise[0])
        self._basis = self._premium + 0.00002 * noise[1:]
        self._set_prices()
        level = log(self.index_price)
        self._held_usd = interest * self.quantity_steps * self.mark_prices
        self._fast += (level - self._fast) * (1 - exp(-6 * hours))
        self._slow += (level - self._slow) * (1 - exp(-1 * hours))
        weight = 1 - exp(-2 * hours)
        self._variance += weight * ((level - previous) ** 2 / hours - self._variance)

    def _set_prices(self) -> None:
        """Set index and marks to where the path and what was taken from the book bring them."""
        self.index_price = self._undisturbed * exp(self.book.displacement)
        self.mark_prices = np.round(self.index_price * (1 + self._basis), self._decimals + 2)

    @property
    def _activity(self) -> float:
        """How much busier than usual traders are: they come and trade when the price moves."""
        return min(max(sqrt(self._variance) / self.coin.volatility, 0.5), 3.0)

    def _mood(self) -> Mood:
        volatility = sqrt(self._variance)
        # Makers who are short (traders net long) quote higher, so the next trader rather sells.
        trend = float(self._fast - self._slow) / max(volatility, 0.3 * self.coin.volatility)
        return Mood(min(max(trend, -2.0), 2.0), max(volatility, 0.3 * self.coin.volatility), -8.0 * self._tilt)

    def _quotes(self, step_ms: int, drift: float = 0.0) -> Quotes:
        return Quotes(self.now, step_ms, self.mark_prices, self._held_usd, drift, self._activity)

    # -- positions -----------------------------------------------------------------------------------------

    def _liquidated(self, killed: IntArray, step_ms: int) -> Liquidations:
        """Return the forced closes of rows that are still open, filled around the present marks."""
        positions = self.positions
        venue, side = positions.venue[killed], positions.side[killed]
        slippage = HALF_SPREAD * (1 + self._generator.exponential(2.0, len(killed)))
        return Liquidations(
            venue=venue,
            time=np.sort(self.now - self._generator.integers(0, step_ms, len(killed))),
            side=side,
            price=np.round(self.mark_prices[venue] * (1 - side * slippage), self._decimals),
            lots=positions.lots[killed],
            bankruptcy_price=positions.bankruptcy_price(killed),
            liquidation_price=positions.liquidation_price[killed],
            mark_price=self.mark_prices[venue],
            account=positions.account[killed],
        )

    def _reduce(self, rows: IntArray, lots: IntArray, passive: BoolArray) -> Orders:
        """Take `lots` off the traders' side of the book and return the orders that do it."""
        positions = self.positions
        venue, side = positions.venue[rows], positions.side[rows]
        np.subtract.at(self._trader_long, venue, np.where(side > 0, lots, 0))
        np.subtract.at(self._trader_short, venue, np.where(side < 0, lots, 0))
        return Orders(venue, -side * lots, positions.account[rows], passive)

    def _count_opened(self, rows: IntArray, passive: BoolArray) -> Orders:
        """Count new positions into open interest and return the orders that opened them."""
        positions = self.positions
        venue, side, lots = positions.venue[rows], positions.side[rows], positions.lots[rows]
        np.add.at(self._trader_long, venue, np.where(side > 0, lots, 0))
        np.add.at(self._trader_short, venue, np.where(side < 0, lots, 0))
        return Orders(venue, side * lots, positions.account[rows], passive)

    # -- funding -------------------------------------------------------------------------------------------

    def _funding_rates(self) -> FloatArray:
        """Return each venue's rate for its interval: premium, held near the interest rate (Binance's rule)."""
        damped = min(max(_FUNDING_INTEREST - self._premium, -_FUNDING_DAMPER), _FUNDING_DAMPER)
        rate = min(max(self._premium + damped, -0.02), 0.02)
        return np.asarray(np.round(rate * self._intervals / (8 * HOUR_MS), 10))

    def _charge_funding(self, rates: FloatArray) -> None:
        """Let longs pay shorts (or the other way round) out of their margin; liquidation prices follow."""
        positions = self.positions
        rows = positions.open_rows
        rows = rows[rates[positions.venue[rows]] != 0]
        venue = positions.venue[rows]
        value = positions.quantity(rows) * self.mark_prices[venue]
        positions.margin[rows] -= positions.side[rows] * rates[venue] * value
        positions.reprice(rows)
