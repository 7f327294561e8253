"""The market of one coin on its venues, with every position known: the simulator's pure core.

`step` moves the price, closes what the price or time closes, liquidates on mark price, lets traders open,
charges funding, and returns everything that a venue would publish of it. No clock, no I/O; all chance comes
from the generator that is passed in, so the same seed gives the same market.
"""

from collections import deque
from dataclasses import dataclass
from math import exp, log, log10, sqrt, tanh

import numpy as np

from liqheat.domain.windows import DAY_MS, HOUR_MS, MINUTE_MS
from liqheat.simulator.listings import Coin, Listing
from liqheat.simulator.makers import Makers, maker_account
from liqheat.simulator.positions import Positions
from liqheat.simulator.price_paths import PricePath
from liqheat.simulator.tape import FloatArray, IntArray, Liquidations, Step, Trades
from liqheat.simulator.traders import BoolArray, Crowd, Mood, Population, TraderKind

_FIRST_OWNER = 1_000_000
"""Account numbers from here on belong to holders, who hold positions on several venues."""
_HALF_SPREAD = 0.0001
_FUNDING_INTEREST = 0.0001
_FUNDING_DAMPER = 0.0005
_IMPACT_HALF_LIFE_HOURS = 0.03
_MAXIMUM_IMPACT = 0.03


@dataclass(frozen=True, slots=True)
class _Orders:
    """Orders of one step: signed lots against the makers; `passive` ones were resting in the book."""

    venue: IntArray
    lots: IntArray
    account: IntArray
    passive: BoolArray


