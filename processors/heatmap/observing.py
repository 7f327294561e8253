"""Observed positions in the order of the log: what accounts hold, and what the mark takes of it.

Positions are facts per account and come for few markets, so they are handled one by one; a market without new
positions only has its levels compared with the range of the mark.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from liqheat.domain.events import Kind
from liqheat.domain.price_grid import IntArray
from liqheat.domain.windows import MINUTE_MS
from processors.heatmap.state import Before, PartitionState
from processors.positions.observed import ObservedPositions

_CODES = {kind: code for code, kind in enumerate(Kind)}
_POSITION, _MARK, _TRADE = (_CODES[kind] for kind in (Kind.POSITIONS, Kind.MARKS, Kind.TRADES))
_FIELDS = ("account", "side", "quantity", "liquidation_price", "leverage")


def keep(state: PartitionState, market: int, before: Before) -> None:
    """Note what is observed of `market`, for it is about to change."""
    if market not in before.observed:
        known = state.observed.get(market)
        before.observed[market] = None if known is None else known.copy()


def observe(
    state: PartitionState,
    columns: dict[Kind, dict[str, Any]],
    market: IntArray,
    kinds: IntArray,
    sources: IntArray,
    open_start: IntArray,
    before: Before,
) -> None:
    """Apply positions, marks and trades of one round to what is observed.

    Args:
        state: its minutes are those before the round.
        columns: of each kind in the span.
        market: of each row, shape (n,); equal ones side by side, in log order.
        kinds: its kind's code.
        sources: its place in the columns of its kind.
        open_start: start (ms) of the minute open when it is applied.
        before: takes what changes.
    """
    has_positions = Kind.POSITIONS in columns
    if not has_positions and not state.observed:
        return
    involved = set(state.observed)
    if has_positions:
        involved.update(market[kinds == _POSITION].tolist())
    present = market[np.flatnonzero(np.diff(market, prepend=-1))].tolist()
    for each in present:
        if each in involved:
            first, last = np.searchsorted(market, (each, each + 1)).tolist()
            own = slice(first, last)
            _observe_market(state, columns, each, kinds[own], sources[own], int(open_start[first]), before)


def _observe_market(
    state: PartitionState,
    columns: dict[Kind, dict[str, Any]],
    market: int,
    kinds: IntArray,
    sources: IntArray,
    open_start: int,
    before: Before,
) -> None:
    slot, carried = state.slots[2 * market], state.table[market]
    mark = float(slot["mark_price"]) if not np.isnan(slot["mark_price"]) else float(carried["mark_price"])
    trade = float(slot["trade_price"]) if not np.isnan(slot["trade_price"]) else float(carried["trade_price"])
    prices = {
        code: _in_time(columns[kind], sources[kinds == code], name, open_start)
        for kind, code, name in ((Kind.MARKS, _MARK, "mark_price"), (Kind.TRADES, _TRADE, "price"))
        if kind in columns
    }
    observed = state.observed.get(market)
    if observed is not None and not (kinds == _POSITION).any() and not np.isnan(mark):
        marks = prices.get(_MARK)
        known = marks[~np.isnan(marks)] if marks is not None else np.zeros(0)
        if known.size:
            _sweep(state, market, observed, float(known.min()), float(known.max()), before)
        return
    taken = dict.fromkeys(prices, 0)
    positions = columns.get(Kind.POSITIONS)
    for kind, source in zip(kinds.tolist(), sources.tolist(), strict=True):
        if kind == _POSITION and positions is not None:
            keep(state, market, before)
            observed = state.observed.setdefault(market, ObservedPositions(state.settings.grid_factor))
            account, side, quantity, liquidation_price, leverage = (_value(positions[name], source) for name in _FIELDS)
            price = trade if np.isnan(mark) else mark
            observed.put(account, side, quantity, liquidation_price, leverage, price)
        elif kind in prices:
            price = float(prices[kind][taken[kind]])
            taken[kind] += 1
            if np.isnan(price):
                continue
            if kind == _MARK:
                mark = price
            else:
                trade = price
                if not np.isnan(mark):
                    continue
            if observed is not None:
                _sweep(state, market, observed, price, price, before)


def _value(values: Any, row: int) -> Any:
    value = values[row]
    return value.item() if isinstance(value, np.generic) else value


def _in_time(columns: dict[str, Any], sources: IntArray, name: str, open_start: int) -> npt.NDArray[np.float64]:
    """Return prices of rows in the open minute, NaN for those of other minutes."""
    times = columns["event_time"][sources]
    inside = (times >= open_start) & (times < open_start + MINUTE_MS)
    return np.where(inside, columns[name][sources], np.nan)


def _sweep(
    state: PartitionState, market: int, observed: ObservedPositions, low: float, high: float, before: Before
) -> None:
    if observed.is_reached(low, high):
        keep(state, market, before)
        observed.sweep_range(low, high)
