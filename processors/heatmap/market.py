"""One venue's market of a symbol: its state, and how each kind of row changes it.

The engine hands it batches in log order. It holds the open minute, what was traded since the last open
interest, the inferred books and the observed positions, and closes minutes as its watermark passes.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from liqheat.domain.events import Kind, LeverageShare, MarketMinute, schema_of
from liqheat.domain.margin_tiers import BrokenMarginTiers, MarginTiers
from liqheat.domain.market import Basis, Side
from liqheat.domain.money import MAXIMUM_NOTIONAL_USD, MICRO_USD_PER_USD
from liqheat.domain.price_grid import bucket_of
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.errors import PoisonMessage
from liqheat.platform.settings import Engine as EngineSettings
from processors.heatmap.minutes import NAN, Columns, Minute, Window, select
from processors.heatmap.rows import Output
from processors.positions.book import SideBook
from processors.positions.confidence import confidence_of
from processors.positions.inference import change_of, entries_of, levels_of
from processors.positions.learned_mix import LESSON_MINUTES, SymbolMix
from processors.positions.leverage_mix import TAKER_FEE_RATES, LeverageMix, default_tiers, mix_within
from processors.positions.observed import ObservedPositions
from processors.positions.reach import Reach
from processors.positions.traded_profile import TradedProfile

TIMED_KINDS: dict[Kind, tuple[str, ...]] = {
    Kind.TRADES: ("event_time", "price", "quantity", "taker_side", "trade_id"),
    Kind.MARKS: ("event_time", "mark_price", "index_price", "funding_rate", "next_funding_time"),
    Kind.OPEN_INTEREST: ("event_time", "quantity"),
    Kind.LIQUIDATIONS: ("event_time", "side", "price", "quantity"),
}
"""Kinds that move the watermark, and the columns that the engine reads of them.

