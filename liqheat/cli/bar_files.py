"""Files into bars and liquidations for `liqheat backtest`: CSV with generic columns, or normalised events.

CSV columns are found by name, whatever their case and order, and a header is needed; `docs/backtest.md` lists the
names, units and what is refused. What a file does not say is unknown: a time that no row covers is not a time without
liquidations. Files may be packed (gzip, Zstandard).
"""

from pathlib import Path

import numpy as np
import polars as pl

from liqheat.cli.bad_lines import BadLines
from liqheat.cli.csv_table import BoolArray, CsvTable, FloatArray, IntArray, RefusedRows, is_coins, is_usd, read_rows
from liqheat.cli.times import note, time_text
from liqheat.domain.windows import HOUR_MS, MINUTE_MS
from liqheat.platform.errors import ConfigurationError
from liqheat.scoring.bars import Bars, Executed
from liqheat.scoring.coverage import Coverage

_ROUNDING = 1.01
"""How far taker buys may be above the volume: both are rounded in files."""
_LONG_SPACING = 5
"""Rows further apart than this many times the median get a note, where the file gives no lengths."""
_SHARE_OF_REPEATS, _FEW_REPEATS = 0.01, 10
"""Share of rows, or rows, that may be there twice as bad lines; more are of several markets."""
_SHARE_OF_OVERLAPS = 0.001
"""Share of intervals that may overlap the next, where their length changes."""
_LENGTH_UNITS = {"s": 1_000, "sec": 1_000, "seconds": 1_000, "m": MINUTE_MS, "min": MINUTE_MS, "minutes": MINUTE_MS}
_LENGTH_UNITS |= {"h": HOUR_MS, "hours": HOUR_MS}


def read_csv(
    bars_file: Path, liquidations_file: Path, known_from: int | None, bad_lines: BadLines | None = None
) -> tuple[Bars, Executed]:
    """Read bars and liquidations from two CSV files.

    Args:
        bars_file: bars of one length, which divides an hour.
        liquidations_file: executed liquidations by intervals of at most an hour.
        known_from: ms before which no liquidations were recorded; by default the first interval's start.
        bad_lines: takes lines that cannot be read; what they say is unknown, and the others count. None: the first
            refuses its file.

    Raises:
        ConfigurationError: a column is missing, most values of one are none, or both files have no time in common.
    """
    bars = read_rows(bars_file, _bars, bad_lines)
    executed = read_rows(liquidations_file, lambda table: _liquidations(table, known_from), bad_lines)
    first, last = int(bars.start[0]), int(bars.start[-1]) + bars.step_ms
    total = float(executed.usd.sum())
    reach = f"the liquidations reach from {time_text(int(executed.start[0]))} to {time_text(executed.known_until)}"
    if total <= 0 or executed.start[0] >= last or executed.known_until <= first:
        raise ConfigurationError(
            f"{liquidations_file}: expected liquidations while there are bars, {time_text(first)} to "
            f"{time_text(last)}; {reach}, {total:,.0f} USD in all"
        )
    _note_holes("bars", *Coverage(bars.start, bars.start + bars.step_ms).holes())
    begin, end = Coverage(executed.start, executed.end).holes()
    inside = (begin < last) & (end > first)
    _note_holes("liquidations", begin[inside], end[inside])
    return bars, executed


def _note_holes(what: str, begin: IntArray, end: IntArray) -> None:
    if len(begin):
        longest = int(np.argmax(end - begin))
        note(
            f"holes in the {what}: {len(begin)}, {(end - begin).sum() / HOUR_MS:,.1f} h in all, the longest from "
            f"{time_text(int(begin[longest]))} to {time_text(int(end[longest]))}; what was liquidated then is unknown"
        )


def _bars(table: CsvTable) -> Bars:
    start = table.times()
    step = _step(table, start)
    prices = {name: _price(table, name) for name in ("open", "high", "low", "close")}
    buys, sells = _flows(table, prices)
    interest = _interest(table, prices["close"])
    high, low = np.maximum.reduce(list(prices.values())), np.minimum.reduce(list(prices.values()))
    columns = (prices["open"], high, low, prices["close"], buys, sells, interest)
    order = np.argsort(start, kind="stable")
    return Bars(start[order], step, *(column[order] for column in columns))


