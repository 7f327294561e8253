"""Files into bars and liquidations for `liqheat backtest`: CSV with generic columns, or normalised events.

CSV columns are found by how their names begin, whatever their case and order, and a header is needed. Bars: a time
(`t`, `time`, `timestamp`, `open_time`, `start`), `open`, `high`, `low`, `close`, `volume...` (coins) or
`quote_volume...` (USD), and where there are any `taker_buy...` (in the unit of the volume) and `open_interest...`
(coins). Liquidations: start (`t_start`, `time`, ...), `long...` and `short...` in USD, and `length...` (ms) or
`end...`; else an interval ends where the next begins. Times are ms, s or ISO 8601, UTC. Files may be gzipped.
"""

import gzip
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from liqheat.cli.map_events import read_events
from liqheat.domain.events import Event, Liquidation, Mark, OpenInterest, Trade
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.clock import SystemClock
from liqheat.platform.errors import ConfigurationError, PoisonMessage
from liqheat.scoring.bars import Bars, Executed

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_TIME = ("t_start", "open_time", "timestamp", "datetime", "date", "time", "start", "t")
_SECONDS_BELOW = 100_000_000_000
"""A time below this is in seconds: as ms it would be before 1973."""
_FOREVER = 2**62


def read_csv(bars_file: Path, liquidations_file: Path, known_from: int | None) -> tuple[Bars, Executed]:
    """Read bars and liquidations from two CSV files.

    Args:
        bars_file: bars of one length.
        liquidations_file: executed liquidations by interval.
        known_from: ms before which no liquidations were recorded; by default the first interval's start.

    Raises:
        ConfigurationError: a column is missing or a value is none.
    """
    bars = _bars(_table(bars_file), bars_file)
    frame = _table(liquidations_file)
    start = _times(frame, liquidations_file)
    order = np.argsort(start, kind="stable")
    start = start[order]
    length, end_column = _column(frame, ("length", "duration")), _column(frame, ("end", "t_end"))
    if length is not None:
        end = start + np.rint(_numbers(frame, length, liquidations_file)[order]).astype(np.int64)
    elif end_column is not None:
        end = _as_ms(frame[end_column], liquidations_file)[order]
    else:
        end = np.append(start[1:], start[-1] + (start[-1] - start[-2] if len(start) > 1 else MINUTE_MS))
    sides = [
        _numbers(frame, _needed(frame, (name,), liquidations_file), liquidations_file)[order]
        for name in ("long", "short")
    ]
    usd = np.nan_to_num(np.stack(sides, axis=1))
    return bars, Executed(start, end, usd, max(known_from or 0, int(start[0])), int(end[-1]))


def read_events_file(file: Path, market: str, known_from: int | None) -> tuple[Bars, Executed, str]:
    """Read normalised events, as `liqheat normalise` prints them, into minute bars of one market.

    Args:
        file: one JSON a line.
        market: `venue:SYMBOL`, may be empty where the file has one market.
        known_from: ms before which no liquidations were recorded; by default the file's start.

    Returns:
        Bars, liquidations by minute, and the market's name.

    Raises:
        ConfigurationError: the market is not in the file, or the file has several and none was named.
        PoisonMessage: a line cannot be read.
    """
    by_market: dict[str, list[Event]] = {}
    clock = SystemClock()
    for number, line in enumerate(_opened(file).splitlines(), start=1):
        try:
            events = read_events(line, clock.now_ms()) if line.strip() else []
        except PoisonMessage as poison:
            raise PoisonMessage(f"line {number}: {poison.reason}") from poison
        for event in events:
            by_market.setdefault(f"{event.venue}:{event.symbol}", []).append(event)
    if market not in by_market:
        names = ", ".join(sorted(by_market)) or "no market"
        if market or len(by_market) != 1:
            raise ConfigurationError(f"Expected --market out of {names}, was {market!r}")
        market = next(iter(by_market))
    return *_minute_bars(by_market[market], known_from), market


