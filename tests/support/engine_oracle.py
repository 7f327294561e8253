"""A slow engine that reads the log row by row, in plain Python: what the columnar one is held to.

It does its own windows, watermarks, late and early rows, sums, observed and executed levels, one market and one event
at a time. Of the model it asks one market at a time.
"""

import math
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from kafka.partitioner.default import murmur2

from liqheat.domain import price_grid
from liqheat.domain.events import NAN, Event, Kind, Liquidation, Mark, OpenInterest, Position, Trade, Turnover
from liqheat.domain.market import LEVERAGE_BANDS, Venue, leverage_band
from liqheat.platform.settings import Engine as EngineSettings
from processors.positions.inferred import InferredPositions
from processors.positions.minute_columns import MinuteColumns

SPREAD = 8_000
SETTINGS = EngineSettings(lateness_ms=2_000, closing_spread_ms=SPREAD, warm_up_hours=1.0)
MINUTE = 60_000
FACTOR = SETTINGS.grid_factor


@cache
def bucket_of(price: float, factor: int = 1) -> int:
    """Return the bucket of a price."""
    return int(price_grid.bucket_of(price, factor))


@dataclass
class SlowAccount:
    """What one account holds, and its level."""

    side: int
    coins: float
    band: int
    bucket: int | None = None
    amount: int = 0


@dataclass
class SlowMinute:
    """One minute, as it fills."""

    rows: int = 0
    late: int = 0
    marks: list[float] = field(default_factory=list)
    prices: list[float] = field(default_factory=list)
    buy: int = 0
    sell: int = 0
    buy_coins: float = 0.0
    sell_coins: float = 0.0
    executed: dict[tuple[int, int], int] = field(default_factory=lambda: defaultdict(int))
    count: int = 0


