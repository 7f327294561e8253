"""What a venue remembers of a market and serves over REST: minute bars, open interest, funding, recent trades.

`History` belongs to a whole market and takes its steps; `VenueMarket` is one venue's view of it, with which
the wire modules work: coins instead of lots, one venue instead of arrays.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from liqheat.domain.windows import DAY_MS, MINUTE_MS
from liqheat.simulator.listings import Listing
from liqheat.simulator.market import Market
from liqheat.simulator.order_book import BookLevels, BookSnapshot, levels_of
from liqheat.simulator.tape import Step

OPEN_INTEREST_INTERVAL_MS = 5 * MINUTE_MS
_REMEMBERED_MINUTES = 3 * DAY_MS // MINUTE_MS
_REMEMBERED_STEPS = 3_600


class Bar(NamedTuple):
    """Trades of an interval; quantities in coins, quote values in USD; without trades all prices are the last mark."""

    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0
    quote_volume: float = 0.0
    trades: int = 0
    taker_buy_volume: float = 0.0
    taker_buy_quote_volume: float = 0.0


class TradeRow(NamedTuple):
    """One trade of one venue; quantity in coins."""

    identifier: int
    time: int
    price: float
    quantity: float
    taker_side: int
    buyer: int
    seller: int


class LiquidationRow(NamedTuple):
    """One liquidation of one venue; quantity in coins, `side` of the position."""

    time: int
    side: int
    price: float
    quantity: float
    bankruptcy_price: float
    account: int
    mark_price: float


class Funding(NamedTuple):
    """One settlement."""

    time: int
    rate: float
    mark_price: float


class History:
    """Gathers the steps of one market; everything in it is bounded."""

    def __init__(self, market: Market) -> None:
        venues = len(market.listings)
        self.steps: deque[Step] = deque(maxlen=_REMEMBERED_STEPS)
        self.bars: list[deque[Bar]] = [deque(maxlen=_REMEMBERED_MINUTES) for _ in range(venues)]
        self.mark_bars: list[deque[Bar]] = [deque(maxlen=_REMEMBERED_MINUTES) for _ in range(venues)]
        self.open_interest: deque[tuple[int, list[int], list[float]]] = deque(maxlen=_REMEMBERED_MINUTES)
        self.fundings: list[deque[Funding]] = [deque(maxlen=_REMEMBERED_MINUTES) for _ in range(venues)]
        self._market = market
        self._minute: list[Step] = []

    def add(self, step: Step) -> None:
        """Take one step; a step that ends on the minute completes its bars."""
        self.steps.append(step)
        self._minute.append(step)
        if step.time % MINUTE_MS == 0:
            self._close_minute(step.time - MINUTE_MS)
        if step.time % OPEN_INTEREST_INTERVAL_MS == 0:
            self.open_interest.append((step.time, step.open_interest.tolist(), step.mark_prices.tolist()))
        for number in np.flatnonzero(step.settled).tolist():
            self.fundings[number].append(
                Funding(step.time, float(step.funding_rates[number]), float(step.mark_prices[number]))
            )

    def _close_minute(self, start: int) -> None:
        steps, self._minute = self._minute, []
        marks = np.stack([step.mark_prices for step in steps])
        opens, highs, lows = marks[0].tolist(), marks.max(axis=0).tolist(), marks.min(axis=0).tolist()
        venue = np.concatenate([step.trades.venue for step in steps])
        price = np.concatenate([step.trades.price for step in steps])
        volume = np.concatenate([step.trades.lots for step in steps]) * self._market.quantity_steps[venue]
        bought = np.concatenate([step.trades.taker_side for step in steps]) > 0
        usd = price * volume
        for number, close in enumerate(marks[-1].tolist()):
            self.mark_bars[number].append(Bar(start, opens[number], highs[number], lows[number], close))
            here = np.flatnonzero(venue == number)
            if not len(here):
                self.bars[number].append(Bar(start, close, close, close, close))
                continue
            prices, taken = price[here], here[bought[here]]
            self.bars[number].append(
                Bar(
                    start,
                    float(prices[0]),
                    float(prices.max()),
                    float(prices.min()),
                    float(prices[-1]),
                    float(volume[here].sum()),
                    float(usd[here].sum()),
                    len(here),
                    float(volume[taken].sum()),
                    float(usd[taken].sum()),
                )
            )


class VenueMarket:
    """One venue's market of one coin, as that venue would describe it."""

    def __init__(self, market: Market, number: int, history: History) -> None:
        self.listing: Listing = market.listings[number]
        self.market, self.number, self.history = market, number, history

    @property
    def step(self) -> Step:
        """The latest step."""
        return self.history.steps[-1]

    @property
    def time(self) -> int:
        """Simulated time, ms."""
        return self.step.time

    @property
    def mark_price(self) -> float:
        """USD per coin."""
        return float(self.step.mark_prices[self.number])

    @property
    def funding_rate(self) -> float:
        """Rate of the running interval."""
        return float(self.step.funding_rates[self.number])

    @property
    def next_funding_time(self) -> int:
        """Next settlement, ms."""
        return int(self.step.next_funding_times[self.number])

    @property
    def open_interest(self) -> float:
        """One-sided, coins."""
        return int(self.step.open_interest[self.number]) * self.listing.quantity_step

    @property
    def turnover(self) -> float:
        """Quote volume of 24 h, USD."""
        return float(self.step.turnover[self.number])

    @property
    def last_price(self) -> float:
        """Price of the latest trade, or the mark where none is remembered."""
        for step in reversed(self.history.steps):
            here = np.flatnonzero(step.trades.venue == self.number)
            if len(here):
                return float(step.trades.price[here[-1]])
        return self.mark_price

    def trades_of(self, step: Step) -> list[TradeRow]:
        """Return this venue's trades of a step, in order."""
        trades = step.trades
        here = np.flatnonzero(trades.venue == self.number)
        quantities = (trades.lots[here] * self.listing.quantity_step).tolist()
        columns = (trades.price[here].tolist(), quantities, trades.taker_side[here].tolist())
        accounts = (trades.buyer[here].tolist(), trades.seller[here].tolist())
        return list(
            map(
                TradeRow._make,
                zip(trades.identifier[here].tolist(), trades.time[here].tolist(), *columns, *accounts, strict=True),
            )
        )

    def liquidations_of(self, step: Step) -> list[LiquidationRow]:
        """Return this venue's liquidations of a step, in time order."""
        part = step.liquidations
        here = np.flatnonzero(part.venue == self.number)
        quantities = (part.lots[here] * self.listing.quantity_step).tolist()
        columns = (part.time[here].tolist(), part.side[here].tolist(), part.price[here].tolist(), quantities)
        rest = (part.bankruptcy_price[here].tolist(), part.account[here].tolist(), part.mark_price[here].tolist())
        return list(map(LiquidationRow._make, zip(*columns, *rest, strict=True)))

    def recent_trades(
        self, *, since: int | None = None, from_id: int | None = None, latest: int | None = None
    ) -> list[TradeRow]:
        """Return remembered trades, oldest first; those from a time or number on, or the newest `latest`.

        Walks back from now only as far as it must, for most requests ask for the last seconds.
        """
        parts: list[list[TradeRow]] = []
        count = 0
        for step in reversed(self.history.steps):
            if since is not None and step.time < since:
                break
            rows = self.trades_of(step)
            parts.append(rows)
            count += len(rows)
            if latest is not None and count >= latest:
                break
            if from_id is not None and rows and rows[0].identifier <= from_id:
                break
        return [row for rows in reversed(parts) for row in rows]

    def book(self, limit: int, step: float | None = None) -> BookSnapshot:
        """Return this venue's part of the resting book, at most `limit` levels per side; asking changes nothing.

        `step` (USD per coin) is the distance of levels, the venue's tick by default. A larger multiple of the tick
        joins them, as venues with aggregated books do: bids are rounded down, asks up.
        """
        market, listing = self.market, self.listing

        def side(sign: int) -> BookLevels:
            return levels_of(
                market.book,
                sign,
                self.mark_price,
                listing.share,
                step or listing.tick_size,
                listing.quantity_step,
                limit,
            )

        return BookSnapshot(self.time, market.steps, side(+1), side(-1))

    def bars(self, interval: int = MINUTE_MS, *, of_marks: bool = False) -> list[Bar]:
        """Return the completed bars of `interval` (ms, whole minutes), oldest first."""
        minutes = (self.history.mark_bars if of_marks else self.history.bars)[self.number]
        return list(minutes) if interval == MINUTE_MS else [_joined(group) for group in _groups(minutes, interval)]

    def open_interest_points(self) -> list[tuple[int, float, float]]:
        """Return `(time, coins, USD)` every 5 minutes, oldest first."""
        step = self.listing.quantity_step
        return [
            (time, lots[self.number] * step, lots[self.number] * step * marks[self.number])
            for time, lots, marks in self.history.open_interest
        ]

    def fundings(self) -> list[Funding]:
        """Return the settlements, oldest first."""
        return list(self.history.fundings[self.number])


def _groups(bars: Iterable[Bar], interval: int) -> Iterator[list[Bar]]:
    group: list[Bar] = []
    for bar in bars:
        if group and bar.time // interval != group[0].time // interval:
            yield group
            group = []
        group.append(bar)
    if group:
        yield group


def _joined(group: list[Bar]) -> Bar:
    sums = [sum(values) for values in zip(*(bar[5:] for bar in group), strict=True)]
    volume, quote_volume, trades, taker_buy_volume, taker_buy_quote_volume = sums
    return Bar(
        group[0].time,
        group[0].open,
        max(bar.high for bar in group),
        min(bar.low for bar in group),
        group[-1].close,
        volume,
        quote_volume,
        int(trades),
        taker_buy_volume,
        taker_buy_quote_volume,
    )
