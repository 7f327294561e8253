"""One answer for the page: everything that a picture needs, composed from the queries, as compact JSON.

Grids travel as base64 little-endian typed arrays of the non-empty cells; the page asks again every two
seconds with what it already has, and gets only the columns that can have changed.
"""

import base64
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from liqheat.domain.money import MICRO_USD_PER_USD
from liqheat.domain.thresholds import CAUTION_PERCENT_OF_ADV, FOCUS_PERCENT, heat_scale
from liqheat.domain.windows import MINUTE_MS
from liqheat.viewer import queries
from liqheat.viewer.columns import Cells, Columns, Current, Executed
from liqheat.viewer.edge import FUTURE_MS
from liqheat.viewer.grid import DisplayGrid, display_grid
from liqheat.viewer.queries import Client
from liqheat.viewer.request import MapRequest
from liqheat.viewer.stored import Store, Stored

_LEAD_MAY_LAG_MS = 3 * MINUTE_MS
_MISSING_COLUMNS = 2
"""Columns at either end of a picture that a venue may lack and still count as there throughout."""


def market_list(client: Client, now: int) -> dict[str, Any]:
    """Return the symbols for the selector, largest turnover first, with price (USD), change and ADV (USD) at `now`."""
    by_symbol: dict[str, list[dict[str, Any]]] = {}
    for row in queries.markets(client, now + FUTURE_MS):
        by_symbol.setdefault(row["symbol"], []).append(row)
    symbols = []
    for symbol, rows in by_symbol.items():
        leading = max(rows, key=lambda row: (row["mark_price"] is not None, row["turnover"] or 0.0))
        price, before = leading["mark_price"], leading["mark_price_before"]
        symbols.append(
            {
                "symbol": symbol,
                "venues": [row["venue"] for row in rows],
                "mark_price": price,
                "change": price / before - 1 if price and before else None,
                "adv_usd": sum(row["turnover"] or 0.0 for row in rows),
                "latest": max(row["latest"] for row in rows),
            }
        )
    symbols.sort(key=lambda item: (-item["adv_usd"], item["symbol"]))
    return {"symbols": symbols}


