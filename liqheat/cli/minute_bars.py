"""Normalised events into minute bars for `liqheat backtest`: what the recording missed is a hole, not a quiet time."""

from math import ceil, log
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ingest.bounded_json import BOM
from liqheat.cli.bad_lines import BadLines
from liqheat.cli.csv_table import FloatArray, IntArray
from liqheat.cli.map_events import read_events, whole_of
from liqheat.cli.packed_files import contents_of
from liqheat.cli.times import note, time_text
from liqheat.domain.events import Event, Kind, Liquidation, Mark, OpenInterest, Trade
from liqheat.domain.windows import DAY_MS, HOUR_MS, MINUTE_MS
from liqheat.platform.clock import SystemClock
from liqheat.platform.errors import ConfigurationError, PoisonMessage
from liqheat.scoring.bars import Bars, Executed

_FOREVER = 2**62
_READ = (Mark, Trade, OpenInterest, Liquidation)
_RARE = 1e-6
"""A spacing of events that random arrivals would show less often than this is a hole."""
_FEWEST_SPACINGS, _MOST_SPACINGS = 5, 20
_STRAY_SHARE = 0.001
"""Events a day or more from all others are strays where they are fewer than this share."""
_GAP_MARK = Kind.GAPS.value.encode()

Span = tuple[int, int]


def read_events_file(
    file: Path, market: str, known_from: int | None, bad_lines: BadLines | None = None
) -> tuple[Bars, Executed, str]:
    """Read normalised events, as `liqheat normalise` prints them, into minute bars of one market.

    Args:
        file: one JSON per line.
        market: `venue:SYMBOL`, may be empty where the file has one market.
        known_from: ms before which no liquidations were recorded; by default the file's start.
        bad_lines: takes lines that cannot be read, and the others count; None: the first ends the reading.

    Returns:
        Bars, liquidations by minute, and the market's name.

    Raises:
        ConfigurationError: the market is not in the file, or the file has several and none was named.
        PoisonMessage: a line cannot be read, and there are no `bad_lines`.
    """
    by_market: dict[str, list[Event]] = {}
    gaps: dict[str, list[Span]] = {}
    now = SystemClock().now_ms()
    for number, line in enumerate(contents_of(file, bad_lines).splitlines(), start=1):
        try:
            events = read_events(line, now) if line.strip() else []
            if not events and _GAP_MARK in line:
                gap_market, spans = _gap(line)
                gaps.setdefault(gap_market, []).extend(spans)
        except PoisonMessage as poison:
            if bad_lines is None:
                raise PoisonMessage(f"line {number}: {poison.reason}") from poison
            bad_lines.add(number, poison.reason)
            continue
        for event in events:
            by_market.setdefault(f"{event.venue}:{event.symbol}", []).append(event)
    if market not in by_market:
        names = ", ".join(sorted(by_market)) or "no market"
        if market or len(by_market) != 1:
            raise ConfigurationError(f"Expected --market out of {names}, was {market!r}")
        market = next(iter(by_market))
    return *_minute_bars(by_market[market], known_from, gaps.get(market, [])), market


def loses_liquidations(stream: str, start: int, end: int) -> bool:
    """Return whether a hole in a feed, ms, may have taken liquidations with it.

    No venue gives liquidations of the past, so a hole of a minute or more, which is no jump in numbers of trades, has
    lost them though its trades were filled in.
    """
    words = stream.lower()
    return "liquidation" in words or "forceorder" in words or end - start >= MINUTE_MS


def _gap(line: bytes) -> tuple[str, list[Span]]:
    """Return the market of a line that is a recorded gap, and its span, ms, if liquidations were lost in it.

    Raises:
        PoisonMessage: a time of it is none.
    """
    fields = msgspec.json.decode(line.removeprefix(BOM), type=dict[str, Any])
    start, end = (whole_of(name, fields.get(name)) for name in ("event_time", "end_time"))
    market = f"{str(fields.get('venue')).lower()}:{str(fields.get('symbol')).strip().upper()}"
    return market, [(start, end)] if loses_liquidations(str(fields.get("stream")), start, end) else []


def unknown_minutes(minutes: IntArray, gaps: list[Span]) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    """Return which of the minutes, ms, lie in a gap at least in part."""
    found = np.zeros(len(minutes), dtype=np.bool_)
    for start, end in gaps:
        found |= (minutes < max(end, start + 1)) & (minutes + MINUTE_MS > start)
    return found