def _step(table: CsvTable, start: IntArray) -> int:
    """Return the length of the bars, ms; refuse bars that overlap or lie across the hours."""
    order = np.argsort(start, kind="stable")
    gaps = np.diff(start[order])
    if not len(gaps):
        raise ConfigurationError(f"{table.file}: expected at least two bars, found one")
    if (gaps <= 0).any():
        raise _repeated(table, pl.DataFrame({"start": start}), "two bars have the time {}, lines {} and {}")
    step = int(np.median(gaps))
    if step % MINUTE_MS or HOUR_MS % step:
        raise ConfigurationError(
            f"{table.file}: expected bars of whole minutes that divide an hour (1, 5, 15, 60 minutes, ...), "
            f"was {step / MINUTE_MS:g} minutes"
        )
    odd = start % step != 0
    if odd.any():
        wanted = f"expected bars that start at whole multiples of their {step // MINUTE_MS} minutes"
        reasons = {
            row: f"{wanted}, was {time_text(int(start[row]))} and {int(start[row]) % MINUTE_MS} ms"
            for row in np.flatnonzero(odd).tolist()
        }
        raise RefusedRows(table, reasons)
    return step


def _price(table: CsvTable, name: str) -> FloatArray:
    column = table.exact(name, f"{name}_price", f"price_{name}", f"{name}_usd", f"{name}_usdt", f"{name}_usdc")
    if column is None:
        raise table.refuse_missing(f"a column {name!r} or {name + '_price'!r}")
    values = table.numbers(column)
    if not (values > 0).all():
        raise table.refusal("a price above 0", ~(values > 0), column)
    return values


