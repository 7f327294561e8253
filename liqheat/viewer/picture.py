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
from liqheat.viewer import queries
from liqheat.viewer.decisions import decisions
from liqheat.viewer.grid import DisplayGrid, display_grid
from liqheat.viewer.queries import Client
from liqheat.viewer.request import MapRequest

_LEAD_MAY_LAG_MS = 3 * MINUTE_MS


def market_list(client: Client) -> dict[str, Any]:
    """Return the symbols for the selector, largest turnover first, with price (USD), change and ADV (USD).

    Price and ADV are those of the venues that are not silent, where there is one.
    """
    by_symbol: dict[str, list[dict[str, Any]]] = {}
    for row in queries.markets(client):
        by_symbol.setdefault(row["symbol"], []).append(row)
    symbols = []
    for symbol, rows in by_symbol.items():
        current = [row for row in rows if not row["silent"]]
        leading = max(current or rows, key=lambda row: (row["mark_price"] is not None, row["turnover"] or 0.0))
        price, before = leading["mark_price"], leading["mark_price_before"]
        symbols.append(
            {
                "symbol": symbol,
                "venues": [row["venue"] for row in rows],
                "silent": [row["venue"] for row in rows if row["silent"]],
                "warming_up": [row["venue"] for row in rows if row["warming_up"]],
                "mark_price": price,
                "change": price / before - 1 if price and before else None,
                "adv_usd": sum(row["turnover"] or 0.0 for row in current or rows),
                "latest": max(row["latest"] for row in rows),
            }
        )
    symbols.sort(key=lambda item: (-item["adv_usd"], item["symbol"]))
    return {"symbols": symbols}


def heatmap_picture(client: Client, request: MapRequest, stored_factor: int, now: int) -> dict[str, Any]:
    """Return the picture of `request` up to the symbol's latest minute.

    Args:
        client: reads the database that the sink writes.
        request: what to show, and what the page already holds.
        stored_factor: grid level of the stored buckets (setting `engine.grid_factor`).
        now: wall time, ms; only to say how old the data are.
    """
    latest, minutes = queries.latest(client, request.symbol)
    if not minutes:
        return {"symbol": request.symbol, "state": "waiting", "now": now}
    end = (latest // request.step + 1) * request.step
    start = end - request.length
    by_column = queries.columns(client, request, start, end)
    quality = queries.quality(client, request, end)
    lead = _leading_venue(quality, request)
    prices = [row for row in by_column if row["venue"] == lead and row["close"] is not None]
    if not prices:
        return {"symbol": request.symbol, "state": "no_price", "now": now}
    grid = display_grid(
        min(row["low"] for row in prices) * (1 - request.span / 100),
        max(row["high"] for row in prices) * (1 + request.span / 100),
        stored_factor,
    )
    since = max(request.since, start) if request.grid == grid.name else start
    since -= (since - start) % request.step
    chosen = [row for row in by_column if row["venue"] in request.venues]
    return {
        "symbol": request.symbol,
        "state": "ready",
        "now": now,
        "latest": latest,
        "minutes": minutes,
        "start": start,
        "step": request.step,
        "columns": request.length // request.step,
        "since": since,
        "grid": _grid_of(grid),
        "heat": _heat_of(grid, quality),
        "cells": _cells_of(queries.cells(client, request, grid, start, end, since)),
        "current": queries.current(client, request, grid, end),
        "price": {
            "venue": lead,
            **{name: [row[name] for row in prices] for name in ("column", "open", "high", "low", "close")},
        },
        "flows": _flows_of(chosen, request.length // request.step),
        "executed": [list(row.values()) for row in queries.executed(client, request, start, end)],
        "gaps": [list(row.values()) for row in queries.gaps(client, request, start, end)],
        "quality": quality,
        **decisions(client, request.symbol, start, end),
    }


def _leading_venue(quality: list[dict[str, Any]], request: MapRequest) -> str:
    """Return the venue whose mark price is drawn: of the chosen and up to date, the one with most open interest."""
    newest = max(row["latest"] for row in quality)

    def rank(row: dict[str, Any]) -> tuple[bool, bool, bool, float]:
        up_to_date = newest - row["latest"] <= _LEAD_MAY_LAG_MS
        return row["mark_price"] is not None, row["venue"] in request.venues, up_to_date, row["open_interest"] or 0.0

    return str(max(quality, key=rank)["venue"])


def _grid_of(grid: DisplayGrid) -> dict[str, Any]:
    return {"name": grid.name, "factor": grid.factor, "edges": grid.edges().tolist()}


def _heat_of(grid: DisplayGrid, quality: list[dict[str, Any]]) -> dict[str, Any]:
    scale = heat_scale(grid.factor)
    return {
        "adv_usd": sum(row["turnover"] or 0.0 for row in quality),
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


def _flows_of(rows: list[dict[str, Any]], count: int) -> dict[str, list[Any]]:
    """Sum flows and open interest over the chosen venues by column; open interest is None where no venue has one."""
    liquidated_long, liquidated_short, open_interest = (np.zeros(count) for _ in range(3))
    for row in rows:
        column = int(row["column"])
        liquidated_long[column] += row["liquidated_long"]
        liquidated_short[column] += row["liquidated_short"]
        open_interest[column] += row["open_interest"] or 0.0
    return {
        "liquidated_long": liquidated_long.tolist(),
        "liquidated_short": liquidated_short.tolist(),
        "open_interest": [value or None for value in open_interest.tolist()],
    }