The other kinds are absolute facts, often read when a service starts and older or newer than its history:
they hold from where they stand in the log, whatever their time.
"""

_PLACES: dict[Kind, tuple[tuple[str, int], ...]] = {
    kind: tuple((name, list(schema_of(kind).polars).index(name)) for name in names)
    for kind, names in TIMED_KINDS.items()
}

SIDES = (Side.LONG, Side.SHORT)
FloatArray = npt.NDArray[np.float64]


class Market:
    """State of one venue's market; every attribute is plain data, so that `state_codec` can write it.

    Pairs are longs first. Open interest is in coins, prices in USD, notionals in micro-USD.
    """

    def __init__(self, venue: str, settings: EngineSettings, symbol_mix: SymbolMix) -> None:
        self.venue = venue
        self.settings = settings
        self.instrument = ""
        self.tiers: MarginTiers | None = None
        self.tier_rows: list[list[float]] = []
        self.window = Window()
        self.minute = Minute()
        self.mark_price = NAN
        self.index_price = NAN
        self.funding_rate = NAN
        self.next_funding_time = 0
        self.last_trade_price = NAN
        self.turnover = NAN
        self.open_interest = NAN
        self.open_interest_time = -1
        self.uncovered = [NAN, NAN]
        self.swept_since = [0, 0]
        self.scale = [1.0, 1.0]
        self.reach = Reach(venue, settings, symbol_mix)
        self.swept_minute = np.zeros_like(self.reach.swept)
        self.profile = TradedProfile()
        bands = self.reach.bands
        self.books = (
            SideBook(Side.LONG, settings.grid_factor, bands),
            SideBook(Side.SHORT, settings.grid_factor, bands),
        )
        self.observed = ObservedPositions(settings.grid_factor)
        self._mix: LeverageMix | None = None

    @property
    def price(self) -> float:
        """The mark price, or where the venue has shown none yet the last trade's; NaN before both."""
        return self.last_trade_price if math.isnan(self.mark_price) else self.mark_price

    @property
    def mix(self) -> LeverageMix:
        """What this market's tiers allow positions of each size."""
        if self._mix is None:
            self._mix = mix_within(
                self.tiers or default_tiers(self.venue, self.instrument),
                self.settings.leverages,
                self.settings.typical_notional_usd,
                TAKER_FEE_RATES.get(self.venue, 0.0),
            )
        return self._mix

    def _forget_mix(self) -> None:
        self._mix = None
        self.reach.change_classes()

    def take_instrument(self, instrument: str) -> None:
        """Note the venue's name of the instrument; it chooses the tiers assumed before the venue's own arrive."""
        if instrument != self.instrument:
            self.instrument = instrument
            self._forget_mix()

    def apply_timed(self, kind: Kind, frame: pl.DataFrame, rows_before: int, output: Output) -> None:
        """Apply rows of a timed kind, closing every minute that the watermark passes on the way.

        The batch is cut where minutes close, so that the result does not depend on how the log was cut.

        Raises:
            PoisonMessage: a notional is beyond all reason; nothing was applied.
        """
        series = frame.get_columns()
        columns: Columns = {name: series[place].to_numpy() for name, place in _PLACES[kind]}
        if kind in (Kind.TRADES, Kind.LIQUIDATIONS):
            columns["micro_usd"] = _micro_usd(columns["price"], columns["quantity"])
        times = columns["event_time"]
        self.window.begin(int(times[0]))
        lateness = self.settings.lateness_ms
        highest = max(int(times.max()), self.window.watermark)
        if highest < self.window.end + lateness:
            self._apply_rows(kind, columns)
            self.window.watermark = highest
            return
        watermarks = np.maximum.accumulate(np.maximum(times, self.window.watermark))
        start = 0
        while (cut := int(np.searchsorted(watermarks, self.window.end + lateness))) < len(times):
            if cut > start:
                self._apply_rows(kind, select(columns, slice(start, cut)))
            self.window.watermark = int(watermarks[cut])
            self._close_minutes(rows_before + cut + 1, output)
            start = cut
        self._apply_rows(kind, select(columns, slice(start, None)))
        self.window.watermark = highest

    def apply_positions(self, frame: pl.DataFrame) -> None:
        """Take observed positions, row by row."""
        names = ("account", "side", "quantity", "liquidation_price", "leverage")
        for account, side, quantity, liquidation_price, leverage in frame.select(names).iter_rows():
            self.observed.put(account, side, quantity, liquidation_price, leverage, self.price)

    def apply_margin_tiers(self, frame: pl.DataFrame) -> None:
        """Take a tier table, which may arrive in several batches; it holds once complete.

        Raises:
            PoisonMessage: the table contradicts itself; the one before stays.
        """
        rows, tiers = list(self.tier_rows), self.tiers
        for tier, count, *row in frame.drop("event_time").iter_rows():
            if tier == 1:
                rows = []
            rows.append(row)
            if tier == count:
                try:
                    tiers = MarginTiers.of(rows)
                except BrokenMarginTiers as error:
                    self.tier_rows = []
                    raise PoisonMessage(
                        f"The margin tiers of {self.instrument} contradict themselves: {error}"
                    ) from error
                rows = []
        before = self.tiers or default_tiers(self.venue, self.instrument)
        self.tier_rows, self.tiers = rows, tiers
        if tiers is not None and tiers.rows() != before.rows():
            self._forget_mix()

    def apply_turnover(self, frame: pl.DataFrame) -> None:
        """Take the 24 h turnover."""
        self.turnover = float(frame["quote_volume"][-1])

    def add_open_minute(self, revision: int, output: Output) -> None:
        """Add the rows of the open minute as it stands, provisional; changes nothing."""
        if self.window.start < 0:
            return
        start = self.window.start
        observed, variances, size = self.observed, self.reach.band_variances, self.reach.usual_size(self.mix)

        def confidence(levels: npt.NDArray[np.int64], bands: npt.NDArray[np.int64]) -> FloatArray:
            return confidence_of(levels, variances[bands], size)

        for book in self.books:
            output.add_levels(start, revision, Basis.INFERRED, book, confidence)
        for book in observed.books:
            output.add_levels(start, revision, Basis.OBSERVED, book)
        basis = Basis.OBSERVED if observed.seen else Basis.INFERRED
        output.add_liquidated(start, revision, basis, self.settings.grid_factor, self.minute.liquidated)
        output.minutes.append(self._minute_row(revision))

    def _close_minutes(self, revision: int, output: Output) -> None:
        lateness = self.settings.lateness_ms
        while self.window.watermark >= self.window.end + lateness:
            skipped = self.window.minutes_to_skip(lateness) if not self.minute.rows else 0
            if skipped:
                self.window.start += skipped * MINUTE_MS
                self._decay(skipped)
                continue
            self._decay(1)
            self._learn(revision, output)
            self._calibrate()
            self.add_open_minute(revision, output)
            self._begin_minute()
            ahead, self.window.ahead = self.window.ahead, []
            for kind, columns in ahead:
                self._apply_rows(kind, columns)

    def _begin_minute(self) -> None:
        self.window.start += MINUTE_MS
        self.minute = Minute()
        for book in (*self.books, *self.observed.books):
            book.clear_flows()

    def _decay(self, minutes: int) -> None:
        share = self.reach.kept**minutes
        for book in self.books:
            book.keep(share)

    def _learn(self, revision: int, output: Output) -> None:
        """Add what was swept and executed to the lesson; when it is time, bring the books to it and publish the mix."""
        liquidated = self.minute.liquidated
        if liquidated or self.minute.rows >= LIVE_ROWS:
            longs, shorts = (
                sum(amount for (of_side, _), amount in liquidated.items() if of_side == side) for side in SIDES
            )
            self.reach.add_minute(self.swept_minute, (longs, shorts), self.minute.liquidations)
        self.swept_minute[:] = 0
        interest = sum(self.uncovered) / 2 * self.price
        if self.window.start // MINUTE_MS % LESSON_MINUTES or not interest > 0:
            return
        held = np.stack([book.standing.sum(axis=1) for book in self.books])
        lesson = self.reach.take_lesson(self.mix, held, interest, self._room())
        for book, factors in zip(self.books, lesson.factors, strict=True):
            book.rescale(factors)
        output.shares.extend(
            LeverageShare(self.window.start, leverage, float(share), float(uncertainty), revision)
            for leverage, share, uncertainty in zip(
                self.settings.leverages, lesson.shares, lesson.uncertainty, strict=True
            )
        )

    def _apply_rows(self, kind: Kind, columns: Columns) -> None:
        """Apply rows between two closings: those ahead of the open minute wait, late ones are counted."""
        times = columns["event_time"]
        if int(times.max()) >= self.window.end:
            ahead = times >= self.window.end
            self.window.ahead.append((kind, select(columns, ahead)))
            if ahead.all():
                return
            columns = select(columns, ~ahead)
            times = columns["event_time"]
        self.minute.rows += len(times)
        late: npt.NDArray[np.bool_] | None = None
        if int(times.min()) < self.window.start:
            late = times < self.window.start
            self.minute.late_rows += int(late.sum())
        if kind is Kind.TRADES:
            self._apply_trades(columns, late)
        elif kind is Kind.LIQUIDATIONS:
            self._apply_liquidations(columns)
        else:
            if late is not None:
                if late.all():
                    return
                columns = select(columns, ~late)
            if kind is Kind.MARKS:
                self._apply_marks(columns)
            else:
                for time, quantity in zip(times if late is None else times[~late], columns["quantity"], strict=True):
                    self._apply_open_interest(int(time), float(quantity))

    def _apply_trades(self, columns: Columns, late: npt.NDArray[np.bool_] | None) -> None:
        prices, amounts, sold = columns["price"], columns["micro_usd"], columns["taker_side"] < 0
        taker_sell = int(amounts @ sold)
        self.minute.taker_sell += taker_sell
        self.minute.taker_buy += int(amounts.sum()) - taker_sell
        if late is None:
            self.profile.add(prices, sold, amounts, *self.mix.large(amounts, columns["trade_id"]))
        else:
            useful = ~late | (columns["event_time"] > self.open_interest_time)
            if useful.any():
                large = self.mix.large(amounts[useful], columns["trade_id"][useful])
                self.profile.add(prices[useful], sold[useful], amounts[useful], *large)
            prices = prices[~late]
            if not prices.size:
                return
        self.last_trade_price = float(prices[-1])
        if math.isnan(self.mark_price):
            self._sweep(float(prices.min()), float(prices.max()))

    def _apply_marks(self, columns: Columns) -> None:
        marks = columns["mark_price"]
        low, high = float(marks.min()), float(marks.max())
        minute = self.minute
        if math.isnan(minute.mark_open):
            minute.mark_open, minute.mark_low, minute.mark_high = float(marks[0]), low, high
        else:
            minute.mark_low, minute.mark_high = min(minute.mark_low, low), max(minute.mark_high, high)
        self.mark_price = float(marks[-1])
        self.index_price = _last(columns["index_price"], self.index_price)
        self.funding_rate = _last(columns["funding_rate"], self.funding_rate)
        times = columns["next_funding_time"]
        known = times[times > 0]
        if known.size:
            self.next_funding_time = int(known[-1])
        self._sweep(low, high)

    def _apply_liquidations(self, columns: Columns) -> None:
        buckets = bucket_of(columns["price"], self.settings.grid_factor)
        liquidated = self.minute.liquidated
        self.minute.liquidations += len(buckets)
        for side, bucket, amount in zip(columns["side"], buckets, columns["micro_usd"], strict=True):
            if amount:
                key = (int(side), int(bucket))
                liquidated[key] = liquidated.get(key, 0) + int(amount)
                self.reach.executed_squares += (float(amount) / MICRO_USD_PER_USD) ** 2

    def _apply_open_interest(self, time: int, coins: float) -> None:
        if time < self.open_interest_time:
            self.minute.late_rows += 1
            return
        price = self.price
        for index, side in enumerate(SIDES):
            uncovered = max(coins - self.observed.coins(side), 0.0)
            previous = self.uncovered[index]
            if not (math.isnan(price) or math.isnan(previous)):
                self._change_side(index, side, previous, uncovered, coins, price)
            self.uncovered[index] = uncovered
        self.open_interest, self.open_interest_time = coins, time
        self.swept_since = [0, 0]
        self.profile.clear(price)
        self._calibrate()

    def _change_side(self, index: int, side: Side, previous: float, coins: float, whole: float, price: float) -> None:
        """Open and close one side: inferred open interest went from `previous` to `coins`, of `whole` coins in all."""
        book = self.books[index]
        change = change_of(previous, coins, price, self.swept_since[index] / MICRO_USD_PER_USD)
        if change.kept_share < 1:
            book.keep(change.kept_share)
        # Who is observed trades too: of the turnover, what is not observed opened its part.
        part = coins / whole if whole > 0 else 0.0
        turnover = int(self.profile.amounts.sum()) / MICRO_USD_PER_USD * self.settings.churn_share * part
        usd = min(change.opened_usd + turnover, MAXIMUM_NOTIONAL_USD)
        if usd > 0 and coins > 0:
            entries = entries_of(self.profile, side, price, self.mix)
            self.reach.add_opened(usd, entries.classes, entries.weights)
            levels = levels_of(side, usd, entries, self.mix, self.reach.class_weights(self.mix)[index])
            book.open(levels.rows, levels.buckets, levels.amounts)
            # An entry so near that the price has passed its liquidation price since: opened, and swept already.
            book.sweep(int(bucket_of(price)))

    def _sweep(self, low: float, high: float) -> None:
        """Let the mark's range, both ends included, take out what it liquidates."""
        for index, (side, price) in enumerate(zip(SIDES, (low, high), strict=True)):
            book, observed = self.books[index], self.observed.books[index]
            if book.is_reached(price) or observed.is_reached(price):
                bucket = int(bucket_of(price))
                swept = book.sweep(bucket)
                self.swept_since[index] += int(swept.sum())
                self.swept_minute[index] += swept
                self.observed.sweep(side, bucket)

    def _calibrate(self) -> None:
        """Hold each side to open interest: what is inferred gives way to what is observed."""
        if math.isnan(self.open_interest * self.price):
            return
        for index, (book, room) in enumerate(zip(self.books, self._room(), strict=True)):
            self.scale[index] = book.hold_to(room)
            self.reach.give_way(index, self.scale[index])

    def _room(self) -> tuple[int, int]:
        """Return what of each side of open interest is not observed at risk already, micro-USD."""
        limit = int(min(self.open_interest * self.price, MAXIMUM_NOTIONAL_USD) * MICRO_USD_PER_USD)
        longs, shorts = (max(limit - book.total(), 0) for book in self.observed.books)
        return longs, shorts

    def _minute_row(self, revision: int) -> MarketMinute:
        minute = self.minute
        price = self.price
        totals = [book.total() + seen.total() for book, seen in zip(self.books, self.observed.books, strict=True)]
        by_side = [sum(amount for (side, _), amount in minute.liquidated.items() if side == wanted) for wanted in SIDES]
        notional = self.open_interest * price * MICRO_USD_PER_USD
        reach = [min(book.total() / notional, 1.0) if notional > 0 else 0.0 for book in self.books]
        held = (self.observed.coins(Side.LONG) + self.observed.coins(Side.SHORT)) / 2
        return MarketMinute(
            window_start=self.window.start,
            mark_open=minute.mark_open,
            mark_high=minute.mark_high,
            mark_low=minute.mark_low,
            mark_close=self.mark_price,
            index_price=self.index_price,
            funding_rate=self.funding_rate,
            next_funding_time=self.next_funding_time,
            open_interest=self.open_interest,
            open_interest_usd=self.open_interest * price,
            turnover_24h_usd=self.turnover,
            taker_buy_usd=minute.taker_buy,
            taker_sell_usd=minute.taker_sell,
            liquidated_long_usd=by_side[0],
            liquidated_short_usd=by_side[1],
            at_risk_long_usd=totals[0],
            at_risk_short_usd=totals[1],
            scale_long=self.scale[0],
            scale_short=self.scale[1],
            reach_share_long=reach[0],
            reach_share_short=reach[1],
            coverage=held / self.open_interest if self.open_interest > 0 else 0.0,
            late_rows=minute.late_rows,
            revision=revision,
        )


LIVE_ROWS = 12
"""A minute with fewer rows is history by bars, whose liquidations nobody tells: that there were none says nothing."""


def _last(values: npt.NDArray[Any], otherwise: float) -> float:
    """Return the last value that is not NaN."""
    known = values[~np.isnan(values)]
    return float(known[-1]) if known.size else otherwise


def _micro_usd(prices: npt.NDArray[Any], quantities: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    notionals = np.multiply(prices, quantities)
    if not notionals.max() <= MAXIMUM_NOTIONAL_USD:
        raise PoisonMessage(f"Expected notionals of at most {MAXIMUM_NOTIONAL_USD:.0e} USD, was {notionals.max():g}")
    notionals *= MICRO_USD_PER_USD
    amounts: npt.NDArray[np.int64] = np.rint(notionals, out=notionals).astype(np.int64)
    return amounts