class SlowMarket:
    """What one market should be."""

    def __init__(self, venue: str, symbol: str, number: int) -> None:
        self.venue, self.symbol, self.number = venue, symbol, number
        self.start, self.watermark, self.closed, self.begun = -1, -1, -1, -1
        self.ahead: list[Event] = []
        self.minute = SlowMinute()
        self.mark, self.trade, self.index, self.funding, self.settlement = NAN, NAN, NAN, NAN, 0
        self.coins, self.coins_time, self.given, self.turnover = NAN, -1, NAN, NAN
        self.accounts: dict[str, SlowAccount] = {}
        self.is_observed = False
        self.flows: dict[tuple[int, int, int], list[int]] = defaultdict(lambda: [0, 0, 0])
        self.stood: set[tuple[Any, ...]] = set()
        self.gates: dict[str, tuple[float | None, float | None]] = {}

    @property
    def price(self) -> float:
        return self.trade if math.isnan(self.mark) else self.mark

    def held(self, side: int) -> float:
        return math.fsum(account.coins for account in self.accounts.values() if account.side == side)

    def read(self, event: Event) -> None:
        """Apply an event of the open minute, or one that is late for it."""
        minute, is_late = self.minute, event.event_time < self.start
        minute.rows += 1
        minute.late += is_late
        if isinstance(event, Trade):
            amount = round(event.price * event.quantity * 1_000_000)
            if event.taker_side > 0:
                minute.buy += amount
                minute.buy_coins += event.quantity
            else:
                minute.sell += amount
                minute.sell_coins += event.quantity
            if not is_late:
                self.trade = event.price
                minute.prices.append(event.price)
                if math.isnan(self.mark):
                    self.sweep_observed(event.price)
        elif isinstance(event, Liquidation):
            amount = round(event.price * event.quantity * 1_000_000)
            minute.executed[event.side, bucket_of(event.price, FACTOR)] += amount
            minute.count += 1
        elif isinstance(event, Mark) and not is_late:
            self.mark = event.mark_price
            minute.marks.append(event.mark_price)
            self.index = self.index if math.isnan(event.index_price) else event.index_price
            self.funding = self.funding if math.isnan(event.funding_rate) else event.funding_rate
            self.settlement = event.next_funding_time or self.settlement
            self.sweep_observed(event.mark_price)
        elif isinstance(event, OpenInterest) and not is_late:
            if event.event_time < self.coins_time:
                minute.late += 1
            else:
                self.coins, self.coins_time = event.quantity, event.event_time

    def sweep_observed(self, price: float) -> None:
        edge = bucket_of(price)
        for account in self.accounts.values():
            if account.bucket is not None and (edge - account.bucket) * account.side <= 0 and account.amount:
                self.flows[account.side, account.band, account.bucket // FACTOR][2] += account.amount
                account.amount = 0

    def put(self, event: Position) -> None:
        self.is_observed = True
        old = self.accounts.pop(event.account, None)
        new = None
        if event.quantity > 0:
            new = SlowAccount(event.side, event.quantity, int(leverage_band(event.leverage)))
            level = None if math.isnan(event.liquidation_price) else bucket_of(event.liquidation_price)
            if level is not None and (math.isnan(self.price) or (bucket_of(self.price) - level) * event.side > 0):
                new.bucket = level
                new.amount = round(event.quantity * event.liquidation_price * 1_000_000)
            self.accounts[event.account] = new
        before, after = (old.amount if old else 0), (new.amount if new else 0)
        if old and new and (old.side, old.band, old.bucket) == (new.side, new.band, new.bucket):
            before, after = max(before - after, 0), max(after - before, 0)
        if old and old.bucket is not None:
            self.flows[old.side, old.band, old.bucket // FACTOR][1] += before
        if new and new.bucket is not None:
            self.flows[new.side, new.band, new.bucket // FACTOR][0] += after

    def observed_buckets(self) -> dict[tuple[int, int, int], list[int]]:
        """Return level, opened, closed and swept by side, band and published bucket."""
        found: dict[tuple[int, int, int], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for account in self.accounts.values():
            if account.bucket is not None:
                found[account.side, account.band, account.bucket // FACTOR][0] += account.amount
        for key, flows in self.flows.items():
            found[key][1:] = flows
        return {key: values for key, values in found.items() if any(values)}

    def columns(self) -> MinuteColumns:
        """Return the minute as the model reads it."""
        minute = self.minute
        observed = (self.held(1) + self.held(-1)) / 2
        uncovered = max(self.coins - observed, 0.0) if not math.isnan(self.coins) else NAN
        part = 1.0
        if observed and not math.isnan(uncovered):
            part = uncovered / self.coins if self.coins > 0 else 1.0
        buy, sell = (amount if part == 1 else math.floor(amount * part) for amount in (minute.buy, minute.sell))
        touched = minute.prices if math.isnan(self.mark) else minute.marks
        known = self.venue != Venue.HYPERLIQUID and (sum(minute.executed.values()) > 0 or minute.rows >= 12)
        longs, shorts = (sum(usd for (of, _), usd in minute.executed.items() if of == side) for side in (1, -1))
        values = (
            self.start,
            1 if self.closed < 0 else (self.start - self.closed) // MINUTE,
            min(touched, default=NAN),
            max(touched, default=NAN),
            self.price,
            buy,
            sell,
            minute.buy / 1_000_000 / minute.buy_coins if minute.buy_coins else NAN,
            minute.sell / 1_000_000 / minute.sell_coins if minute.sell_coins else NAN,
            min(minute.prices, default=NAN),
            max(minute.prices, default=NAN),
            uncovered,
            self.given,
            longs,
            shorts,
            minute.count,
            known,
            self.venue in (Venue.BINANCE, Venue.OKX),
        )
        self.given = uncovered
        return MinuteColumns(*(np.array([value]) for value in values))


def rounded(amount: int) -> int:
    """Return an amount to three significant digits, half up."""
    unit = int(10 ** max(len(str(amount)) - 3, 0))
    return (amount + unit // 2) // unit * unit


class SlowEngine:
    """All markets, and the rows of their closed minutes, as tuples that begin with kind, venue, symbol and window."""

    def __init__(self) -> None:
        self.markets: dict[tuple[str, str], SlowMarket] = {}
        self.model = InferredPositions(FACTOR)
        self.revisions: dict[str, int] = defaultdict(int)
        self.rows: list[tuple[Any, ...]] = []

    def read(self, event: Event) -> None:
        """Apply one event of the log."""
        key = event.venue.value, event.symbol
        if key not in self.markets:
            self.markets[key] = SlowMarket(*key, self.model.add_market(*key))
        market = self.markets[key]
        self.revisions[event.symbol] += 1
        if isinstance(event, Position):
            market.put(event)
        elif isinstance(event, Turnover):
            market.turnover = event.quote_volume
        else:
            if market.start < 0:
                market.start = event.event_time // MINUTE * MINUTE
            market.watermark = max(market.watermark, event.event_time)
            self.close(market, self.revisions[event.symbol])
            if self.gate(market, event):
                self.place(market, event)
            else:
                market.minute.late += 1

    def place(self, market: SlowMarket, event: Event) -> None:
        if event.event_time >= market.start + MINUTE:
            market.ahead.append(event)
        else:
            market.read(event)

    def gate(self, market: SlowMarket, event: Event) -> bool:
        """Whether an event is plausible; what is not waits for a second one near it."""
        if isinstance(event, Mark):
            name, value, step = "mark", event.mark_price, SETTINGS.plausible_price_step
        elif isinstance(event, Trade):
            name, value, step = "trade", event.price, SETTINGS.plausible_price_step
        elif isinstance(event, OpenInterest):
            name, value, step = "interest", event.quantity, SETTINGS.plausible_interest_step
        else:
            return True
        accepted, held = market.gates.get(name, (None, None))
        leaps = accepted is not None and not (value <= accepted * step and accepted <= value * step)
        if leaps and (held is None or not (value <= held * 1.25 and held <= value * 1.25)):
            market.gates[name] = accepted, value
            return False
        market.gates[name] = value, None
        return True

    def close(self, market: SlowMarket, revision: int) -> None:
        lateness = SETTINGS.lateness_ms + (murmur2(market.symbol.encode()) & 0x7FFFFFFF) % 8 * SPREAD // 8
        while market.watermark >= market.start + MINUTE + lateness:
            silent = (market.watermark - lateness) // MINUTE - market.start // MINUTE
            if silent > 60 and not market.minute.rows and not market.ahead:
                market.start += silent * MINUTE
                continue
            self.close_minute(market, revision)
            market.closed, market.minute = market.start, SlowMinute()
            market.flows.clear()
            market.start += MINUTE
            waiting, market.ahead = market.ahead, []
            for event in waiting:
                self.place(market, event)

    def close_minute(self, market: SlowMarket, revision: int) -> None:
        one = np.array([market.number])
        market.begun = market.start if market.begun < 0 else market.begun
        columns = market.columns()
        self.model.close(one, columns)
        levels = self.levels(market)
        for key in market.stood - levels.keys():
            levels[key] = []
        market.stood = {key for key, cells in levels.items() if any(cell[1] or cell[2] for cell in cells)}
        head = (market.venue, market.symbol, market.start)
        for (basis, side, band), cells in levels.items():
            self.rows.append((Kind.HEATMAP_LEVELS, *head, basis, side, band, tuple(sorted(cells)), revision))
        totals, facts = self.model.totals(one), self.model.facts(one)
        observed = [
            sum(account.amount for account in market.accounts.values() if account.side == side) for side in (1, -1)
        ]
        marks = market.minute.marks
        held = (market.held(1) + market.held(-1)) / 2
        values = (
            *((marks[0], max(marks), min(marks)) if marks else (NAN, NAN, NAN)),
            *(market.mark, market.index, market.funding, market.settlement),
            *(market.coins, market.coins * market.price, market.turnover, market.minute.buy, market.minute.sell),
            *(int(columns.executed_long[0]), int(columns.executed_short[0])),
            *(int(totals.at_risk[0, index]) + observed[index] for index in (0, 1)),
            held / market.coins if market.coins > 0 else 0.0,
            *(market.minute.late, revision),
            *(int(totals.expected[0, index]) + observed[index] for index in (0, 1)),
            float(facts.kappa[0]),
            market.start - market.begun < SETTINGS.warm_up_hours * 3_600_000,
        )
        self.rows.append((Kind.MARKET_MINUTES, *head, *(None if value != value else value for value in values)))

    def levels(self, market: SlowMarket) -> dict[tuple[Any, ...], list[tuple[int, ...]]]:
        """Return bucket, at risk, expected, opened, closed, swept and liquidated by basis, side and band."""
        found: dict[tuple[Any, ...], list[tuple[int, ...]]] = defaultdict(list)
        cells = self.model.published(np.array([market.number]))
        for place in range(len(cells.place)):
            key = "inferred", int(cells.side[place]), LEVERAGE_BANDS[int(cells.band[place])]
            amounts = (cells.at_risk_usd, cells.expected_usd, cells.opened_usd, cells.closed_usd, cells.swept_usd)
            at_risk, expected, *flows = (int(column[place]) for column in amounts)
            found[key].append((int(cells.bucket[place]), rounded(at_risk), rounded(expected), *flows, 0))
        for (side, band, bucket), (level, *flows) in market.observed_buckets().items():
            found["observed", side, LEVERAGE_BANDS[band]].append((bucket, level, level, *flows, 0))
        basis = "observed" if market.is_observed else "inferred"
        for (side, bucket), amount in market.minute.executed.items():
            if amount:
                found[basis, side, "unknown"].append((bucket, 0, 0, 0, 0, 0, amount))
        return found


def slow_rows(events: list[Event]) -> list[tuple[Any, ...]]:
    """Return the rows of the closed minutes of a log."""
    engine = SlowEngine()
    for event in events:
        engine.read(event)
    return engine.rows