class Market:
    """One coin with its traders on all venues; see `step`."""

    def __init__(
        self,
        coin: Coin,
        listings: tuple[Listing, ...],
        population: Population,
        path: PricePath,
        generator: np.random.Generator,
        start_ms: int,
    ) -> None:
        """Open the market at `start_ms` (ms) with its standing positions, all entered at the first price."""
        self.coin, self.listings, self.population = coin, listings, population
        self.now = start_ms
        self.shares = np.array([listing.share for listing in listings])
        self.quantity_steps = np.array([listing.quantity_step for listing in listings])
        self.positions = Positions(listings, 2 * population.traders)
        self.makers = Makers(len(listings), population.makers)
        self._crowd = Crowd(population, coin.open_interest_usd)
        self._path, self._generator = path, generator
        self._intervals = np.array([listing.funding_interval for listing in listings])
        self._decimals = round(-log10(coin.tick_size))
        self._share_steps = np.cumsum(self.shares)
        self._largest = np.array([0.5 * listing.tiers.notional_cap[-1] for listing in listings])
        self._trader_long = np.zeros(len(listings), np.int64)
        self._trader_short = np.zeros(len(listings), np.int64)
        self._trade_ids = np.zeros(len(listings), np.int64)
        self._turnover_minutes: deque[tuple[int, FloatArray]] = deque()
        self._turnover = np.zeros(len(listings))
        self._owners = _FIRST_OWNER
        self._impact = self._premium = self._tilt = 0.0
        self._arrivals_per_hour = population.arrivals_per_hour
        self.index_price = path.advance(0)
        self.mark_prices = np.full(len(listings), self.index_price)
        self._fast = self._slow = log(self.index_price)
        self._variance = coin.volatility**2
        self._held_usd = np.zeros(len(listings))
        opened = self._open(population.traders, standing=True)
        self._execute([opened], 1)

    # -- what can be asked ---------------------------------------------------------------------------------

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

    # -- one step ------------------------------------------------------------------------------------------

    def step(self, step_ms: int) -> Step:
        """Move on by `step_ms` and return what happened; times of trades lie within the step."""
        before = self.index_price
        settled = (self.now + step_ms) // self._intervals > self.now // self._intervals
        self.now += step_ms
        self._move_price(step_ms)
        orders, liquidations = self._close_triggered(step_ms)
        orders += self._change_some(step_ms)
        orders.append(self._open(self._arrivals(step_ms)))
        funding_rates = self._funding_rates()
        if settled.any():
            self._charge_funding(np.where(settled, funding_rates, 0.0))
        trades = self._execute(orders, step_ms, drift=self.index_price / before - 1)
        self._count_turnover(trades)
        return Step(
            time=self.now,
            index_price=self.index_price,
            mark_prices=self.mark_prices,
            funding_rates=funding_rates,
            next_funding_times=(self.now // self._intervals + 1) * self._intervals,
            settled=settled,
            open_interest=self.open_interest,
            turnover=self._turnover.copy(),
            trades=trades,
            liquidations=liquidations,
        )

    def _move_price(self, step_ms: int) -> None:
        hours = step_ms / HOUR_MS
        self._impact *= 0.5 ** (hours / _IMPACT_HALF_LIFE_HOURS)
        previous = log(self.index_price)
        self.index_price = self._path.advance(step_ms) * exp(self._impact)
        level = log(self.index_price)
        # The perpetual trades above the index where traders are net long, and the other way round.
        interest = self.open_interest
        longs = float(interest.sum())
        self._tilt = -float(self.makers.net.sum()) / longs if longs else 0.0
        memory = exp(-4 * hours)
        noise = self._generator.standard_normal(1 + len(self.listings))
        self._premium = self._premium * memory + (1 - memory) * 0.004 * self._tilt
        self._premium += 0.0002 * sqrt(1 - memory * memory) * float(noise[0])
        basis = self._premium + 0.00002 * noise[1:]
        self.mark_prices = np.round(self.index_price * (1 + basis), self._decimals + 2)
        self._held_usd = interest * self.quantity_steps * self.mark_prices
        self._fast += (level - self._fast) * (1 - exp(-6 * hours))
        self._slow += (level - self._slow) * (1 - exp(-1 * hours))
        weight = 1 - exp(-2 * hours)
        self._variance += weight * ((level - previous) ** 2 / hours - self._variance)

    @property
    def _activity(self) -> float:
        """How much busier than usual traders are: they come and trade when the price moves."""
        return min(max(sqrt(self._variance) / self.coin.volatility, 0.5), 3.0)

    def _mood(self) -> Mood:
        volatility = sqrt(self._variance)
        # Makers who are short (traders net long) quote higher, so the next trader rather sells.
        trend = float(self._fast - self._slow) / max(volatility, 0.3 * self.coin.volatility)
        return Mood(min(max(trend, -2.0), 2.0), max(volatility, 0.3 * self.coin.volatility), -8.0 * self._tilt)

    def _arrivals(self, step_ms: int) -> int:
        wanted = self.coin.open_interest_usd / max(float(self._held_usd.sum()), 1.0)
        rate = self._arrivals_per_hour * self._activity * min(max(wanted**3, 0.2), 4.0)
        return int(self._generator.poisson(rate * step_ms / HOUR_MS))

    # -- closes --------------------------------------------------------------------------------------------

    def _close_triggered(self, step_ms: int) -> tuple[list[_Orders], Liquidations]:
        positions = self.positions
        rows = positions.triggered(self.mark_prices, self.now)
        dead = positions.is_liquidated(rows, self.mark_prices)
        killed = rows[dead]
        venue, side = positions.venue[killed], positions.side[killed]
        slippage = _HALF_SPREAD * (1 + self._generator.exponential(2.0, len(killed)))
        liquidations = Liquidations(
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
        self._push(liquidations)
        if not len(rows):
            return [], liquidations
        marks = self.mark_prices[positions.venue[rows]]
        at_target = positions.side[rows] * (marks - positions.profit_price[rows]) >= 0
        orders = self._reduce(rows, positions.lots[rows], passive=at_target & ~dead)
        positions.release(rows)
        return [orders], liquidations

    def _push(self, liquidations: Liquidations) -> None:
        """Let forced orders move the price: thin books give way, and that takes others with them."""
        if len(liquidations):
            usd = liquidations.side * liquidations.lots * self.quantity_steps[liquidations.venue] * liquidations.price
            pushed = self._impact - 0.01 * float(usd.sum()) / self.coin.depth_usd
            self._impact = min(max(pushed, -_MAXIMUM_IMPACT), _MAXIMUM_IMPACT)

    def _reduce(self, rows: IntArray, lots: IntArray, passive: BoolArray) -> _Orders:
        """Take `lots` off the traders' side of the book and return the orders that do it."""
        positions = self.positions
        venue, side = positions.venue[rows], positions.side[rows]
        np.subtract.at(self._trader_long, venue, np.where(side > 0, lots, 0))
        np.subtract.at(self._trader_short, venue, np.where(side < 0, lots, 0))
        return _Orders(venue, -side * lots, positions.account[rows], passive)

    def _change_some(self, step_ms: int) -> list[_Orders]:
        """Let a few traders close a part of their position, and a few add margin to it."""
        hours = step_ms / HOUR_MS
        people, positions = self.population, self.positions
        closing = self._pick(people.partial_closes_per_hour * hours, smallest=4)
        adding = self._pick(people.margin_additions_per_hour * hours, smallest=1)
        kind = positions.kind[adding]
        adding = adding[(kind == TraderKind.RETAIL) | (kind == TraderKind.HOLDER)]
        orders = []
        if len(closing):
            lots = (positions.lots[closing] * self._generator.uniform(0.25, 0.75, len(closing))).astype(np.int64)
            orders.append(self._reduce(closing, lots, np.zeros(len(closing), bool)))
            positions.margin[closing] *= 1 - lots / positions.lots[closing]
            positions.lots[closing] -= lots
        if len(adding):
            positions.margin[adding] *= self._generator.uniform(1.3, 2.5, len(adding))
        if len(closing) or len(adding):
            positions.reprice(np.union1d(closing, adding))
        return orders

    def _pick(self, share: float, smallest: int) -> IntArray:
        """Return rows drawn at random, about `share` of the open ones, of at least `smallest` lots."""
        count = int(self._generator.poisson(share * self.positions.count))
        if not count:
            return np.zeros(0, np.int64)
        rows = np.unique(self._generator.choice(self.positions.open_rows, count))
        return np.asarray(rows[self.positions.lots[rows] >= smallest])

    # -- opens ---------------------------------------------------------------------------------------------

    def _open(self, count: int, *, standing: bool = False) -> _Orders:
        """Open `count` positions (a holder's on every venue) and return their orders."""
        positions = self.positions
        if not count:
            nothing = np.zeros(0, np.int64)
            return _Orders(nothing, nothing, nothing, nothing.astype(bool))
        wants = self._crowd.draw(count, self._mood(), self._generator, standing=standing)
        drawn = np.searchsorted(self._share_steps, self._generator.random(count) * self._share_steps[-1], side="right")
        holds = wants.kind == TraderKind.HOLDER
        single, spread = np.flatnonzero(~holds), np.flatnonzero(holds)
        index = np.concatenate([single, np.repeat(spread, len(self.listings))])
        venue = np.concatenate([drawn[single], np.tile(np.arange(len(self.listings)), len(spread))])
        notional = wants.notional[index]
        notional[len(single) :] *= np.tile(self.shares, len(spread))

        rows = positions.take(len(index))
        side, passive = wants.side[index], wants.passive[index]
        marks = self.mark_prices[venue]
        entry = np.round(marks * (1 + np.where(passive, -side, side) * _HALF_SPREAD), self._decimals)
        steps = self.quantity_steps[venue]
        notional = np.minimum(notional, self._largest[venue])
        lots = np.maximum((notional / (entry * steps)).astype(np.int64), 1)
        leverage = wants.leverage[index].copy()
        for number, listing in enumerate(self.listings):
            here = np.flatnonzero(venue == number)
            if len(here):
                tier = listing.tiers.tier_at((lots * steps * entry)[here])
                leverage[here] = np.minimum(leverage[here], listing.tiers.maximum_leverage[tier])
        account = rows.copy()
        account[len(single) :] = self._owners + np.repeat(np.arange(len(spread)), len(self.listings))
        self._owners += len(spread)

        positions.venue[rows], positions.kind[rows], positions.side[rows] = venue, wants.kind[index], side
        positions.lots[rows], positions.entry_price[rows], positions.leverage[rows] = lots, entry, leverage
        positions.margin[rows] = lots * steps * entry / leverage * wants.collateral[index]
        positions.account[rows], positions.opened[rows] = account, self.now
        positions.expires[rows] = self.now + wants.life_ms[index]
        stop, profit = (
            entry * (1 - side * wants.stop_distance[index]),
            entry * (1 + side * wants.profit_distance[index]),
        )
        positions.stop_price[rows] = np.where(np.isfinite(stop) & (stop > 0), stop, np.nan)
        positions.profit_price[rows] = np.where(np.isfinite(profit) & (profit > 0), profit, np.nan)
        positions.reprice(rows)
        np.add.at(self._trader_long, venue, np.where(side > 0, lots, 0))
        np.add.at(self._trader_short, venue, np.where(side < 0, lots, 0))
        return _Orders(venue, side * lots, account, passive)

    # -- trades --------------------------------------------------------------------------------------------

    def _execute(self, orders: list[_Orders], step_ms: int, drift: float = 0.0) -> Trades:
        """Match each order with a market maker, add the makers' trades among themselves, and number them all."""
        venue = np.concatenate([order.venue for order in orders])
        lots = np.concatenate([order.lots for order in orders])
        account = np.concatenate([order.account for order in orders])
        passive = np.concatenate([order.passive for order in orders])
        maker = self._generator.integers(self.makers.count, size=len(venue))
        self.makers.fill(venue, maker, -lots)
        counterparty = maker_account(maker)
        bought = lots > 0
        taker_side = np.where(bought ^ passive, 1, -1)
        buyer, seller = np.where(bought, account, counterparty), np.where(bought, counterparty, account)
        churn = self._churn(step_ms, drift)
        return self._number(
            np.concatenate([venue, churn[0]]),
            np.concatenate([np.abs(lots), churn[1]]),
            np.concatenate([taker_side, churn[2]]),
            np.concatenate([buyer, churn[3]]),
            np.concatenate([seller, churn[4]]),
            step_ms,
        )

    def _churn(self, step_ms: int, drift: float) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray]:
        """Trade among the makers: most of the turnover, and no change of their sum."""
        seconds = step_ms / 1_000
        people, generator = self.population, self._generator
        mean_count = min(0.7 * seconds, 4.0)
        counts = generator.poisson(mean_count, len(self.listings)) if people.makers > 1 else np.zeros(1, np.int64)
        venue = np.repeat(np.arange(len(counts)), counts)
        size = len(venue)
        chance = generator.random((5, size))
        usd = people.daily_turnover * self._held_usd / 86_400 * seconds * self._activity / mean_count
        usd = np.minimum(usd, 0.02 * self._held_usd)
        each = usd[venue] * -np.log(np.maximum(chance[0], 1e-12))
        lots = np.maximum((each / (self.quantity_steps * self.mark_prices)[venue]).astype(np.int64), 1)
        first = (chance[1] * people.makers).astype(np.int64)
        second = (first + 1 + (chance[2] * (people.makers - 1)).astype(np.int64)) % people.makers
        # Mostly the shorter of the two buys, so that inventories stay small.
        inventory = self.makers.lots
        swap = (inventory[venue, first] > inventory[venue, second]) ^ (chance[3] < 0.15)
        buyer, seller = np.where(swap, second, first), np.where(swap, first, second)
        hourly = drift / self.coin.volatility / sqrt(max(seconds, 1) / 3_600)
        taker_side = np.where(chance[4] < 0.5 + 0.3 * tanh(hourly), 1, -1)
        self.makers.fill(venue, buyer, lots)
        self.makers.fill(venue, seller, -lots)
        return venue, lots, taker_side, maker_account(buyer), maker_account(seller)

    def _number(
        self, venue: IntArray, lots: IntArray, taker_side: IntArray, buyer: IntArray, seller: IntArray, step_ms: int
    ) -> Trades:
        """Spread trades over the step, price them around the mark, order them and give them their numbers."""
        times = self.now - self._generator.integers(0, step_ms, size=len(venue))
        order = np.argsort(times, kind="stable")
        venue, taker_side = venue[order], taker_side[order]
        spread = taker_side * _HALF_SPREAD * (0.5 + self._generator.random(len(venue)))
        identifier = np.empty(len(venue), np.int64)
        for number in range(len(self.listings)):
            here = np.flatnonzero(venue == number)
            identifier[here] = self._trade_ids[number] + np.arange(1, len(here) + 1)
            self._trade_ids[number] += len(here)
        return Trades(
            venue=venue,
            time=times[order],
            price=np.round(self.mark_prices[venue] * (1 + spread), self._decimals),
            lots=lots[order],
            taker_side=taker_side,
            buyer=buyer[order],
            seller=seller[order],
            identifier=identifier,
        )

    def _count_turnover(self, trades: Trades) -> None:
        usd = trades.price * trades.lots * self.quantity_steps[trades.venue]
        by_venue: FloatArray = np.bincount(trades.venue, usd, len(self.listings)).astype(np.float64)
        minute = self.now // MINUTE_MS
        minutes = self._turnover_minutes
        if minutes and minutes[-1][0] == minute:
            minutes[-1][1][:] += by_venue
        else:
            minutes.append((minute, by_venue))
        self._turnover += by_venue
        while minutes[0][0] <= minute - DAY_MS // MINUTE_MS:
            self._turnover -= minutes.popleft()[1]

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
