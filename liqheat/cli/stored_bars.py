"""The minutes that the sink stored, as bars for `liqheat backtest`: a user's own record of a market."""

from pathlib import Path

import numpy as np

from liqheat.cli.minute_bars import loses_liquidations, unknown_minutes
from liqheat.cli.stored_data import stored_data
from liqheat.cli.times import note, time_text
from liqheat.domain.venues import SILENT_VENUES
from liqheat.domain.windows import HOUR_MS, MINUTE_MS
from liqheat.platform.errors import ConfigurationError
from liqheat.scoring.bars import Bars, Executed

_MARKETS = "SELECT DISTINCT concat(venue, ':', symbol) FROM market_minutes ORDER BY 1"
_MINUTES = """SELECT toInt64(toUnixTimestamp(window_start)) * 1000 AS time,
    mark_open, mark_high, mark_low, mark_close, taker_buy_usd, taker_sell_usd, open_interest,
    liquidated_long_usd, liquidated_short_usd
FROM market_minutes
WHERE venue = {venue:String} AND symbol = {symbol:String} AND mark_close > 0
ORDER BY window_start"""
_GAPS = """SELECT toUnixTimestamp64Milli(event_time), toUnixTimestamp64Milli(end_time), stream
FROM gaps WHERE venue = {venue:String} AND symbol = {symbol:String}"""
_UNREAD_HOURS = """SELECT toInt64(toUnixTimestamp(window_start)) * 1000
FROM track_record
WHERE venue = {venue:String} AND symbol = {symbol:String} AND horizon_hours = 0 AND coverage < 0.5"""
"""Hours in less than half of which the engine read the feed of liquidations: history by bars is among them."""


def read_stored(data_dir: Path | None, market: str, known_from: int | None) -> tuple[Bars, Executed, str]:
    """Read one market's stored minutes.

    Liquidations are unknown in recorded gaps, filled or not, and in hours in which the feed was hardly read: no venue
    gives liquidations of the past. Minutes that are not stored are holes.

    Args:
        data_dir: data directory of a finished demo; None: the server of the settings.
        market: `venue:SYMBOL`.
        known_from: ms before which no liquidations were recorded; by default the first minute.

    Raises:
        ConfigurationError: no such market is stored, or its venue publishes no liquidations.
    """
    if market.partition(":")[0] in SILENT_VENUES:
        raise ConfigurationError(f"{market} cannot be judged: its venue publishes no liquidations")
    with stored_data(data_dir) as client:
        venue, _, symbol = market.partition(":")
        named = {"venue": venue, "symbol": symbol}
        rows = client.query(_MINUTES, parameters=named).result_rows
        if len(rows) < 2:
            names = ", ".join(row[0] for row in client.query(_MARKETS).result_rows) or "no market"
            raise ConfigurationError(f"Expected --market out of {names}, was {market!r}")
        gaps = [
            (start, end)
            for start, end, stream in client.query(_GAPS, parameters=named).result_rows
            if loses_liquidations(stream, start, end)
        ]
        gaps += [(hour, hour + HOUR_MS) for (hour,) in client.query(_UNREAD_HOURS, parameters=named).result_rows]
    table = np.array([[np.nan if value is None else float(value) for value in row] for row in rows])
    start = table[:, 0].astype(np.int64)
    opened, high, low, close, buys, sells, interest = table[:, 1:8].T
    opened = np.where(np.isnan(opened), close, opened)
    bars = Bars(
        start,
        MINUTE_MS,
        opened,
        np.fmax(np.fmax(high, opened), close),
        np.fmin(np.fmin(low, opened), close),
        close,
        np.nan_to_num(buys),
        np.nan_to_num(sells),
        interest,
    )
    usd = np.nan_to_num(table[:, 8:])
    unknown = unknown_minutes(start, gaps) & (usd.sum(axis=1) <= 0)
    if unknown.any():
        note(f"{unknown.sum()} of {len(start)} minutes lie in gaps or in history; what was liquidated then is unknown")
    holes = np.flatnonzero(np.diff(start) > MINUTE_MS)
    if len(holes):
        note(f"holes in the stored minutes: {len(holes)}, the first from {time_text(int(start[holes[0]]) + MINUTE_MS)}")
    end, kept = int(start[-1]) + MINUTE_MS, ~unknown
    executed = Executed(start[kept], start[kept] + MINUTE_MS, usd[kept], known_from or int(start[0]), end)
    return bars, executed, market
