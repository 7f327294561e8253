"""A slow engine made of dictionaries that reads the log row by row: what the fast one is held to.

Also the random logs that both read.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from liqheat.domain import price_grid
from liqheat.domain.events import (
    NAN,
    Event,
    Liquidation,
    MarginTier,
    Mark,
    OpenInterest,
    Position,
    Trade,
)
from liqheat.domain.margin_tiers import MarginTiers
from liqheat.domain.market import LEVERAGE_BANDS, Venue, leverage_band
from liqheat.domain.price_grid import MAXIMUM_PRICE, MINIMUM_PRICE, lower_edge
from liqheat.platform.settings import Engine as EngineSettings
from processors.positions.learned_mix import SymbolMix
from processors.positions.leverage_mix import TAKER_FEE_RATES, LeverageMix, default_tiers, mix_within
from processors.positions.reach import Reach, kept_in_a_minute

IntArray = npt.NDArray[np.int64]
SETTINGS = EngineSettings(lateness_ms=2_000, half_life_hours=0.1)
START = 1_767_225_600_000
MINUTE = 60_000
FACTOR = SETTINGS.grid_factor
LEVERAGES = len(SETTINGS.leverages)
BANDS = leverage_band(SETTINGS.leverages).tolist()
VENUES = (Venue.BINANCE, Venue.HYPERLIQUID)
TIERS = (
    ((0.0, 5e3, 50.0, 0.01, 0.0), (5e3, 1e9, 5.0, 0.05, 200.0)),
    ((0.0, 1e9, 3.0, 0.1, 0.0),),
)

KINDS = ("trade", "mark", "open_interest", "liquidation", "position", "late", "tiers")
KIND_SHARES = (0.36, 0.22, 0.22, 0.06, 0.08, 0.04, 0.02)
PASSED = (0, 300, 5_000, 15_000, 61_000, 700_000, 3 * 3_600_000)
PASSED_SHARES = (0.2, 0.3, 0.3, 0.1, 0.07, 0.02, 0.01)

Step = tuple[str, int, int, float, float, int]
"""Kind, venue, time passed (ms), change of price (a fraction), size, side."""


def plan_of(seed: int, length: int) -> list[Step]:
    """Draw a log: mostly small moves, with silences, crashes, late rows and changed tiers among them."""
    random = np.random.default_rng(seed)
    steps: list[Step] = [("mark", 0, 0, 0.0, 1.0, 1), ("open_interest", 0, 0, 0.0, 1e6, 1)]
    for _ in range(length):
        kind = str(random.choice(KINDS, p=KIND_SHARES))
        passed = int(random.choice(PASSED, p=PASSED_SHARES))
        change = float(random.choice([0.0, random.normal(0, 0.003), random.normal(0, 0.03)], p=[0.5, 0.45, 0.05]))
        size = float(random.choice([0.0, 1.5, 70_000.0, random.exponential(3e5)], p=[0.05, 0.1, 0.4, 0.45]))
        steps.append((kind, int(random.random() < 0.2), passed, change, size, int(random.choice([1, -1]))))
    return steps


bucket_of = cache(lambda price, factor=1: int(price_grid.bucket_of(price, factor)))


def events_of(plan: list[Step]) -> Iterator[Event]:
    time, price, held = START, 1.3, [2e6, 2e6]
    for number, (kind, index, passed, change, size, side) in enumerate(plan):
        venue = VENUES[index]
        time += passed
        price *= 1 + change
        at: tuple[Venue, str, str] = (venue, "V", "VIRTUALUSDT")
        if kind == "trade":
            yield Trade(*at, time, price, size, side, number if number % 3 else -1)
        elif kind == "late":
            yield Trade(*at, time - 90_000, price, size, side)
            yield Mark(*at, time - 90_000, price)
            yield OpenInterest(*at, time - 90_000, size)
        elif kind == "mark":
            yield Mark(*at, time, price, NAN if size else price, 1e-4 * side, time * int(side > 0))
        elif kind == "open_interest":
            held[index] = max(held[index] + side * size, 0.0)
            yield OpenInterest(*at, time, held[index])
        elif kind == "liquidation":
            yield Liquidation(*at, time, side, price, size)
        elif kind == "position":
            liquidation_price = NAN if size == 1.5 else price * (1 - side * (0.1 + change))
            yield Position(
                *at, time, f"account {number % 3}", side, size, leverage=10.0, liquidation_price=liquidation_price
            )
        else:
            table = TIERS[size == 0.0]
            for tier, row in enumerate(table, start=1):
                yield MarginTier(*at, time, tier, len(table), *row)


def band_of(basis: str, row: int) -> int:
    return int(BANDS[row]) if basis == "inferred" else row


@dataclass
class SlowAccount:
    side: int
    coins: float
    band: int
    bucket: int | None = None
    amount: int = 0

    @property
    def key(self) -> tuple[int, int, int]:
        return (self.side, self.band, -1 if self.bucket is None else self.bucket)


class SlowMarket:
    """What one market should be, in dictionaries."""

    def __init__(self, venue: str, symbol_mix: SymbolMix) -> None:
        self.venue = venue
        self.reach = Reach(venue, SETTINGS, symbol_mix)
        self.swept_minute = {1: np.zeros(LEVERAGES, dtype=np.int64), -1: np.zeros(LEVERAGES, dtype=np.int64)}
        self.start, self.watermark = -1, -1
        self.ahead: list[Event] = []
        self.standing: dict[str, dict[tuple[int, int, int], int]] = {"inferred": {}, "observed": {}}
        self.flows: dict[tuple[str, int, int, int], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        self.rows_in_minute = 0
        self.minute = dict.fromkeys(("buy", "sell", "late", "long", "short", "liquidations"), 0)
        self.mark, self.trade, self.reference = NAN, NAN, NAN
        self.coins, self.coins_time = NAN, -1
        self.uncovered = {1: NAN, -1: NAN}
        self.swept = {1: 0, -1: 0}
        self.profile: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0])
        self.accounts: dict[str, SlowAccount] = {}
        self.is_observed = False
        self.tiers: Any = default_tiers(venue, "VIRTUALUSDT")
        self.tier_rows: list[Any] = []

    @property
    def mix(self) -> LeverageMix:
        fee = TAKER_FEE_RATES.get(self.venue, 0.0)
        return mix_within(self.tiers, SETTINGS.leverages, SETTINGS.typical_notional_usd, fee)

    @property
    def price(self) -> float:
        return self.trade if math.isnan(self.mark) else self.mark

    def flow(self, basis: str, key: tuple[int, int, int], column: int, amount: int) -> None:
        if amount:
            side, row, bucket = key
            self.flows[basis, side, band_of(basis, row), bucket // FACTOR][column] += amount

    def add(self, basis: str, key: tuple[int, int, int], amount: int) -> None:
        self.standing[basis][key] = self.standing[basis].get(key, 0) + amount
        self.flow(basis, key, 0, amount)

    def take(self, basis: str, key: tuple[int, int, int], amount: int, column: int) -> None:
        self.standing[basis][key] -= amount
        self.flow(basis, key, column, amount)

    def keep(self, side: int, share: Any) -> None:
        for key, amount in self.standing["inferred"].items():
            if key[0] == side:
                kept = share[key[1]] if np.ndim(share) else share
                self.take("inferred", key, amount - min(math.floor(amount * kept), amount), 1)

    def total(self, basis: str, side: int) -> int:
        return sum(amount for key, amount in self.standing[basis].items() if key[0] == side)

    def sweep(self, basis: str, side: int, price: float) -> IntArray:
        edge, gone = bucket_of(price), np.zeros(LEVERAGES, dtype=np.int64)
        for key, amount in self.standing[basis].items():
            if key[0] == side and (edge - key[2]) * side <= 0:
                gone[key[1]] += amount
                self.take(basis, key, amount, 2)
        for account in self.accounts.values() if basis == "observed" else ():
            if account.side == side and account.bucket is not None and (edge - account.bucket) * side <= 0:
                account.amount = 0
        return gone

    def room(self, side: int) -> int:
        limit = int(min(self.coins * self.price, 1e12) * 1_000_000)
        return max(limit - self.total("observed", side), 0)

    def calibrate(self) -> None:
        if math.isnan(self.coins * self.price):
            return
        for index, side in enumerate((1, -1)):
            total, room = self.total("inferred", side), self.room(side)
            if total > room:
                self.keep(side, max(room / total * (1 - 1e-12), 0.0))
                self.reach.give_way(index, room / total)

    def learn(self) -> None:
        longs, shorts, told = (self.minute[name] for name in ("long", "short", "liquidations"))
        if longs + shorts or self.rows_in_minute >= 12:
            self.reach.add_minute(np.stack([self.swept_minute[1], self.swept_minute[-1]]), (longs, shorts), told)
        for swept in self.swept_minute.values():
            swept[:] = 0
        self.minute = dict.fromkeys(self.minute, 0)
        interest = (self.uncovered[1] + self.uncovered[-1]) / 2 * self.price
        if self.start // MINUTE % 10 or not interest > 0:
            return
        held = np.zeros((2, LEVERAGES), dtype=np.int64)
        for (side, row, _), amount in self.standing["inferred"].items():
            held[0 if side > 0 else 1, row] += amount
        lesson = self.reach.take_lesson(self.mix, held, interest, (self.room(1), self.room(-1)))
        for key, amount in self.standing["inferred"].items():
            change = int(np.rint(amount * lesson.factors[0 if key[0] > 0 else 1, key[1]])) - amount
            self.add("inferred", key, max(change, 0))
            self.take("inferred", key, max(-change, 0), 1)

    def read(self, event: Event) -> None:
        if isinstance(event, Trade):
            amount = int(np.rint(event.price * event.quantity * 1_000_000))
            is_late = event.event_time < self.start
            self.minute["buy" if event.taker_side > 0 else "sell"] += amount
            if not is_late or event.event_time > self.coins_time:
                if math.isnan(self.reference):
                    self.reference = event.price
                step = self.reference * 0.001
                place = int(min(max((event.price - (self.reference - 128 * step)) / step, 0), 255))
                size = sum(amount >= floor for floor in self.mix.floors.tolist())
                self.profile[size if event.trade_id >= 0 else self.mix.usual, place][event.taker_side < 0] += amount
            if not is_late:
                self.trade = event.price
                if math.isnan(self.mark):
                    self.sweep_both(event.price)
        elif isinstance(event, Liquidation):
            amount = int(np.rint(event.price * event.quantity * 1_000_000))
            self.minute["long" if event.side > 0 else "short"] += amount
            self.minute["liquidations"] += 1
            self.reach.executed_squares += (amount / 1_000_000) ** 2
            self.flows["liquidated", event.side, 5, bucket_of(event.price) // FACTOR][3] += amount
        elif isinstance(event, Mark) and event.event_time >= self.start:
            self.mark = event.mark_price
            self.sweep_both(event.mark_price)
        elif isinstance(event, OpenInterest) and event.event_time >= self.start:
            if event.event_time < self.coins_time:
                self.minute["late"] += 1
            else:
                self.change(event)

    def sweep_both(self, price: float) -> None:
        for side in (1, -1):
            gone = self.sweep("inferred", side, price)
            self.swept[side] += int(gone.sum())
            self.swept_minute[side] += gone
            self.sweep("observed", side, price)

    def change(self, event: OpenInterest) -> None:
        mix = self.mix
        for index, side in enumerate((1, -1)):
            held = math.fsum(account.coins for account in self.accounts.values() if account.side == side)
            now, before = max(event.quantity - held, 0.0), self.uncovered[side]
            self.uncovered[side] = now
            if math.isnan(before) or math.isnan(self.price):
                continue
            swept = self.swept[side] / 1_000_000
            net = (now - before) * self.price + swept
            if net < 0:
                stock = before * self.price - swept
                self.keep(side, max(1 + net / stock, 0.0) if stock > 0 else 0.0)
            part = now / event.quantity if event.quantity > 0 else 0.0
            turnover = sum(sum(pair) for pair in self.profile.values()) / 1_000_000 * SETTINGS.churn_share * part
            usd = min(max(net, 0.0) + turnover, 1e12) if now > 0 else 0.0
            traded = {cell: amounts for cell, amounts in sorted(self.profile.items()) if any(amounts)}
            weight = {cell: 3.0 * pair[index] + 2.0 * pair[1 - index] for cell, pair in traded.items()}
            whole = np.sum(np.array(list(weight.values())))
            step = self.reference * 0.001
            entries = [
                (min(size, len(mix.allowed) - 1), (self.reference - 128 * step) + (place + 0.5) * step, value / whole)
                for (size, place), value in weight.items()
            ] or [(mix.usual, self.price, 1.0)]
            if usd > 0:
                sizes, _, parts = zip(*entries, strict=True)
                self.reach.add_opened(usd, np.array(sizes), np.array(parts))
            for size, entry, share in entries:
                weights = self.reach.class_weights(mix)[index, size]
                columns = zip(mix.rows[size].tolist(), mix.factors[size, index].tolist(), weights, strict=True)
                for row, factor, weight_of in columns:
                    level, amount = entry * factor, int(np.rint(usd * 1_000_000 * share * weight_of))
                    if MINIMUM_PRICE <= level < MAXIMUM_PRICE and amount:
                        self.add("inferred", (side, row, bucket_of(level)), amount)
            if usd > 0:
                self.sweep("inferred", side, self.price)
        self.coins, self.coins_time = event.quantity, event.event_time
        self.swept = {1: 0, -1: 0}
        self.profile.clear()
        self.reference = self.price
        self.calibrate()

    def put(self, event: Position) -> None:
        self.is_observed = True
        old = self.accounts.pop(event.account, None)
        new = None
        if event.quantity > 0:
            new = SlowAccount(event.side, event.quantity, int(leverage_band(event.leverage)))
            level = None if math.isnan(event.liquidation_price) else bucket_of(event.liquidation_price)
            if level is not None and (math.isnan(self.price) or (bucket_of(self.price) - level) * event.side > 0):
                new.bucket = level
                new.amount = int(np.rint(event.quantity * event.liquidation_price * 1_000_000))
            self.accounts[event.account] = new
        before, after = (old.amount if old else 0), (new.amount if new else 0)
        if old and new and old.key == new.key:
            before, after = max(before - after, 0), max(after - before, 0)
        if old and before:
            self.take("observed", old.key, before, 1)
        if new and after:
            self.add("observed", new.key, after)

    def put_tier(self, event: MarginTier) -> None:
        if event.tier == 1:
            self.tier_rows = []
        self.tier_rows.append(
            [
                event.notional_floor,
                event.notional_cap,
                event.maximum_leverage,
                event.maintenance_margin_rate,
                event.maintenance_amount,
            ]
        )
        if event.tier == event.tiers:
            before, self.tiers = self.tiers, MarginTiers.of(self.tier_rows)
            if self.tiers.rows() != before.rows():
                self.reach.change_classes()


def slow_rows(events: list[Event]) -> list[tuple[Any, ...]]:
    """Return the closed bucket rows of a log, sorted: venue, window, side, basis, band, price and values."""
    markets: dict[str, SlowMarket] = {}
    mix = SymbolMix.of_settings(SETTINGS.leverages, SETTINGS.leverage_shares, SETTINGS.reach_share)
    rows: list[tuple[Any, ...]] = []

    def close(market: SlowMarket, revision: int) -> None:
        while market.watermark >= market.start + MINUTE + SETTINGS.lateness_ms:
            first_open = (market.watermark - SETTINGS.lateness_ms) // MINUTE * MINUTE
            silent = (first_open - market.start) // MINUTE
            skipped = silent if silent > 60 and not market.rows_in_minute and not market.ahead else 0
            share = kept_in_a_minute(SETTINGS) ** (skipped or 1)
            for side in (1, -1):
                market.keep(side, share)
            if skipped:
                market.start += skipped * MINUTE
                continue
            market.learn()
            market.calibrate()
            levels: dict[tuple[str, int, int, int], int] = defaultdict(int)
            for basis, standing in market.standing.items():
                for (side, band, bucket), amount in standing.items():
                    levels[basis, side, band_of(basis, band), bucket // FACTOR] += amount
            for key in levels.keys() | market.flows.keys():
                values = (levels[key], *market.flows[key])
                if any(values):
                    basis, side, band, bucket = key
                    if basis == "liquidated":
                        basis = "observed" if market.is_observed else "inferred"
                    name = (*LEVERAGE_BANDS, "unknown")[band]
                    low = float(lower_edge(bucket, FACTOR))
                    rows.append((market.venue, market.start, side, basis, name, low, *values, revision))
            market.flows.clear()
            market.start += MINUTE
            market.rows_in_minute = 0
            waiting, market.ahead = market.ahead, []
            for event in waiting:
                place(market, event)

    def place(market: SlowMarket, event: Event) -> None:
        if event.event_time >= market.start + MINUTE:
            market.ahead.append(event)
        else:
            market.rows_in_minute += 1
            market.read(event)

    for revision, event in enumerate(events, start=1):
        market = markets.setdefault(event.venue, SlowMarket(event.venue, mix))
        if isinstance(event, Position):
            market.put(event)
        elif isinstance(event, MarginTier):
            market.put_tier(event)
        else:
            if market.start < 0:
                market.start = event.event_time // MINUTE * MINUTE
            market.watermark = max(market.watermark, event.event_time)
            close(market, revision)
            place(market, event)
    return sorted(rows)
