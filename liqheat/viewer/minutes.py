"""The newest minutes of markets as they are stored, and what follows of them: last columns, state of venues' markets.

Reads the view `market_minutes`. One question about a few minutes of all symbols costs less than one for each thing that
is made of them here; what lies further back comes from `queries`, which makes the same of it in ClickHouse.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from liqheat.domain.windows import MINUTE_MS, window_start
from liqheat.viewer.columns import Columns
from liqheat.viewer.queries import STRETCH, Client, stretch

_STEP_MS = 5 * MINUTE_MS

# Named as `queries.quality` names them.
_STATE = {
    "mark_price": "mark_close",
    "open_interest": "open_interest_usd",
    "turnover": "turnover_24h_usd",
    "funding_rate": "funding_rate",
    "next_funding_time": "toUnixTimestamp64Milli(next_funding_time)",
    "coverage": "coverage",
    "scale_long": "expected_scale_long",
    "scale_short": "expected_scale_short",
    "warming_up": "warming_up",
    "taken": "taker_buy_usd + taker_sell_usd",
}
_RECENT = f"""
SELECT symbol, toInt64(toUnixTimestamp(window_start)) * 1000 AS minute, venue, mark_open, mark_high, mark_low,
       liquidated_long_usd, liquidated_short_usd, late_rows,
       {", ".join(f"{expression} AS {name}" for name, expression in _STATE.items())}
FROM market_minutes
WHERE {STRETCH}
ORDER BY symbol, minute
"""  # noqa: S608 - joined of constants only; what a reader asks for is bound as parameters


def recent_from(now: int) -> int:
    """Return the start (ms) of the minutes that are recent at `now`: 10 to 15 minutes before, the same for a while."""
    return window_start(now - 2 * _STEP_MS, _STEP_MS)


def recent(client: Client, symbols: Sequence[str], start: int, end: int) -> dict[str, pl.DataFrame]:
    """Return the minutes from `start` to before `end` (ms) of the symbols that have any."""
    stream = client.raw_query(_RECENT, parameters=stretch(symbols, start, end), fmt="ArrowStream")
    found = pl.read_ipc_stream(io.BytesIO(stream))
    return {str(symbol): rows for (symbol,), rows in found.partition_by("symbol", as_dict=True).items()}


def columns(minutes: Sequence[pl.DataFrame], step: int, start: int) -> dict[str, Columns]:
    """Return what `queries.columns` returns of `minutes` from `start` (ms) on, which is an edge of a column."""
    opened = pl.coalesce("mark_open", "mark_price")
    found = (
        pl.concat(minutes)
        .filter(pl.col("minute") >= start)
        .group_by("symbol", pl.col("minute").floordiv(step).alias("column"), "venue")
        .agg(
            opened.drop_nulls().first().alias("open"),
            pl.coalesce("mark_high", "mark_price").max().alias("high"),
            pl.coalesce("mark_low", "mark_price").min().alias("low"),
            pl.col("mark_price").drop_nulls().last().alias("close"),
            pl.col("open_interest").drop_nulls().last(),
            pl.col("liquidated_long_usd").sum().alias("liquidated_long"),
            pl.col("liquidated_short_usd").sum().alias("liquidated_short"),
        )
        .sort("symbol", "column", "venue")
    )
    return {
        str(symbol): Columns(
            rows["column"].to_numpy(),
            rows["venue"].to_numpy().astype("U"),
            *(rows[name].fill_null(float("nan")).to_numpy() for name in Columns.__slots__[2:]),
        )
        for (symbol,), rows in found.partition_by("symbol", as_dict=True).items()
    }


def quality(minutes: Mapping[str, pl.DataFrame], older: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return what `queries.quality` returns, of `minutes` and of the time before, of which `older` is that."""
    if not minutes:
        return {}
    newer: dict[str, dict[str, dict[str, Any]]] = {symbol: {} for symbol in minutes}
    of_venues = (
        pl.concat(minutes.values())
        .group_by("symbol", "venue")
        .agg(
            pl.col("minute").max().alias("latest"),
            *(pl.col(name).drop_nulls().last() for name in _STATE),
            pl.col("late_rows").sum(),
        )
    )
    for row in of_venues.to_dicts():
        newer[row.pop("symbol")][row["venue"]] = row
    return {symbol: _merged(older[symbol], rows) for symbol, rows in newer.items()}


def _merged(older: list[dict[str, Any]], newer: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    rows = {row["venue"]: row for row in older}
    for venue, row in newer.items():
        before = rows.get(venue)
        if before is not None:
            known = {name: before[name] if value is None else value for name, value in row.items()}
            rows[venue] = known | {"late_rows": before["late_rows"] + row["late_rows"]}
        else:
            rows[venue] = row
    return [rows[venue] for venue in sorted(rows)]
