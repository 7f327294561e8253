"""One answer for the page: everything that a picture needs, composed from the queries, as compact JSON.

Grids travel as base64 little-endian typed arrays of the non-empty cells; the page asks again every two
seconds with what it already has, and gets only the columns that can have changed.
"""

import base64
from typing import Any

import numpy as np
import numpy.typing as npt

from liqheat.domain.thresholds import CAUTION_PERCENT_OF_ADV, FOCUS_PERCENT, heat_scale
from liqheat.domain.windows import MINUTE_MS
from liqheat.viewer import evidence, queries
from liqheat.viewer.grid import DisplayGrid, display_grid
from liqheat.viewer.queries import Client
from liqheat.viewer.request import MapRequest
from liqheat.viewer.signals import signals_picture

_LEAD_MAY_LAG_MS = 3 * MINUTE_MS
_MISSING_COLUMNS = 2
"""Columns at either end of a picture that a venue may lack and still count as there throughout."""
_FUTURE_MS = MINUTE_MS
"""How far ahead of the clock a minute may begin and still count: venues' clocks and ours differ a little."""


def market_list(client: Client, now: int) -> dict[str, Any]:
    """Return the symbols for the selector, largest turnover first, with price (USD), change and ADV (USD) at `now`."""
    by_symbol: dict[str, list[dict[str, Any]]] = {}
    for row in queries.markets(client, now + _FUTURE_MS):
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


def heatmap_picture(client: Client, request: MapRequest, stored_factor: int, now: int, stale_ms: int) -> dict[str, Any]:
    """Return the picture of `request` up to the symbol's latest minute, or up to its own end.

    Args:
        client: reads the database that the sink writes.
        request: what to show, and what the page already holds.
        stored_factor: grid level of the stored buckets (setting `engine.grid_factor`).
        now: wall time, ms: what begins later does not count yet.
        stale_ms: a venue whose latest minute is older than the symbol's by this is not part of the map now.
    """
    limit = min(request.end, now + _FUTURE_MS) if request.end else now + _FUTURE_MS
    latest, minutes = queries.latest(client, request.symbol, limit)
    if not minutes:
        return {"symbol": request.symbol, "state": "waiting", "now": now}
    end = request.end or (latest // request.step + 1) * request.step
    start = end - request.length
    by_column = queries.columns(client, request, start, end)
    quality = queries.quality(client, request, min(end, limit))
    if not quality:
        return {"symbol": request.symbol, "state": "no_price", "now": now}
    for row in quality:
        row["is_stale"] = latest - row["latest"] > stale_ms
    lead = _leading_venue(quality, request)
    prices = [row for row in by_column if row["venue"] == lead and row["close"] is not None]
    if not prices:
        return {"symbol": request.symbol, "state": "no_price", "now": now}
    grid = display_grid(
        request.low or min(row["low"] for row in prices) * (1 - request.span / 100),
        request.high or max(row["high"] for row in prices) * (1 + request.span / 100),
        stored_factor,
    )
    since = _since(request, grid, start)
    chosen = [row for row in by_column if row["venue"] in request.venues]
    return {
        "symbol": request.symbol,
        "state": "ready",
        "measure": request.measure,
        "now": now,
        "latest": latest,
        "minutes": minutes,
        "start": start,
        "step": request.step,
        "columns": request.length // request.step,
        "since": since,
        "grid": _grid_of(grid),
        "heat": _heat_of(grid, quality, request.measure),
        "cells": _cells_of(queries.cells(client, request, grid, range(start, end, request.step), since, latest)),
        "current": queries.current(client, request, grid, min(end, limit), stale_ms),
        "price": {
            "venue": lead,
            **{name: [row[name] for row in prices] for name in ("column", "open", "high", "low", "close")},
        },
        "flows": _flows_of(chosen, request.length // request.step),
        "executed": [list(row.values()) for row in queries.executed(client, request, start, end)],
        "gaps": [list(row.values()) for row in queries.gaps(client, request, start, end)],
        "quality": quality,
        **evidence.cards(client, request.symbol, min(end, limit), stale_ms),
        "signals": signals_picture(client, request.symbol, start, min(end, limit)),
    }


def _since(request: MapRequest, grid: DisplayGrid, start: int) -> int:
    """Return the start of the first column to send: all of them where the page holds another grid."""
    since = max(request.since, start) if request.grid == grid.name else start
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


def _cells_of(cells: queries.Cells) -> dict[str, str]:
    return {
        "column": _packed(cells.column, "<u2"),
        "row": _packed(cells.row, "<u2"),
        "long": _packed(cells.long_usd, "<f4"),
        "short": _packed(cells.short_usd, "<f4"),
    }


def _packed(values: npt.NDArray[Any], dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=dtype).tobytes()).decode()


def _flows_of(rows: list[dict[str, Any]], count: int) -> dict[str, Any]:
    """Sum executed liquidations over the chosen venues by column, and open interest over venues that stay the same.

    A venue that joins or leaves would else look like a rise or fall of open interest. `open_interest_venues` says whose
    it is; a column in which one of them has none is None.
    """
    liquidated = {side: np.zeros(count) for side in ("long", "short")}
    interest: dict[str, npt.NDArray[np.float64]] = {}
    for row in rows:
        column = int(row["column"])
        for side, amounts in liquidated.items():
            amounts[column] += row[f"liquidated_{side}"]
        if row["open_interest"] is not None:
            interest.setdefault(row["venue"], np.full(count, np.nan))[column] = row["open_interest"]
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
