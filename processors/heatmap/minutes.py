"""Event time cut into minutes for all markets of a partition: when each closes, and what happened in it.

A minute closes when the market's watermark (its highest event time) passes the minute's end by the market's lateness,
which differs by symbol, so that not all markets close at once. Two slots per market hold the open minute and the next
one, for rows up to the lateness ahead come before the open one has closed. Which row closes what follows from running
maxima alone, so it is computed for all markets at once.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from liqheat.domain.order_book import DEPTH_DISTANCES
from liqheat.domain.price_grid import IntArray
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.partitions import partition_of

Array = npt.NDArray[Any]
NAN = float("nan")

NOT_STARTED = -1
CLOSING_STEPS = 8
"""In how many steps the markets of a minute close; as many as the topic has partitions by default, so that the markets
of a partition close together and others at other times."""
MAXIMUM_CARRIED_MINUTES = 60
"""Minutes without events that are still emitted; a longer silence is skipped."""
LIVE_ROWS = 12
"""A minute with fewer rows is history by bars, whose liquidations no venue gives: that there were none says nothing."""
UNTIMED = np.iinfo(np.int64).min
"""The time of a row that moves no watermark."""

SLOT = np.dtype(
    [
        ("rows", "i8"),
        ("late_rows", "i8"),
        ("mark_open", "f8"),
        ("mark_low", "f8"),
        ("mark_high", "f8"),
        ("mark_price", "f8"),
        ("index_price", "f8"),
        ("funding_rate", "f8"),
        ("next_funding_time", "i8"),
        ("trade_low", "f8"),
        ("trade_high", "f8"),
        ("trade_price", "f8"),
        ("buy_usd", "i8"),
        ("sell_usd", "i8"),
        ("buy_coins", "f8"),
        ("sell_coins", "f8"),
        ("open_interest", "f8"),
        ("open_interest_time", "i8"),
        ("executed_long", "i8"),
        ("executed_short", "i8"),
        ("executed_count", "i8"),
    ]
)
"""What happened in one minute of one market: USD per coin, micro-USD, coins, ms; NaN (times 0 or -1) for nothing."""

MARKET = np.dtype(
    [
        ("start", "i8"),
        ("watermark", "i8"),
        ("closed", "i8"),
        ("mark_price", "f8"),
        ("index_price", "f8"),
        ("funding_rate", "f8"),
        ("next_funding_time", "i8"),
        ("trade_price", "f8"),
        ("open_interest", "f8"),
        ("open_interest_time", "i8"),
        ("uncovered_before", "f8"),
        ("turnover", "f8"),
        ("begun", "i8"),
        ("standing", "i8"),
        ("depth_time", "i8"),
        ("bid_reach", "f8"),
        ("ask_reach", "f8"),
        ("bid_depth_usd", "f8", (len(DEPTH_DISTANCES),)),
        ("ask_depth_usd", "f8", (len(DEPTH_DISTANCES),)),
        ("accepted", "f8", (3,)),
        ("held", "f8", (3,)),
    ]
)
"""One market: start of the open minute, watermark, start of the last and of the first closed minute (ms, -1 before),
and what the minutes before the open one left behind. `uncovered_before` is the open interest (coins) given to the
model last, `standing` the rows of levels that held something at the last closing (`rows.row_bits`),
`accepted` and `held` what plausibility knows of marks, trades and open interest.