def heatmap_picture(store: Store, client: Client, request: MapRequest, stored_factor: int, now: int) -> dict[str, Any]:
    """Return the picture of `request` up to the symbol's latest minute, or up to its own end.

    Args:
        store: what pictures share.
        client: reads the database that the sink writes.
        request: what to show, and what the page already holds.
        stored_factor: grid level of the stored buckets (setting `engine.grid_factor`).
        now: wall time, ms: what begins later does not count yet.
    """
    stored = Stored.opened(store, client, request, now)
    latest, minutes = stored.latest() if stored else (0, 0)
    if stored is None or not minutes:
        return {"symbol": request.symbol, "state": "waiting", "now": now}
    end = request.end or (latest // request.step + 1) * request.step
    start = end - request.length
    columns = stored.columns(start, end)
    quality = [row | {"is_stale": latest - row["latest"] > store.stale_ms} for row in stored.quality()]
    if not quality:
        return {"symbol": request.symbol, "state": "no_price", "now": now}
    lead = _leading_venue(quality, request)
    prices = columns.where((columns.venue == lead) & ~np.isnan(columns.close))
    if not len(prices.column):
        return {"symbol": request.symbol, "state": "no_price", "now": now}
    grid = display_grid(
        request.low or float(prices.low.min()) * (1 - request.span / 100),
        request.high or float(prices.high.max()) * (1 + request.span / 100),
        stored_factor,
    )
    since = _since(request, grid, start, end)
    first, count = start // request.step, request.length // request.step
    return {
        "symbol": request.symbol,
        "state": "ready",
        "measure": request.measure,
        "now": now,
        "latest": latest,
        "minutes": minutes,
        "start": start,
        "step": request.step,
        "columns": count,
        "since": since,
        "grid": _grid_of(grid),
        "heat": _heat_of(grid, quality, request.measure),
        "cells": _cells_of(stored.cells(since, end, grid), grid, first, count),
        "current": _current_of(stored.current(), grid),
        "price": {
            "venue": lead,
            "column": (prices.column - first).tolist(),
            **{name: getattr(prices, name).tolist() for name in ("open", "high", "low", "close")},
        },
        "flows": _flows_of(columns.where(np.isin(columns.venue, request.venues)), first, count),
        "executed": _executed_of(stored.executed(start, end), request),
        "gaps": [list(row.values()) for row in stored.gaps(start)],
        "quality": quality,
        "cascades": stored.cascades(),
        "record": stored.record(),
        "evidence": stored.followed(),
        "signals": stored.signals(start),
    }


def _since(request: MapRequest, grid: DisplayGrid, start: int, end: int) -> int:
    """Return the start of the first column to send: all where the page holds another grid, and the last in any case."""
    since = min(max(request.since, start), end - request.step) if request.grid == grid.name else start
    return since - (since - start) % request.step


def _leading_venue(quality: list[dict[str, Any]], request: MapRequest) -> str:
    """Return the venue whose mark price is drawn: of the chosen and up to date, the one with most open interest."""
    newest = max(row["latest"] for row in quality)

    def rank(row: dict[str, Any]) -> tuple[bool, bool, bool, float]:
        up_to_date = newest - row["latest"] <= _LEAD_MAY_LAG_MS and not row["is_stale"]
        return row["mark_price"] is not None, row["venue"] in request.venues, up_to_date, row["open_interest"] or 0.0

    return str(max(quality, key=rank)["venue"])


def _grid_of(grid: DisplayGrid) -> dict[str, Any]:
    return {"name": grid.name, "factor": grid.factor, "edges": grid.edges().tolist()}


def _heat_of(grid: DisplayGrid, quality: list[dict[str, Any]], measure: str) -> dict[str, Any]:
    scale = heat_scale(grid.factor, measure)
    return {
        "adv_usd": sum(row["turnover"] or 0.0 for row in quality if not row["is_stale"]),
        "lowest": scale.lowest,
        "highest": scale.highest,
        "levels": scale.levels,
        "caution": CAUTION_PERCENT_OF_ADV,
        "focus": FOCUS_PERCENT,
    }


def _cells_of(cells: Cells, grid: DisplayGrid, first: int, count: int) -> dict[str, str]:
    """Sum the cells by row of the picture; its `count` columns begin with the one numbered `first`."""
    row = cells.bucket // grid.factor - grid.first
    inside = (row >= 0) & (row < grid.rows)
    place = ((cells.column - first) * grid.rows + row)[inside]
    sums = {}
    for side, amounts in (("long", cells.long_micro_usd), ("short", cells.short_micro_usd)):
        # Whole numbers below 2^53, so that the sum of them as floats is exact.
        sums[side] = np.bincount(place, amounts[inside], minlength=count * grid.rows)
    filled = np.flatnonzero((sums["long"] > 0) | (sums["short"] > 0))
    return {
        "column": _packed(filled // grid.rows, "<u2"),
        "row": _packed(filled % grid.rows, "<u2"),
        **{side: _packed(amounts[filled] / MICRO_USD_PER_USD, "<f4") for side, amounts in sums.items()},
    }


def _current_of(current: Current, grid: DisplayGrid) -> list[list[Any]]:
    """Return row, venue, basis, long USD and short USD of the map now, summed by row of the picture."""
    row = current.bucket // grid.factor - grid.first
    inside = (row >= 0) & (row < grid.rows)
    found = current.where(inside)
    sums: dict[tuple[int, str, str], list[int]] = {}
    rows = zip(
        row[inside].tolist(),
        found.venue.tolist(),
        found.basis.tolist(),
        found.long_micro_usd.tolist(),
        found.short_micro_usd.tolist(),
        strict=True,
    )
    for place, venue, basis, long, short in rows:
        both = sums.setdefault((place, venue, basis), [0, 0])
        both[0] += long
        both[1] += short
    return [[*key, long / MICRO_USD_PER_USD, short / MICRO_USD_PER_USD] for key, (long, short) in sorted(sums.items())]


def _executed_of(executed: Executed, request: MapRequest) -> list[list[Any]]:
    """Return time, venue, side, price and USD of the largest executed liquidations of the chosen venues."""
    chosen = executed.where(np.isin(executed.venue, request.venues))
    order = np.lexsort((chosen.price, chosen.side, chosen.venue, chosen.time, -chosen.notional_usd))
    largest = chosen.where(order[: queries.EXECUTED])
    return [list(row) for row in zip(*(getattr(largest, each.name).tolist() for each in fields(largest)), strict=True)]


def _packed(values: npt.NDArray[Any], dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=dtype).tobytes()).decode()


def _flows_of(columns: Columns, first: int, count: int) -> dict[str, Any]:
    """Sum executed liquidations over the chosen venues by column, and open interest over venues that stay the same.

    A venue that joins or leaves would else look like a rise or fall of open interest. `open_interest_venues` says whose
    it is; a column in which one of them has none is None.
    """
    place = columns.column - first
    liquidated = {
        side: np.bincount(place, getattr(columns, f"liquidated_{side}"), minlength=count) for side in ("long", "short")
    }
    interest: dict[str, npt.NDArray[np.float64]] = {}
    for venue in np.unique(columns.venue[~np.isnan(columns.open_interest)]).tolist():
        own = columns.venue == venue
        interest[venue] = np.full(count, np.nan)
        interest[venue][place[own]] = columns.open_interest[own]
    venues = _throughout(interest)
    total = np.sum([interest[venue] for venue in venues], axis=0) if venues else np.full(count, np.nan)
    return {
        "liquidated_long": liquidated["long"].tolist(),
        "liquidated_short": liquidated["short"].tolist(),
        "open_interest": [None if np.isnan(value) else value for value in total.tolist()],
        "open_interest_venues": venues,
    }


def _throughout(interest: dict[str, npt.NDArray[np.float64]]) -> list[str]:
    """Return the venues to sum: known from some column on to the end, but for `_MISSING_COLUMNS` at either.

    Of all columns to begin with, the one that shows most: notional times columns. So a small venue with a long history
    does not hide the large ones, nor a large one that has just come the history. Holes are filled with the value
    before, in place.
    """
    if not interest:
        return []
    known = {venue: np.flatnonzero(~np.isnan(values)) for venue, values in interest.items()}
    last = max(places[-1] for places in known.values())
    for venue, places in known.items():
        values = interest[venue]
        inside = np.arange(places[0], min(places[-1] + _MISSING_COLUMNS, last) + 1)
        values[inside] = values[places[np.searchsorted(places, inside, side="right") - 1]]
    lasting = {venue: places[0] for venue, places in known.items() if places[-1] >= last - _MISSING_COLUMNS}

    def shown_from(first: int) -> float:
        return sum(
            float(np.nansum(interest[venue][first:]))
            for venue, begun in lasting.items()
            if begun <= first + _MISSING_COLUMNS
        )

    best = max(sorted(lasting.values()), key=shown_from)
    return sorted(venue for venue, begun in lasting.items() if begun <= best + _MISSING_COLUMNS)
