"""A market whose traders are a simple crowd: isolated margin at a leverage mix, with hedgers and holders among them.

The population of the score's regimes, and of tests: see `traders`. `account_market` is the one that resembles
the real venues.
"""

import numpy as np

from liqheat.domain.windows import HOUR_MS
from liqheat.simulator.listings import Coin, Listing
from liqheat.simulator.market import Market
from liqheat.simulator.order_book import DepthShape
from liqheat.simulator.positions import Positions
from liqheat.simulator.price_paths import PricePath
from liqheat.simulator.tape import IntArray, Liquidations
from liqheat.simulator.traders import Crowd, Population, TraderKind
from liqheat.simulator.trading import HALF_SPREAD, Orders, Trading

_FIRST_OWNER = 1_000_000
"""Account numbers from here on belong to holders, who hold positions on several venues."""
_REFILL_HALF_LIFE_HOURS = 0.03
_MAXIMUM_DISPLACEMENT = 0.03


class CrowdMarket(Market):
    """One coin with a crowd of traders; their forced orders move the price of the next step."""

    def __init__(
        self,
        coin: Coin,
        listings: tuple[Listing, ...],
        population: Population,
        path: PricePath,
        generator: np.random.Generator,
        start_ms: int,
    ) -> None:
        """Open the market at `start_ms` (ms) with the positions held, all entered at the first price."""
        super().__init__(
            coin,
            listings,
            Positions(listings, 2 * population.traders),
            Trading(coin, listings, population.makers, population.daily_turnover),
            DepthShape(
                coin.depth_usd,
                refill_half_life_hours=_REFILL_HALF_LIFE_HOURS,
                maximum_displacement=_MAXIMUM_DISPLACEMENT,
            ),
            path,
            generator,
            start_ms,
        )
        self.population = population
        self.shares = np.array([listing.share for listing in listings])
        self._crowd = Crowd(population, coin.open_interest_usd)
        self._share_steps = np.cumsum(self.shares)
        self._largest = np.array([0.5 * listing.tiers.notional_cap[-1] for listing in listings])
        self._owners = _FIRST_OWNER
        self._arrivals_per_hour = population.arrivals_per_hour
        opened = self._open(population.traders, standing=True)
        self._trading.execute([opened], self._quotes(1), self._generator)

    def _arrive(self, step_ms: int) -> Orders:
        wanted = self.coin.open_interest_usd / max(float(self._held_usd.sum()), 1.0)
        rate = self._arrivals_per_hour * self._activity * min(max(wanted**3, 0.2), 4.0)
        return self._open(int(self._generator.poisson(rate * step_ms / HOUR_MS)))

    # -- closes --------------------------------------------------------------------------------------------

    def _close_triggered(self, step_ms: int) -> tuple[list[Orders], Liquidations]:
        positions = self.positions
        rows = positions.triggered(self.mark_prices, self.now)
        dead = positions.is_liquidated(rows, self.mark_prices)
        liquidations = self._liquidated(rows[dead], step_ms)
        if len(liquidations):
            usd = liquidations.side * liquidations.lots * self.quantity_steps[liquidations.venue] * liquidations.price
            # What is taken moves the price of the next step, and that takes others with it.
            self.book.take(-float(usd.sum()))
        if not len(rows):
            return [], liquidations
        marks = self.mark_prices[positions.venue[rows]]
        at_target = positions.side[rows] * (marks - positions.profit_price[rows]) >= 0
        orders = self._reduce(rows, positions.lots[rows], passive=at_target & ~dead)
        positions.release(rows)
        return [orders], liquidations

    def _change_some(self, step_ms: int) -> list[Orders]:
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

    def _open(self, count: int, *, standing: bool = False) -> Orders:
        """Open `count` positions (a holder's on every venue) and return their orders."""
        positions = self.positions
        if not count:
            return Orders.none()
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
        entry = np.round(marks * (1 + np.where(passive, -side, side) * HALF_SPREAD), self._decimals)
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
        return self._count_opened(rows, passive)
