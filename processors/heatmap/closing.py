"""How minutes close: columns for the model, what it answers, and the rows that are published of them.

Works on any markets at once, each with its own open minute; the engine decides which close, and when.
"""

from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from liqheat.domain.money import MICRO_USD_PER_USD
from liqheat.domain.price_grid import FloatArray, IntArray
from liqheat.domain.venues import SAMPLED_VENUES, SILENT_VENUES
from liqheat.domain.windows import HOUR_MS, MINUTE_MS
from processors.heatmap.market_levels import levels_of, totals_of
from processors.heatmap.minutes import (
    DEPTH_FIELDS,
    EMPTY_SLOT,
    LIVE_ROWS,
    MAXIMUM_CARRIED_MINUTES,
    NOT_STARTED,
)
from processors.heatmap.observing import keep
from processors.heatmap.rows import Output, row_bits
from processors.heatmap.state import Before, PartitionState
from processors.positions.inferred import MODEL_VERSION
from processors.positions.minute_columns import MinuteColumns
from processors.positions.published import Totals

Array = npt.NDArray[Any]

_CARRIED = ("mark_price", "index_price", "funding_rate", "trade_price")


class Publish(Enum):
    """Of which open minutes levels are published."""

    NEWS = "those whose marks have reached more levels since the last time"
    REACHED = "those whose marks have reached any"
    ALL = "all"