def _flows(table: CsvTable, prices: dict[str, FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Return taker buys and sells, USD; each is half of the volume where the file does not part it."""
    close, high, low = prices["close"], prices["high"], prices["low"]
    in_usd = table.beginning("quote_volume", "quote_asset_volume", "volume", "turnover", "quote_vol", unit=is_usd)
    in_coins = table.beginning("volume", "base_volume", "base_asset_volume", unit=is_coins)
    if in_usd is None and in_coins is None:
        raise table.refuse_missing("a column 'volume' (coins) or 'quote_volume' (USD)")
    coins = None if in_coins is None else table.amounts(in_coins)
    volume = table.amounts(in_usd) if in_usd is not None else np.asarray(coins) * close
    bought_usd = table.beginning("taker_buy", unit=is_usd)
    bought_coins = table.beginning("taker_buy", unit=is_coins)
    bought = bought_usd or bought_coins
    if bought is None:
        buys, most = volume / 2, volume
    elif bought_usd is not None:
        buys = table.amounts(bought_usd)
        most = volume if in_usd is not None else np.asarray(coins) * high
    else:
        amount = table.amounts(bought)
        if coins is None:
            buys, most = amount * close, volume * close / low
        else:
            buys, most = amount * np.divide(volume, coins, out=np.zeros(len(coins)), where=coins > 0), volume
            most = np.where((coins > 0) | (amount == 0), most, -1.0)
    if bought is not None and (buys > most * _ROUNDING).any():
        raise table.refusal("taker buys of at most the volume", buys > most * _ROUNDING, bought)
    if np.isnan(volume).any():
        note(f"{table.file}: {np.isnan(volume).sum()} bars have no volume and count as bars without turnover")
    return np.nan_to_num(buys), np.nan_to_num(np.maximum(volume - buys, 0))


def _interest(table: CsvTable, close: FloatArray) -> FloatArray:
    """Return open interest, coins; USD are taken at the bar's close; NaN where unknown."""
    names = ("open_interest", "sum_open_interest", "openinterest")
    if (in_coins := table.beginning(*names, unit=is_coins)) is not None:
        return table.amounts(in_coins)
    if (in_usd := table.beginning(*names, unit=is_usd)) is not None:
        return table.amounts(in_usd) / close
    return np.full(len(close), np.nan)


def _liquidations(table: CsvTable, known_from: int | None) -> Executed:
    start = table.times()
    keys = [name for name in ("venue", "exchange", "side") if name in table.frame.columns]
    symbol = table.exact("symbol", "coin")
    if symbol is not None and not keys and table.frame[symbol].n_unique() > 1:
        raise ConfigurationError(f"{table.file}: expected liquidations of one market, found several in {symbol!r}")
    _refuse_repeats(table, start, keys)
    end = _given_ends(table, start)
    rows = pl.DataFrame(
        {
            "start": start,
            "end": start if end is None else end,
            "long": _side(table, "long"),
            "short": _side(table, "short"),
            "is_beside_lost": table.is_beside_lost,
        }
    )
    summed = (
        rows.group_by("start", "end")
        .agg(pl.col("long", "short").sum(), pl.len().alias("rows"), pl.col("is_beside_lost").any())
        .sort("start", "end")
    )
    start, end = summed["start"].to_numpy(), summed["end"].to_numpy() if end is not None else None
    usd = summed.select("long", "short").to_numpy().astype(np.float64)
    if keys:
        # A venue without a row says nothing of what it liquidated, so the sum of the others is not all of it.
        usd[summed["rows"].to_numpy() < table.frame.select(keys).n_unique()] = np.nan
    if end is None:
        # Where a line was left out, nothing says when the interval before it ended.
        is_lost = summed["is_beside_lost"].to_numpy()
        usd[is_lost] = np.nan
        start, end, usd = _ended_by_next(table.file, start, usd, is_lost)
    else:
        _refuse_overlaps(table.file, start, end)
    empty = np.isnan(usd).any(axis=1)
    if empty.any():
        note(
            f"{table.file}: {empty.sum()} intervals lack a value of longs, of shorts or of a venue; what was "
            "liquidated then is unknown, not 0"
        )
    begin = max(known_from or 0, int(start[0]))
    return Executed(start[~empty], end[~empty], usd[~empty], begin, int(end[-1]))


def _side(table: CsvTable, name: str) -> FloatArray:
    column = table.beginning(name, unit=is_usd) or table.beginning(name)
    if column is None:
        raise table.refuse_missing(f"a column {name!r}")
    return table.amounts(column)


def _refuse_repeats(table: CsvTable, start: IntArray, keys: list[str]) -> None:
    rows = table.frame.select(keys).with_columns(pl.Series("start", start))
    if rows.is_duplicated().any():
        raise _repeated(
            table,
            rows,
            "the interval from {} is there more than once, lines {} and {}; rows of several venues need a column "
            "'venue'",
        )


def _repeated(table: CsvTable, keys: pl.DataFrame, sentence: str) -> ConfigurationError:
    """Return the complaint about rows whose `keys`, with a `start` (ms), are those of others.

    The first of rows that say the same may stay; of rows that contradict each other none may. Where there are more than
    a few, the file as a whole holds something else.
    """
    said = table.frame.rename(lambda name: f"said {name}")
    rows = keys.hstack(said.get_columns()).with_row_index("row")
    reasons: dict[int, str] = {}
    is_repeat = True
    for group in rows.filter(keys.is_duplicated()).partition_by(keys.columns, maintain_order=True):
        same = group["row"].to_list()
        are_alike = group.drop("row").n_unique() == 1
        is_repeat &= are_alike
        lines = table.lines[same].tolist()
        text = sentence.format(time_text(int(group["start"][0])), lines[0], lines[1])
        reasons |= dict.fromkeys(same[1:] if are_alike else same, text)
    if len(reasons) > max(_FEW_REPEATS, len(rows) * _SHARE_OF_REPEATS):
        return ConfigurationError(f"{table.file}: {next(iter(reasons.values()))}")
    return RefusedRows(table, reasons, is_repeat=is_repeat)


def _given_ends(table: CsvTable, start: IntArray) -> IntArray | None:
    """Return the ends that the file gives, ms; refuse intervals of no time or of more than an hour."""
    length, until = table.beginning("length", "duration"), table.exact("end", "t_end", "end_time", "interval_end")
    if length is not None:
        unit = _LENGTH_UNITS.get(length.rsplit("_", 1)[-1], 1)
        given = table.numbers(length)
        if np.isnan(given).any():
            raise table.refusal("a length", np.isnan(given), length)
        end = start + np.rint(given * unit).astype(np.int64)
    elif until is not None:
        end = table.ms(until)
        # Ends may be the last second or ms that belongs to the interval.
        end = np.where(end % MINUTE_MS >= MINUTE_MS - 1_000, -(-end // MINUTE_MS) * MINUTE_MS, end)
    else:
        return None
    if (wrong := end <= start).any():
        raise table.refusal("an end after the start", wrong, str(length or until))
    long = np.flatnonzero(end - start > HOUR_MS).tolist()
    if long:
        raise RefusedRows(table, {row: _too_long(int(end[row] - start[row])) for row in long})
    return np.asarray(end)


def _too_long(length: int) -> str:
    return f"intervals of at most an hour are needed, was {length / HOUR_MS:.4g} h: the map is judged by the hour"


def _refuse_overlaps(file: Path, start: IntArray, end: IntArray) -> None:
    """Refuse intervals that overlap; one whose length is another than the next's is noted: the length changed there."""
    overlaps = np.flatnonzero(start[1:] < end[:-1])
    if not len(overlaps):
        return
    length = end - start
    first = int(overlaps[0])
    text = f"the interval from {time_text(int(start[first]))} overlaps that from {time_text(int(start[first + 1]))}"
    if (length[overlaps] == length[overlaps + 1]).any() or len(overlaps) > max(1, len(start) * _SHARE_OF_OVERLAPS):
        raise ConfigurationError(f"{file}: {text}, {len(overlaps)} such in all: what was liquidated would count twice")
    note(f"{file}: {text}, where their length changes; both count")


def _ended_by_next(
    file: Path, start: IntArray, usd: FloatArray, is_lost: BoolArray
) -> tuple[IntArray, IntArray, FloatArray]:
    """End each interval where the next begins, after an hour at most; the rest has no liquidations.

    `is_lost` says after which intervals a line was left out: of that rest nothing is known.
    """
    spacing = np.diff(start)
    typical = int(np.median(spacing)) if len(spacing) else MINUTE_MS
    if typical > HOUR_MS:
        raise ConfigurationError(f"{file}: {_too_long(typical)}")
    end = np.append(np.minimum(start[1:], start[:-1] + HOUR_MS), start[-1] + typical)
    long = spacing > max(_LONG_SPACING * typical, HOUR_MS)
    if long.any():
        longest = int(np.argmax(spacing))
        note(
            f"{file}: {long.sum()} times no row for more than {max(_LONG_SPACING * typical, HOUR_MS) / HOUR_MS:.3g} h, "
            f"the longest from {time_text(int(end[longest]))} to {time_text(int(start[longest + 1]))}; this counts as "
            "no liquidations. With a column 'length' (ms) or 'end' it counts as unknown"
        )
    fillers = [
        np.arange(first, last, HOUR_MS) for first, last in zip(end[:-1].tolist(), start[1:].tolist(), strict=True)
    ]
    added = np.concatenate([*fillers, np.zeros(0, dtype=np.int64)]).astype(np.int64)
    after = np.minimum(added + HOUR_MS, np.append(start, end[-1])[np.searchsorted(start, added, "right")])
    order = np.argsort(np.concatenate([start, added]), kind="stable")
    rest = np.zeros((len(added), 2))
    rest[is_lost[np.maximum(np.searchsorted(start, added, "right") - 1, 0)]] = np.nan
    everything = np.concatenate([usd, rest])
    return np.concatenate([start, added])[order], np.concatenate([end, after])[order], everything[order]