The fields from `depth_time` to `ask_depth_usd` are the latest reading of the order book: its time (ms, 0 before the
first), how far it reaches (%), and USD within each of `DEPTH_DISTANCES` of mid.
"""

DEPTH_FIELDS = ("depth_time", "bid_reach", "ask_reach", "bid_depth_usd", "ask_depth_usd")
"""Fields of `MARKET` that hold the order book."""


def _blank(dtype: "np.dtype[Any]") -> Array:
    blank = np.zeros(1, dtype)
    for name in dtype.names or ():
        if dtype[name].base.kind == "f":
            blank[name] = NAN
    return blank


EMPTY_SLOT = _blank(SLOT)
EMPTY_SLOT["buy_coins"] = EMPTY_SLOT["sell_coins"] = 0.0
EMPTY_SLOT["open_interest_time"] = -1
EMPTY_MARKET = _blank(MARKET)
for _name in ("start", "watermark", "closed", "begun", "open_interest_time"):
    EMPTY_MARKET[_name] = NOT_STARTED


def lateness_of(symbol: str, lateness_ms: int, spread_ms: int) -> int:
    """Return how long (ms) minutes of a symbol wait after their end: `lateness_ms`, and its step of `spread_ms`."""
    return lateness_ms + partition_of(symbol, CLOSING_STEPS) * spread_ms // CLOSING_STEPS


def running_maximum(groups: IntArray, values: IntArray, initial: IntArray) -> IntArray:
    """Return the running maximum of `values` within each run of equal `groups`, each beginning from `initial`.

    Args:
        groups: ascending run numbers from 0, shape (n,).
        values: shape (n,), at least -2^41 and below 2^42; `UNTIMED` never counts.
        initial: of each row's run (the same within a run), shape (n,).
    """
    lifted = np.maximum(values, initial)
    lifted += groups << 43
    lifted = np.maximum.accumulate(lifted)
    lifted -= groups << 43
    return np.asarray(lifted)


@dataclass(frozen=True, slots=True, eq=False)
class Closing:
    """What one row closes: its market's minutes up to `until`, the minute that is open then; `rank` is of the row."""

    market: IntArray
    until: IntArray
    rank: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Rows of a span cut into rounds, in market order (rows of one market side by side, in log order).

    `order` are the places of the rows in the span; `open_start` the start (ms) of the minute that is open when a row is
    applied; `piece` the round after whose closings it is applied; `watermark` (ms) that of its market after it.
    `closings[k]` are those of round k + 1: each of
    another market. `markets` are the markets, ascending,
    `begun` the start of the minute open at first (`NOT_STARTED` before a timed row), `last` the place of the last row.
    """

    order: IntArray
    market: IntArray
    open_start: IntArray
    piece: IntArray
    markets: IntArray
    begun: IntArray
    last: IntArray
    watermark: IntArray
    closings: list[Closing]


def plan_of(
    market: IntArray,
    symbol: IntArray,
    rank: IntArray,
    times: IntArray,
    table: Array,
    lateness: IntArray,
    learning_ms: int,
) -> Plan:
    """Cut the rows of a span into rounds.

    Markets of one symbol learn from each other where a stretch of learning ends: then they close one after the other,
    as in the log. At other times each market's next closing is in the same round as the others'.

    Args:
        market: market number of each row in log order, shape (n,).
        symbol: symbol number of each row.
        rank: place of each row among its symbol's rows of the span, from 0.
        times: event time (ms), `UNTIMED` for rows that move no watermark.
        table: rows of dtype `MARKET`; only read.
        lateness: how long a minute waits after its end (ms), by market number.
        learning_ms: learning ends at multiples of this.
    """
    order = np.argsort(market, kind="stable")
    of_row = market[order]
    is_first = np.empty(len(of_row), np.bool_)
    is_first[0] = True
    np.not_equal(of_row[1:], of_row[:-1], out=is_first[1:])
    first = np.flatnonzero(is_first)
    markets = of_row[first]
    group = np.cumsum(is_first) - 1
    sorted_times = times[order]
    begun = _begun(table["start"][markets], group, sorted_times)
    watermark = running_maximum(group, sorted_times, table["watermark"][markets][group])
    open_start = np.maximum(begun, (watermark - lateness[of_row]) // MINUTE_MS * MINUTE_MS)
    before = np.empty_like(open_start)
    before[1:] = open_start[:-1]
    before[first] = begun[first]
    piece = np.zeros(len(of_row), np.int64)
    closings: list[Closing] = []
    crossing = np.flatnonzero(open_start > before)
    if crossing.size:
        since = before.copy()
        closed = table["closed"][markets]
        since[first] = np.where(closed == NOT_STARTED, since[first], np.minimum(closed + MINUTE_MS, since[first]))
        learns = (open_start[crossing] // learning_ms > since[crossing] // learning_ms).any()
        piece, closings = _rounds(order, of_row, symbol[order] if learns else of_row, rank, open_start, crossing)
    last = np.append(first[1:], len(of_row)) - 1
    return Plan(order, of_row, open_start, piece, markets, begun[first], last, watermark, closings)


def _begun(starts: IntArray, group: IntArray, times: IntArray) -> IntArray:
    """Return the start of the minute open before the span, of each row's market; a new one's first timed row's."""
    fresh = starts == NOT_STARTED
    if fresh.any():
        starts = starts.copy()
        timed = np.flatnonzero(times != UNTIMED)
        groups, places = np.unique(group[timed], return_index=True)
        opening = times[timed[places]] // MINUTE_MS * MINUTE_MS
        known = np.full(len(starts), NOT_STARTED)
        known[groups] = opening
        starts[fresh] = known[fresh]
    return np.asarray(starts[group])


def _rounds(
    order: IntArray, of_row: IntArray, group: IntArray, rank: IntArray, open_start: IntArray, crossing: IntArray
) -> tuple[IntArray, list[Closing]]:
    """Return the round of each row (in market order), and the closings of each round: one at most of each group."""
    ranks = rank[order]
    # In the order of the log every crossing begins the next round of its group.
    key = (group << 32) + ranks
    by_group = np.argsort(key, kind="stable")
    steps = np.zeros(len(order), np.int64)
    steps[crossing] = 1
    counted = np.cumsum(steps[by_group])
    heads = np.flatnonzero(np.diff(group[by_group], prepend=-1))
    base = np.where(heads > 0, counted[np.maximum(heads - 1, 0)], 0)
    sizes = np.diff(heads, append=len(order))
    piece = np.empty(len(order), np.int64)
    piece[by_group] = counted - np.repeat(base, sizes)
    numbers = piece[crossing]
    closings = []
    for number in range(1, int(numbers.max()) + 1):
        rows = crossing[numbers == number]
        closings.append(Closing(of_row[rows], open_start[rows], ranks[rows]))
    return piece, closings
