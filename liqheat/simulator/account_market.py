"""A market whose traders are accounts as real venues have them: see `people` and `accounts`.

Positions older than the log are there from the start. Forced orders and stops take from the resting book within the
step that triggers them; that moves the mark, which triggers others, until the book has absorbed what there is.
"""

from math import log, sqrt

import numpy as np

from liqheat.domain.windows import HOUR_MS, MINUTE_MS
from liqheat.simulator.accounts import CALL_SHARE, Accounts
from liqheat.simulator.listings import Coin, Listing
from liqheat.simulator.market import Market
from liqheat.simulator.order_book import DepthShape
from liqheat.simulator.people import People, Visitors, Wishes
from liqheat.simulator.price_paths import PricePath
from liqheat.simulator.tape import FloatArray, IntArray, Liquidations
from liqheat.simulator.traders import TraderKind
from liqheat.simulator.trading import HALF_SPREAD, Orders, Trading

_OTHERS_MS = 5 * MINUTE_MS
"""How often the value of accounts' other positions is brought up to date."""
_MAXIMUM_WAVES = 200
"""Rounds of a chain of forced orders within one step; a chain that long goes on in the next."""
_MAXIMUM_SLICES = 20
_SPARE_STOCK = 1.7
"""How many positions are drawn for each that is open at the start: price has closed the others meanwhile."""
_GIVES_UP = 0.3
"""Chance that an account which has just defended itself will not do so again."""