def _minute_bars(events: list[Event], known_from: int | None) -> tuple[Bars, Executed]:
    """Gather events into bars of a minute; a minute without a mark repeats the last close."""
    first = min(event.event_time for event in events) // MINUTE_MS
    count = max(event.event_time for event in events) // MINUTE_MS - first + 1
    events = sorted(events, key=_time)
    trades = [event for event in events if isinstance(event, Trade)]
    marks = [(event.event_time, event.mark_price) for event in events if isinstance(event, Mark)]
    prices = _path(marks or [(trade.event_time, trade.price) for trade in trades], first, count)
    flows = np.zeros((2, count))
    for trade in trades:
        taker = 0 if trade.taker_side > 0 else 1
        flows[taker, trade.event_time // MINUTE_MS - first] += trade.price * trade.quantity
    interest, executed = np.full(count, np.nan), np.zeros((count, 2))
    for event in events:
        minute = event.event_time // MINUTE_MS - first
        if isinstance(event, OpenInterest):
            interest[minute] = event.quantity
        elif isinstance(event, Liquidation):
            executed[minute, 0 if event.side > 0 else 1] += event.price * event.quantity
    known = np.flatnonzero(~np.isnan(interest))
    if known.size:
        last = np.maximum.accumulate(np.where(np.isnan(interest), -1, np.arange(count)))
        interest = np.where(last >= 0, interest[np.maximum(last, 0)], np.nan)
    start = (np.arange(count) + first) * MINUTE_MS
    seen = np.flatnonzero(~np.isnan(prices[3]))
    if not seen.size:
        raise ConfigurationError("Expected marks or trades of the market, found none")
    chosen = slice(int(seen[0]), None)
    opened, high, low, close = (price[chosen] for price in prices)
    buys, sells = flows[:, chosen]
    bars = Bars(start[chosen], MINUTE_MS, opened, high, low, close, buys, sells, interest[chosen])
    begin = max(known_from if known_from is not None else int(start[0]), int(start[0]))
    return bars, Executed(start, start + MINUTE_MS, executed, begin, _FOREVER)


def _time(event: Event) -> int:
    return event.event_time


def _path(
    points: list[tuple[int, float]], first: int, count: int
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return open, high, low and close of each minute; each opens where the one before closed."""
    opened, high, low, close = (np.full(count, np.nan) for _ in range(4))
    for time, price in points:
        minute = time // MINUTE_MS - first
        if np.isnan(close[minute]):
            opened[minute] = high[minute] = low[minute] = price
        high[minute], low[minute], close[minute] = max(high[minute], price), min(low[minute], price), price
    for minute in range(1, count):
        before = close[minute - 1]
        if np.isnan(close[minute]):
            opened[minute] = high[minute] = low[minute] = close[minute] = before
        elif not np.isnan(before):
            opened[minute] = before
            high[minute], low[minute] = max(high[minute], before), min(low[minute], before)
    return opened, high, low, close


def _bars(frame: pl.DataFrame, file: Path) -> Bars:
    start = _times(frame, file)
    order = np.argsort(start, kind="stable")
    start = start[order]
    if len(start) < 2 or (np.diff(start) <= 0).any():
        raise ConfigurationError(f"{file}: expected at least two bars, each with a time of its own")
    prices = {
        name: _numbers(frame, _needed(frame, (name,), file), file)[order] for name in ("open", "high", "low", "close")
    }
    if not all((price > 0).all() for price in prices.values()):
        raise ConfigurationError(f"{file}: expected prices above 0 in every bar")
    quote = _column(frame, ("quote_volume", "volume_usd", "turnover"))
    volume = _numbers(frame, quote or _needed(frame, ("volume",), file), file)[order]
    price = np.ones(len(start)) if quote else prices["close"]
    bought = _column(frame, ("taker_buy",))
    buys = volume / 2 if bought is None else _numbers(frame, bought, file)[order]
    open_interest = _column(frame, ("open_interest",), but=("open_interest_usd",))
    interest = np.full(len(start), np.nan) if open_interest is None else _numbers(frame, open_interest, file)[order]
    step = int(np.median(np.diff(start)))
    if step % MINUTE_MS:
        raise ConfigurationError(f"{file}: expected bars of whole minutes, was {step} ms")
    return Bars(
        start,
        step,
        prices["open"],
        np.maximum.reduce(list(prices.values())),
        np.minimum.reduce(list(prices.values())),
        prices["close"],
        np.nan_to_num(buys * price),
        np.nan_to_num(np.maximum(volume - buys, 0) * price),
        interest,
    )


def _opened(file: Path) -> bytes:
    data = file.read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def _table(file: Path) -> pl.DataFrame:
    try:
        frame = pl.read_csv(_opened(file), infer_schema_length=10_000)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ConfigurationError(f"{file}: cannot be read as CSV: {error}") from error
    if not frame.height:
        raise ConfigurationError(f"{file}: expected rows below the header, found none")
    return frame.rename({name: name.strip().lower().replace(" ", "_") for name in frame.columns})


def _column(frame: pl.DataFrame, beginnings: tuple[str, ...], but: tuple[str, ...] = ()) -> str | None:
    """Return the column of that name, else the first that begins so."""
    for beginning in beginnings:
        if beginning in frame.columns:
            return beginning
        for name in frame.columns:
            if name.startswith(beginning) and name not in but and not (beginning == "open" and "time" in name):
                return name
    return None


def _needed(frame: pl.DataFrame, beginnings: tuple[str, ...], file: Path) -> str:
    found = _column(frame, beginnings)
    if found is None:
        raise ConfigurationError(f"{file}: expected a column {beginnings[0]!r}, found {', '.join(frame.columns)}")
    return found


def _numbers(frame: pl.DataFrame, name: str, file: Path) -> FloatArray:
    try:
        return frame[name].cast(pl.Float64).to_numpy().astype(np.float64)
    except pl.exceptions.PolarsError as error:
        raise ConfigurationError(f"{file}: expected numbers in {name!r}: {error}") from error


def _times(frame: pl.DataFrame, file: Path) -> IntArray:
    for name in _TIME:
        if name in frame.columns:
            return _as_ms(frame[name], file)
    raise ConfigurationError(
        f"{file}: expected a column of times ({', '.join(_TIME)}), found {', '.join(frame.columns)}"
    )


def _as_ms(column: pl.Series, file: Path) -> IntArray:
    try:
        if column.dtype == pl.String:
            return (
                column.str.to_datetime(time_unit="ms", time_zone="UTC").dt.timestamp("ms").to_numpy().astype(np.int64)
            )
        times = column.cast(pl.Int64).to_numpy().astype(np.int64)
    except pl.exceptions.PolarsError as error:
        raise ConfigurationError(f"{file}: expected times in {column.name!r}: {error}") from error
    return times * 1_000 if times.max() < _SECONDS_BELOW else times