def _minute_bars(events: list[Event], known_from: int | None, gaps: list[Span]) -> tuple[Bars, Executed]:
    """Gather events into bars of a minute; a minute without a mark repeats the last close, a hole has no bars."""
    events = sorted((event for event in events if isinstance(event, _READ)), key=_time)
    if not any(isinstance(event, Mark | Trade) for event in events):
        raise ConfigurationError("Expected marks or trades of the market, found none")
    events = _without_strays(events)
    minutes = _recorded(np.unique([event.event_time // MINUTE_MS for event in events]))
    place_of = {minute: place for place, minute in enumerate(minutes.tolist())}
    trades = [event for event in events if isinstance(event, Trade)]
    marks = [(event.event_time, event.mark_price) for event in events if isinstance(event, Mark)]
    points = marks or [(trade.event_time, trade.price) for trade in trades]
    prices = _path([(place_of[time // MINUTE_MS], price) for time, price in points], minutes)
    flows = np.zeros((2, len(minutes)))
    interest, executed = np.full(len(minutes), np.nan), np.zeros((len(minutes), 2))
    for event in events:
        place = place_of[event.event_time // MINUTE_MS]
        if isinstance(event, Trade):
            flows[0 if event.taker_side > 0 else 1, place] += event.price * event.quantity
        elif isinstance(event, OpenInterest):
            interest[place] = event.quantity
        elif isinstance(event, Liquidation):
            executed[place, 0 if event.side > 0 else 1] += event.price * event.quantity
    last = np.maximum.accumulate(np.where(np.isnan(interest), -1, np.arange(len(minutes))))
    interest = np.where(last >= 0, interest[np.maximum(last, 0)], np.nan)
    start = minutes * MINUTE_MS
    chosen = slice(int(np.flatnonzero(~np.isnan(prices[3]))[0]), None)
    opened_at, high, low, close = (price[chosen] for price in prices)
    bars = Bars(
        start[chosen], MINUTE_MS, opened_at, high, low, close, flows[0, chosen], flows[1, chosen], interest[chosen]
    )
    lost = unknown_minutes(start, gaps)
    if lost.any():
        note(f"{lost.sum()} minutes lie in recorded gaps of the feed; what was liquidated then is unknown")
    begin = max(known_from if known_from is not None else int(start[0]), int(start[0]))
    return bars, Executed(start[~lost], start[~lost] + MINUTE_MS, executed[~lost], begin, _FOREVER)


def _time(event: Event) -> int:
    return event.event_time


def _without_strays(events: list[Event]) -> list[Event]:
    """Leave out the few events that lie a day or more from all others, and say so."""
    times = np.array([event.event_time for event in events])
    piece = np.r_[0, np.cumsum(np.diff(times) > DAY_MS)]
    sizes = np.bincount(piece)
    stray = (sizes < _STRAY_SHARE * len(events))[piece]
    if stray.any():
        first, last = times[stray][0], times[stray][-1]
        note(
            f"left out, because more than a day from all others: {stray.sum()} of {len(events)} events, from "
            f"{time_text(int(first))} to {time_text(int(last))}"
        )
    return [event for event, is_stray in zip(events, stray.tolist(), strict=True) if not is_stray]


def _recorded(seen: IntArray) -> IntArray:
    """Return the minutes that were recorded: those with events, and the quiet ones between, but no holes.

    How long a quiet time may be is judged by the usual spacing, and by how often it is more than that.
    """
    spacing = np.diff(seen)
    usual = max(int(np.median(spacing)), 1) if len(spacing) else 1
    often = float((spacing <= usual).mean()) if len(spacing) else 1.0
    most = _FEWEST_SPACINGS if often >= 1 else ceil(log(_RARE) / log(1 - often))
    limit = usual * min(max(most, _FEWEST_SPACINGS), _MOST_SPACINGS)
    holes = np.flatnonzero(spacing > limit)
    if len(holes):
        longest = holes[int(np.argmax(spacing[holes]))]
        note(
            f"holes in the recording: {len(holes)}, {spacing[holes].sum() * MINUTE_MS / HOUR_MS:,.1f} h in all, the "
            f"longest from {time_text(int(seen[longest]) * MINUTE_MS)} to "
            f"{time_text(int(seen[longest + 1]) * MINUTE_MS)}; nothing is known of them"
        )
    parts = np.split(seen, holes + 1)
    return np.concatenate([np.arange(part[0], part[-1] + 1) for part in parts])


def _path(points: list[tuple[int, float]], minutes: IntArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return open, high, low and close of each minute; each opens where the one before closed, except after a hole."""
    count = len(minutes)
    opened_at, high, low, close = (np.full(count, np.nan) for _ in range(4))
    for place, price in points:
        if np.isnan(close[place]):
            opened_at[place] = high[place] = low[place] = price
        high[place], low[place], close[place] = max(high[place], price), min(low[place], price), price
    follows = np.diff(minutes) == 1
    for place in range(1, count):
        before = close[place - 1]
        if np.isnan(close[place]):
            opened_at[place] = high[place] = low[place] = close[place] = before
        elif follows[place - 1] and not np.isnan(before):
            opened_at[place] = before
            high[place], low[place] = max(high[place], before), min(low[place], before)
    return opened_at, high, low, close