def skip_silence(state: PartitionState, markets: IntArray, until: IntArray) -> npt.NDArray[np.bool_]:
    """Skip to `until` (ms) where nothing happened for too long to emit every minute; return which markets did."""
    starts = state.table["start"][markets]
    is_empty = (state.slots["rows"][2 * markets] == 0) & (state.slots["rows"][2 * markets + 1] == 0)
    skipped = is_empty & ((until - starts) // MINUTE_MS > MAXIMUM_CARRIED_MINUTES)
    state.table["start"][markets[skipped]] = until[skipped]
    return np.asarray(skipped)


def keep_observed(state: PartitionState, markets: IntArray, before: Before) -> None:
    """Note what is observed of `markets`, whose minutes are about to close."""
    for market in state.observed.keys() & set(markets.tolist()) if state.observed else ():
        keep(state, market, before)


def close_minute(state: PartitionState, markets: IntArray, revisions: IntArray, output: Output) -> None:
    """Close the open minute of each of `markets` and open the next."""
    table, slots = state.table, state.slots
    facts = _Facts(state, markets, slots[2 * markets], table[markets])
    minute = facts.minute_columns()
    flows = state.inferred.close(markets, minute)
    cells = state.inferred.published(markets)
    found, totals = levels_of(state, markets, cells), totals_of(cells, len(markets))
    emptied = table["standing"][markets] & ~row_bits(found, len(markets), np.ones(len(found.place), np.bool_))
    holds = (found.amounts["at_risk_usd"] > 0) | (found.amounts["expected_usd"] > 0)
    starts = table["start"][markets]
    note_closed(state, markets, starts + MINUTE_MS, totals)
    columns = facts.published(revisions, totals) | {
        "predicted_long_usd": flows.expected_swept[:, 0],
        "predicted_short_usd": flows.expected_swept[:, 1],
        "liquidations_known": minute.liquidations_known,
    }
    output.add_closed(markets, columns, found, emptied)
    table[markets] = facts.carried()
    table["standing"][markets] = row_bits(found, len(markets), holds)
    table["closed"][markets] = starts
    table["begun"][markets] = np.where(table["begun"][markets] == NOT_STARTED, starts, table["begun"][markets])
    table["start"][markets] = starts + MINUTE_MS
    slots[2 * markets] = slots[2 * markets + 1]
    slots[2 * markets + 1] = EMPTY_SLOT
    if state.executed:
        for market in markets.tolist():
            state.executed.pop(2 * market, None)
            ahead = state.executed.pop(2 * market + 1, None)
            if ahead is not None:
                state.executed[2 * market] = ahead
    for market in state.observed.keys() & set(markets.tolist()) if state.observed else ():
        _open_observed(state, market)


def _open_observed(state: PartitionState, market: int) -> None:
    """Begin a minute of what is observed: marks that came ahead of it count from now on."""
    observed, slot = state.observed[market], state.slots[2 * market]
    for book in observed.books:
        book.clear_flows()
    name = "trade" if np.isnan(state.table["mark_price"][market]) and np.isnan(slot["mark_low"]) else "mark"
    if not np.isnan(slot[f"{name}_low"]):
        observed.sweep_range(float(slot[f"{name}_low"]), float(slot[f"{name}_high"]))


def add_open_minutes(
    state: PartitionState, markets: IntArray, revisions: IntArray, output: Output, which: Publish = Publish.NEWS
) -> None:
    """Add the open minute of each of `markets` as it is now, and the levels of those that `which` says.

    Of a market that has rows of the next minute already, that one too, without levels: what comes at the beginning of
    a minute is seen though late rows of the minute before are waited for.
    """
    facts = _Facts(state, markets, state.slots[2 * markets], state.table[markets])
    reached = _follow_range(state, markets, facts)
    if which is Publish.REACHED:
        reached = (state.shown["left"][markets] != state.shown["base"][markets]).any(axis=(1, 2))
    left = Totals(state.shown["left"][markets, 0], state.shown["left"][markets, 1])
    columns = facts.published(revisions, left)
    changed = np.asarray(reached | (which is Publish.ALL))
    for place, market in enumerate(markets.tolist() if state.observed or state.executed else ()):
        observed = state.observed.get(market)
        if 2 * market in state.executed or (observed is not None and observed.has_flows()):
            changed[place] = True
    quiet, moved = np.flatnonzero(~changed), np.flatnonzero(changed)
    if quiet.size:
        output.add(markets[quiet], {name: values[quiet] for name, values in columns.items()}, None)
    if moved.size:
        own = markets[moved]
        cells = state.inferred.published_open(own, facts.mark_low[moved], facts.mark_high[moved])
        output.add(own, {name: values[moved] for name, values in columns.items()}, levels_of(state, own, cells))
    ahead = np.flatnonzero(state.slots["rows"][2 * markets + 1] > 0)
    if ahead.size:
        own, row = markets[ahead], facts.carried()[ahead]
        row["start"] += MINUTE_MS
        following = _Facts(state, own, state.slots[2 * own + 1], row)
        totals = Totals(left.at_risk[ahead], left.expected[ahead])
        output.add(own, following.published(revisions[ahead], totals), None)


def _follow_range(state: PartitionState, markets: IntArray, facts: "_Facts") -> npt.NDArray[np.bool_]:
    """Bring what is known of the open minutes up to their marks' range; return where it has reached more since.

    Most markets' range is what it was when this was last asked, and the model need not be asked again.
    """
    shown = state.shown
    unknown = markets[shown["window_start"][markets] != state.table["start"][markets]]
    if unknown.size:
        totals = state.inferred.totals(unknown)
        note_closed(state, unknown, state.table["start"][unknown], totals)
    low, high = facts.mark_low, facts.mark_high
    wider = (low < shown["low"][markets]) | (high > shown["high"][markets])
    wider |= np.isnan(shown["low"][markets]) & ~np.isnan(low)
    places = np.flatnonzero(wider)
    reached = np.zeros(len(markets), np.bool_)
    if places.size:
        own = markets[places]
        swept = state.inferred.swept_so_far(own, low[places], high[places])
        # The whole is rounded down bucket by bucket, what was swept all together: where all is, by less than a bucket.
        left = np.maximum(shown["base"][own] - np.stack([swept.at_risk, swept.expected], axis=1), 0)
        reached[places] = (left != shown["left"][own]).any(axis=(1, 2))
        shown["low"][own], shown["high"][own], shown["left"][own] = low[places], high[places], left
    return reached


def note_closed(state: PartitionState, markets: IntArray, starts: IntArray, totals: Totals) -> None:
    """Note what is in `markets` as the minutes that begin at `starts` (ms) open."""
    shown, learned = state.shown, state.inferred.facts(markets)
    shown["window_start"][markets] = starts
    shown["low"][markets] = shown["high"][markets] = np.nan
    shown["base"][markets] = shown["left"][markets] = np.stack([totals.at_risk, totals.expected], axis=1)
    shown["learned"][markets] = np.stack([learned.low, learned.high, learned.kappa], axis=1)


class _Facts:
    """What minutes of n markets hold, with what the minutes before left where nothing new came.

    `slot` has the rows of the minutes, `row` (rows of `PartitionState.table`) what was before them; both shape (n,).
    """

    def __init__(self, state: PartitionState, markets: IntArray, slot: Array, row: Array) -> None:
        self.state = state
        self.markets = markets
        self.slot = slot
        self.row = row
        self.now = {name: np.where(np.isnan(self.slot[name]), self.row[name], self.slot[name]) for name in _CARRIED}
        has_interest = self.slot["open_interest_time"] >= 0
        self.open_interest = np.where(has_interest, self.slot["open_interest"], self.row["open_interest"])
        self.open_interest_time = np.where(
            has_interest, self.slot["open_interest_time"], self.row["open_interest_time"]
        )
        self.next_funding_time = np.where(
            self.slot["next_funding_time"] > 0, self.slot["next_funding_time"], self.row["next_funding_time"]
        )
        never_marked = np.isnan(self.now["mark_price"])
        self.price = np.where(never_marked, self.now["trade_price"], self.now["mark_price"])
        self.mark_low = np.where(never_marked, self.slot["trade_low"], self.slot["mark_low"])
        self.mark_high = np.where(never_marked, self.slot["trade_high"], self.slot["mark_high"])
        self.observed_coins = np.zeros((len(markets), 2))
        if state.observed:
            for place, market in enumerate(markets.tolist()):
                observed = state.observed.get(market)
                if observed is not None:
                    self.observed_coins[place] = observed.coins_of_sides()
        self.uncovered = np.maximum(self.open_interest - self.observed_coins.sum(axis=1) / 2, 0.0)

    def minute_columns(self) -> MinuteColumns:
        """Return the minutes as the model reads them; of turnover, the share that is not of observed accounts."""
        slot, row = self.slot, self.row
        part = np.where(self.open_interest > 0, self.uncovered / self.open_interest, 1.0)
        is_whole = ~(self.observed_coins.any(axis=1)) | np.isnan(part)
        bought, sold = (
            np.where(is_whole, slot[name], np.floor(slot[name] * np.where(is_whole, 1.0, part)).astype(np.int64))
            for name in ("buy_usd", "sell_usd")
        )
        venues = [self.state.venues[market] for market in self.markets.tolist()]
        is_silent = np.array([venue in SILENT_VENUES for venue in venues])
        executed = slot["executed_long"] + slot["executed_short"] > 0
        known = ~is_silent & (executed | (slot["rows"] >= LIVE_ROWS))
        return MinuteColumns(
            window_start=row["start"],
            elapsed_minutes=np.where(row["closed"] < 0, 1, (row["start"] - row["closed"]) // MINUTE_MS),
            mark_low=self.mark_low,
            mark_high=self.mark_high,
            mark_close=self.price,
            buy_usd=bought,
            sell_usd=sold,
            buy_price=_mean_price(slot["buy_usd"], slot["buy_coins"]),
            sell_price=_mean_price(slot["sell_usd"], slot["sell_coins"]),
            trade_low=slot["trade_low"],
            trade_high=slot["trade_high"],
            open_interest=self.uncovered,
            open_interest_before=row["uncovered_before"],
            executed_long=slot["executed_long"],
            executed_short=slot["executed_short"],
            executed_count=slot["executed_count"],
            liquidations_known=known,
            is_sampled=np.array([venue in SAMPLED_VENUES for venue in venues]),
        )

    def published(self, revisions: IntArray, totals: Totals) -> dict[str, Array]:
        """Return the columns of `MarketMinute`, and `DEPTH_FIELDS` for signals.

        `totals` are those of what is inferred at the end of the minute.
        """
        state, slot, row, size = self.state, self.slot, self.row, len(self.markets)
        observed = np.zeros((size, 2), np.int64)
        if state.observed:
            for place, market in enumerate(self.markets.tolist()):
                if market in state.observed:
                    observed[place] = [book.total() for book in state.observed[market].books]
        learned = state.shown["learned"][self.markets]
        held = self.observed_coins.sum(axis=1) / 2
        begun = np.where(row["begun"] < 0, row["start"], row["begun"])
        coverage = np.where(
            self.open_interest > 0, held / np.where(self.open_interest > 0, self.open_interest, 1.0), 0.0
        )
        # A quotient by next to nothing is not a number that any reader takes.
        coverage = np.where(np.isfinite(coverage), coverage, np.nan)
        return {
            "window_start": row["start"],
            "mark_open": slot["mark_open"],
            "mark_high": slot["mark_high"],
            "mark_low": slot["mark_low"],
            "mark_close": self.now["mark_price"],
            "index_price": self.now["index_price"],
            "funding_rate": self.now["funding_rate"],
            "next_funding_time": self.next_funding_time,
            "open_interest": self.open_interest,
            "open_interest_usd": self.open_interest * self.price,
            "turnover_24h_usd": row["turnover"],
            "taker_buy_usd": slot["buy_usd"],
            "taker_sell_usd": slot["sell_usd"],
            "liquidated_long_usd": slot["executed_long"],
            "liquidated_short_usd": slot["executed_short"],
            "at_risk_long_usd": totals.at_risk[:, 0] + observed[:, 0],
            "at_risk_short_usd": totals.at_risk[:, 1] + observed[:, 1],
            "coverage": coverage,
            "late_rows": slot["late_rows"],
            "revision": revisions,
            "expected_long_usd": totals.expected[:, 0] + observed[:, 0],
            "expected_short_usd": totals.expected[:, 1] + observed[:, 1],
            "interval_low_long": learned[:, 0],
            "interval_high_long": learned[:, 1],
            "interval_low_short": learned[:, 0],
            "interval_high_short": learned[:, 1],
            "at_risk_scale_long": np.full(size, np.nan),
            "at_risk_scale_short": np.full(size, np.nan),
            "expected_scale_long": learned[:, 2],
            "expected_scale_short": learned[:, 2],
            "warming_up": row["start"] - begun < state.settings.warm_up_hours * HOUR_MS,
            "model_version": np.full(size, MODEL_VERSION),
            **{name: row[name] for name in DEPTH_FIELDS},
        }

    def carried(self) -> Array:
        """Return the rows of the markets with what is known at the end of these minutes, for the next ones."""
        row = self.row.copy()
        for name, values in self.now.items():
            row[name] = values
        row["next_funding_time"] = self.next_funding_time
        row["open_interest"] = self.open_interest
        row["open_interest_time"] = self.open_interest_time
        row["uncovered_before"] = self.uncovered
        return row


def _mean_price(micro_usd: IntArray, coins: FloatArray) -> FloatArray:
    return np.where(coins > 0, micro_usd / MICRO_USD_PER_USD / np.where(coins > 0, coins, 1.0), np.nan)