class AccountMarket(Market):
    """One coin with accounts on all venues, a stock from before the start, and a book that forced orders eat."""

    positions: Accounts

    def __init__(
        self,
        coin: Coin,
        listings: tuple[Listing, ...],
        people: People,
        depth: DepthShape,
        path: PricePath,
        past: FloatArray,
        generator: np.random.Generator,
        start_ms: int,
    ) -> None:
        """Open the market at `start_ms` (ms).

        Args:
            coin: what is traded; its open interest is what the stock tends to.
            listings: the venues.
            people: the accounts.
            depth: the resting book.
            path: price without forced orders; it does not draw from `generator`, so that twin runs share it.
            past: hourly prices up to the start (USD per coin), whose last is the path's first.
            generator: all other chance.
            start_ms: ms.
        """
        accounts = Accounts(listings, 2 * people.traders)
        trading = Trading(coin, listings, people.makers, people.maker_turnover)
        super().__init__(coin, listings, accounts, trading, depth, path, generator, start_ms)
        self.people = people
        self._visitors = Visitors(people, coin.open_interest_usd)
        self._share_steps = np.cumsum([listing.share for listing in listings])
        self._largest = np.array([0.5 * listing.tiers.notional_cap[-1] for listing in listings])
        self._others_index = log(self.index_price)
        orders = self._open_stock(past)
        self._trading.execute([orders], self._quotes(1), self._generator)

    def stop_liquidating(self) -> None:
        """Let no position be liquidated from now on: what a twin run is compared with."""
        self.positions.stop_liquidating()

    # -- closes --------------------------------------------------------------------------------------------

    def _close_triggered(self, step_ms: int) -> tuple[list[Orders], Liquidations]:
        orders: list[Orders] = []
        waves: list[Liquidations] = []
        for _ in range(_MAXIMUM_WAVES):
            rows = self.positions.triggered(self.mark_prices, self.now)
            if not len(rows):
                break
            part, liquidations = self._close(rows, step_ms)
            orders.append(part)
            waves.append(liquidations)
        if not waves:
            return orders, self._liquidated(np.zeros(0, np.int64), step_ms)
        return orders, Liquidations.joined(waves)

    def _close(self, rows: IntArray, step_ms: int) -> tuple[Orders, Liquidations]:
        """Close triggered rows at the present marks, and let what is forced or stopped out eat the book."""
        positions = self.positions
        marks = self.mark_prices[positions.venue[rows]]
        dead = positions.is_liquidated(rows, self.mark_prices) & positions.liquidates
        at_target = positions.side[rows] * (marks - positions.profit_price[rows]) >= 0
        stopped = positions.side[rows] * (marks - positions.stop_price[rows]) <= 0
        eating = dead | (stopped & ~at_target)
        usd = positions.side[rows] * positions.quantity(rows) * marks
        liquidations = self._liquidated(rows[dead], step_ms)
        orders = self._reduce(rows, positions.lots[rows], passive=at_target & ~dead)
        positions.release(rows)
        if eating.any():
            self.book.take(-float(usd[eating].sum()))
            self._set_prices()
        return orders, liquidations

    # -- changes -------------------------------------------------------------------------------------------

    def _change_some(self, step_ms: int) -> list[Orders]:
        self.positions.note_marks(self.mark_prices)
        orders = self._answer_calls()
        hours = step_ms / HOUR_MS
        adding = self._pick(self.people.margin_additions_per_hour * hours)
        if len(adding):
            self.positions.margin[adding] *= self._generator.uniform(1.3, 2.5, len(adding))
            self.positions.look(adding, self.mark_prices[self.positions.venue[adding]])
        orders += self._cut(
            self._pick(self.people.partial_closes_per_hour * hours), keeps_margin=self.positions.is_cross
        )
        if self.now // _OTHERS_MS > (self.now - step_ms) // _OTHERS_MS:
            self._revalue_others()
        return orders

    def _answer_calls(self) -> list[Orders]:
        """Let the accounts whose price has come near cut their position or add margin."""
        positions, generator = self.positions, self._generator
        rows = positions.called(self.mark_prices)
        if not len(rows):
            return []
        is_cut = generator.random(len(rows)) < self.people.cut_share
        positions.is_defended[rows] = generator.random(len(rows)) >= _GIVES_UP
        adding = rows[~is_cut]
        lost = positions.room[adding] * (1 - CALL_SHARE)
        positions.margin[adding] += lost * positions.quantity(adding) * generator.uniform(0.5, 1.5, len(adding))
        orders = self._cut(rows[is_cut], keeps_margin=np.ones_like(positions.is_cross))
        positions.look(rows, self.mark_prices[positions.venue[rows]])
        return orders

    def _cut(self, rows: IntArray, keeps_margin: FloatArray) -> list[Orders]:
        """Close a part of `rows`; where `keeps_margin` (by table row) is false, margin goes with it."""
        positions = self.positions
        rows = rows[positions.lots[rows] >= 4]
        if not len(rows):
            return []
        lots = (positions.lots[rows] * self._generator.uniform(0.25, 0.75, len(rows))).astype(np.int64)
        orders = self._reduce(rows, lots, np.zeros(len(rows), bool))
        kept = 1 - lots / positions.lots[rows]
        positions.margin[rows] *= np.where(keeps_margin[rows], 1.0, kept)
        positions.other_usd[rows] *= kept
        positions.lots[rows] -= lots
        positions.look(rows, self.mark_prices[positions.venue[rows]])
        return [orders]

    def _revalue_others(self) -> None:
        """Let crossed accounts gain or lose what their other positions did."""
        positions, people = self.positions, self.people
        now = log(self.index_price)
        own = self.coin.volatility * sqrt(_OTHERS_MS / HOUR_MS) * float(self._generator.standard_normal())
        correlation = people.other_correlation
        change = correlation * (now - self._others_index) + sqrt(1 - correlation**2) * own
        self._others_index = now
        rows = np.flatnonzero(positions.other_usd)
        positions.margin[rows] += positions.other_usd[rows] * change
        positions.reprice(rows)

    def _pick(self, share: float) -> IntArray:
        """Return rows drawn at random, about `share` of the open ones."""
        count = int(self._generator.poisson(share * self.positions.count))
        if not count or not self.positions.count:
            return np.zeros(0, np.int64)
        return np.unique(self._generator.choice(self.positions.open_rows, count))

    # -- opens ---------------------------------------------------------------------------------------------

    def _arrive(self, step_ms: int) -> Orders:
        wanted = self.coin.open_interest_usd / max(float(self._held_usd.sum()), 1.0)
        rate = self.people.arrivals_per_hour * self._activity * min(max(wanted**3, 0.2), 4.0)
        count = int(self._generator.poisson(rate * step_ms / HOUR_MS))
        if not count:
            return Orders.none()
        wishes = self._visitors.draw(count, self._mood(), self._generator)
        rows = self._place(wishes, np.full(count, self.index_price))
        return self._count_opened(rows, wishes.passive)

    def _open_stock(self, past: FloatArray) -> Orders:
        """Open the positions that exist at the start, at the prices of the past, less those that price has closed."""
        people, positions = self.people, self.positions
        wishes = self._visitors.draw(round(people.traders * _SPARE_STOCK), self._mood(), self._generator, standing=True)
        opened = np.maximum(len(past) - 1 - np.round(wishes.age_hours).astype(np.int64), 0)
        rows = self._place(wishes, past[opened])
        low = np.minimum.accumulate(past[::-1])[::-1][opened]
        high = np.maximum.accumulate(past[::-1])[::-1][opened]
        worst = np.where(wishes.side > 0, low, high)
        best = np.where(wishes.side > 0, high, low)
        positions.worst_price[rows] = worst
        self._defend_stock(rows, worst)
        gone = wishes.side * (worst - np.where(wishes.side > 0, positions.lower[rows], positions.upper[rows])) <= 0
        gone |= wishes.side * (best - positions.profit_price[rows]) >= 0
        notional = np.where(gone, 0.0, positions.quantity(rows) * self.index_price)
        # Those that price spares are larger and safer than those that come: money, not heads, sets how many there are.
        is_kept = ~gone & (np.cumsum(notional) <= 2 * self.coin.open_interest_usd)
        positions.release(rows[~is_kept])
        kept = rows[is_kept]
        positions.look(kept, self.mark_prices[positions.venue[kept]])
        return self._count_opened(kept, wishes.passive[is_kept])

    def _defend_stock(self, rows: IntArray, worst: FloatArray) -> None:
        """Give margin to the defended positions that price has come near since they were opened."""
        positions = self.positions
        entry, liquidation = positions.entry_price[rows], positions.liquidation_price[rows]
        room = np.abs(entry - liquidation)
        near = positions.side[rows] * (worst - liquidation) <= CALL_SHARE * room
        here = np.flatnonzero(near & positions.is_defended[rows])
        missing = CALL_SHARE * room[here] - (positions.side[rows] * (worst - liquidation))[here]
        more = missing + room[here] * self._generator.uniform(0.3, 1.3, len(here))
        positions.margin[rows[here]] += more * positions.quantity(rows[here])
        positions.reprice(rows[here])

    def _place(self, wishes: Wishes, prices: FloatArray) -> IntArray:
        """Put the wished positions into the table, entered around `prices` (one each), and return their rows."""
        positions, generator = self.positions, self._generator
        count = len(wishes.side)
        chance = generator.random(count)
        venue = np.searchsorted(self._share_steps, chance * self._share_steps[-1], side="right")
        rows = positions.take(count)
        side, steps = wishes.side, self.quantity_steps[venue]
        crossing = np.where(wishes.passive, -side, side) * HALF_SPREAD
        entry = np.maximum(np.round(prices * (1 + self._basis[venue] + crossing), self._decimals), self.coin.tick_size)
        lots = np.maximum((np.minimum(wishes.notional, self._largest[venue]) / (entry * steps)).astype(np.int64), 1)
        notional = lots * steps * entry
        allowed = np.empty(count)
        for number, listing in enumerate(self.listings):
            here = np.flatnonzero(venue == number)
            allowed[here] = listing.tiers.maximum_leverage[listing.tiers.tier_at(notional[here])]
        leverage = np.minimum(wishes.leverage, allowed)
        ratio = np.where(wishes.is_cross, np.maximum(wishes.margin_ratio, 1 / leverage), 1 / leverage)
        positions.venue[rows], positions.side[rows], positions.lots[rows] = venue, side, lots
        positions.kind[rows] = np.where(wishes.is_cross, TraderKind.CROSS, TraderKind.RETAIL)
        positions.entry_price[rows], positions.leverage[rows] = entry, leverage
        positions.margin[rows] = notional * ratio
        positions.account[rows] = rows
        positions.opened[rows] = self.now - (wishes.age_hours * HOUR_MS).astype(np.int64)
        left = np.maximum((wishes.life_hours - wishes.age_hours) * HOUR_MS, 20_000)
        positions.expires[rows] = self.now + left.astype(np.int64)
        stop = entry * (1 - side * wishes.stop_distance)
        profit = entry * (1 + side * wishes.profit_distance)
        positions.stop_price[rows] = np.where(np.isfinite(stop) & (stop > 0), stop, np.nan)
        positions.profit_price[rows] = np.where(np.isfinite(profit) & (profit > 0), profit, np.nan)
        positions.is_cross[rows], positions.is_large[rows] = wishes.is_cross, wishes.is_large
        positions.is_defended[rows] = wishes.is_defended
        positions.other_usd[rows] = wishes.other * notional
        positions.worst_price[rows] = entry
        positions.look(rows, entry)
        return rows

    def _worked(self, orders: Orders) -> Orders:
        """Return `orders` with the large ones cut into parts, as they are worked in reality."""
        usd = np.abs(orders.lots) * self.quantity_steps[orders.venue] * self.mark_prices[orders.venue]
        parts = np.clip(np.ceil(usd / self.people.slice_usd), 1, np.minimum(np.abs(orders.lots), _MAXIMUM_SLICES))
        if not (parts > 1).any():
            return orders
        parts = parts.astype(np.int64)
        index = np.repeat(np.arange(len(parts)), parts)
        place = np.arange(len(index)) - np.repeat(np.cumsum(parts) - parts, parts)
        size = np.abs(orders.lots)[index]
        # Whole lots that add up: part k ends at the rounded (k + 1) n-ths of the order.
        lots = size * (place + 1) // parts[index] - size * place // parts[index]
        return Orders(
            orders.venue[index], np.sign(orders.lots)[index] * lots, orders.account[index], orders.passive[index]
        )
