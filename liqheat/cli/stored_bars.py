"""The minutes that the sink stored, as bars for `liqheat backtest`: a user's own record of a market."""

from pathlib import Path

import numpy as np

from liqheat.domain.windows import MINUTE_MS
from liqheat.local.data_directory import stored_in
from liqheat.platform.clickhouse import open_clickhouse, translated_errors
from liqheat.platform.errors import ConfigurationError
from liqheat.platform.settings import load
from liqheat.scoring.bars import Bars, Executed

_MARKETS = "SELECT DISTINCT concat(venue, ':', symbol) FROM market_minutes ORDER BY 1"
_MINUTES = """SELECT toInt64(toUnixTimestamp(window_start)) * 1000 AS time,
    mark_open, mark_high, mark_low, mark_close, taker_buy_usd, taker_sell_usd, open_interest,
    liquidated_long_usd, liquidated_short_usd
FROM market_minutes
WHERE venue = {venue:String} AND symbol = {symbol:String} AND mark_close > 0
ORDER BY window_start"""


def read_stored(data_dir: Path | None, market: str, known_from: int | None) -> tuple[Bars, Executed, str]:
    """Read one market's stored minutes.

    Args:
        data_dir: data directory of a finished demo; None: the server of the settings.
        market: `venue:SYMBOL`.
        known_from: ms before which no liquidations were recorded; by default the first minute.

    Raises:
        ConfigurationError: no such market is stored.
    """
    clickhouse = stored_in(load().clickhouse, data_dir)
    client = open_clickhouse(clickhouse, readonly=True)
    try:
        with translated_errors(clickhouse):
            venue, _, symbol = market.partition(":")
            rows = client.query(_MINUTES, parameters={"venue": venue, "symbol": symbol}).result_rows
            if len(rows) < 2:
                names = ", ".join(row[0] for row in client.query(_MARKETS).result_rows) or "no market"
                raise ConfigurationError(f"Expected --market out of {names}, was {market!r}")
    finally:
        client.close()
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
    end = int(start[-1]) + MINUTE_MS
    executed = Executed(start, start + MINUTE_MS, np.nan_to_num(table[:, 8:]), known_from or int(start[0]), end)
    return bars, executed, market
