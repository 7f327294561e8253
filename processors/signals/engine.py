"""Signals of one symbol, driven by what the position engine says about its markets' closed minutes.

Venues close their minutes at different times. A minute of the *symbol* is judged once, as soon as every
live venue has closed it, or the fastest is `lag_minutes` ahead; a venue is live until its latest minute is
`stale_minutes` old. A venue behind counts with the latest map it has closed, and what it swept and executed
later counts in the next minute that is judged, unless it is history by then. All of that depends on the order
of the log alone.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from statistics import median
from typing import Any

import msgspec
import numpy as np
import polars as pl

from liqheat.domain.events import Batch, Kind, schema_of
from liqheat.domain.heatmap import TrackRecord
from liqheat.domain.market import Venue
from liqheat.domain.signals import Alert, Cascade, Cluster, ClusterShare, MarketSignal, SymbolSignal
from liqheat.domain.venues import VENUE_FACTS
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.settings import Signals
from processors.heatmap.rows import ClosedMinutes
from processors.signals import funding, history, track_record
from processors.signals.alerts import Minute
from processors.signals.book import Rows, rows_of
from processors.signals.judging import Case, Judgement, judge_all
from processors.signals.state import NO_ROWS, Market, Reading, SignalState
from processors.signals.track_record import ClosedMinute

Record = Judgement | TrackRecord

_KINDS: dict[type[Record], Kind] = {
    Cluster: Kind.CLUSTERS,
    ClusterShare: Kind.CLUSTER_SHARES,
    Alert: Kind.ALERTS,
    SymbolSignal: Kind.SYMBOL_SIGNALS,
    MarketSignal: Kind.MARKET_SIGNALS,
    Cascade: Kind.CASCADES,
}

_READ = tuple(name for name in Reading.__struct_fields__ if name not in ("window", "rows"))
"""Columns of a market minute that are read."""


def readings_of(closed: ClosedMinutes) -> Iterator[tuple[int, Reading]]:
    """Yield each closed minute with the number of its market."""
    rows, starts = rows_of(closed.levels), closed.starts.tolist()
    windows = closed.columns["window_start"].tolist()
    values = zip(*(closed.columns[name].tolist() for name in _READ), strict=True)
    for place, (market, window, own) in enumerate(zip(closed.markets.tolist(), windows, values, strict=True)):
        yield market, Reading(window, rows[starts[place] : starts[place + 1]], *own)


@dataclass(frozen=True, slots=True)
class Closed:
    """A market's closed minute, with the memory of its symbol, which it changes, and the symbol's thresholds."""

    state: SignalState
    venue: str
    reading: Reading
    settings: Signals


def update_all(closed: Iterable[Closed], grid_factor: int) -> list[tuple[str, tuple[Kind, str, Record]]]:
    """Take in what the position engine closed; return the records of the minutes of symbols that this completes.

    What a minute is judged by follows from its readings alone; so all readings are taken in first, then the minutes
    that are complete are judged together.

    Args:
        closed: minutes of each symbol in the order in which they closed.
        grid_factor: fine buckets in one published bucket.

    Returns:
        Symbol, and kind, venue (`ALL_VENUES` for what is about the symbol over all of them) and record, in order.
    """
    found: list[tuple[str, list[tuple[Kind, str, Record]] | Case]] = []
    for each in closed:
        state, reading = each.state, each.reading
        state.grid_factor = grid_factor
        market = state.markets.get(each.venue)
        if market is None:
            interval = VENUE_FACTS[Venue(each.venue)].funding_interval
            market = state.markets[each.venue] = Market(funding_interval=interval)
        judged = track_record.add(market.record, _closed_minute(reading, grid_factor), Venue(each.venue))
        if judged:
            found.append((state.symbol, [(Kind.TRACK_RECORD, each.venue, row) for row in judged]))
        market.closed = max(market.closed, reading.window)
        if reading.window <= state.window:
            _count(market, reading, state.window, each.settings)
        else:
            market.waiting[reading.window] = reading
        found += [(state.symbol, case) for case in _complete(state, each.settings)]
    answers = iter(judge_all([case for _, case in found if isinstance(case, Case)], grid_factor))
    records: list[tuple[str, tuple[Kind, str, Record]]] = []
    for symbol, said in found:
        if isinstance(said, Case):
            records += [(symbol, (_KINDS[type(record)], place, record)) for place, record in next(answers)]
        else:
            records += [(symbol, record) for record in said]
    return records


def _closed_minute(reading: Reading, grid_factor: int) -> ClosedMinute:
    return ClosedMinute(
        window=reading.window,
        mark_low=reading.mark_low,
        mark_high=reading.mark_high,
        mark_close=reading.mark_close,
        predicted=(reading.predicted_long_usd, reading.predicted_short_usd),
        executed=(reading.liquidated_long_usd, reading.liquidated_short_usd),
        rows=reading.rows,
        is_known=reading.liquidations_known,
        warming_up=reading.warming_up,
        grid_factor=grid_factor,
        model_version=reading.model_version,
        revision=reading.revision,
    )


def to_batches(records: Sequence[tuple[str, tuple[Kind, str, Record]]]) -> list[Batch]:
    """Return (symbol, (kind, venue, record)) as batches, one of each kind and venue, in order."""
    gathered: dict[tuple[Kind, str], list[dict[str, Any]]] = defaultdict(list)
    for symbol, (kind, venue, record) in records:
        # By rows this is several times faster than a column at a time, and by names again than by places.
        gathered[kind, venue].append({"symbol": symbol, "instrument": "", **msgspec.structs.asdict(record)})
    return [
        Batch(kind, venue, pl.DataFrame(rows, schema=schema_of(kind).wire)) for (kind, venue), rows in gathered.items()
    ]


def _complete(state: SignalState, settings: Signals) -> Iterator[Case]:
    """Yield the minutes of a symbol that are to be judged now, and move its memory behind them."""
    while True:
        waiting = [window for market in state.markets.values() for window in market.waiting if window > state.window]
        if not waiting:
            return
        window = min(waiting)
        stale = window - settings.stale_minutes * MINUTE_MS
        live = [market for market in state.markets.values() if market.closed > stale]
        fastest = max(market.closed for market in live)
        behind = any(market.closed < window for market in live)
        if behind and fastest < window + settings.lag_minutes * MINUTE_MS:
            return
        for market in state.markets.values():
            for each in sorted(each for each in market.waiting if each <= window):
                _count(market, market.waiting.pop(each), state.window, settings)
        state.window = window
        # Copies: the markets go on before the minute is judged.
        current = {Venue(name): copy(market) for name, market in state.markets.items() if market.reached > stale}
        minute = _minute(state, current)
        if minute is not None and state.grid_factor:
            state.mark_close = minute.mark
            yield Case(state, minute, current, settings)
        for market in state.markets.values():
            market.flows, market.executed = NO_ROWS, (0, 0)
            market.mark_high = market.mark_low = math.nan


def _count(market: Market, reading: Reading, judged: int, settings: Signals) -> None:
    """Let a minute of a market count in the next minute that is judged; `judged` is the last one that was.

    Its level counts if it is the latest. Its flows count unless it is older than a live venue may be: hours of
    history that come at once are no minute's flow. Its mark counts if its time was not judged without it.
    """
    if reading.window > judged - settings.stale_minutes * MINUTE_MS:
        long_usd, short_usd = market.executed
        market.executed = long_usd + reading.liquidated_long_usd, short_usd + reading.liquidated_short_usd
        flows = _flows(reading.rows)
        market.flows = np.concatenate((market.flows, flows)) if len(market.flows) else flows
    if reading.window <= market.reached:
        return
    before = market.latest
    if before is not None:
        market.funding_interval = funding.learned_interval(
            market.funding_interval, before.next_funding_time, reading.next_funding_time
        )
    if reading.window > judged:
        market.mark_high = float(np.fmax(market.mark_high, reading.mark_high))
        market.mark_low = float(np.fmin(market.mark_low, reading.mark_low))
    market.reached, market.latest = reading.window, reading
    market.history = history.appended(
        market.history, reading.window, reading.mark_close, reading.funding_rate, reading.open_interest
    )


def _flows(rows: Rows) -> Rows:
    """Return the rows that swept something, without their level."""
    flows = rows[rows["swept"] > 0]
    flows["at_risk"] = flows["expected"] = 0
    return flows


def _minute(state: SignalState, markets: Mapping[Venue, Market]) -> Minute | None:
    """Return the symbol's minute: the median over venues of each mark, so that one broken feed moves nothing."""
    latest = [market.latest for market in markets.values() if market.latest is not None]
    closes = [reading.mark_close for reading in latest if not math.isnan(reading.mark_close)]
    if not closes:
        return None
    mark = median(closes)
    lows = [market.mark_low for market in markets.values() if not math.isnan(market.mark_low)]
    highs = [market.mark_high for market in markets.values() if not math.isnan(market.mark_high)]
    before = [] if math.isnan(state.mark_close) else [state.mark_close]
    volumes = [reading.turnover_24h_usd for reading in latest if reading.turnover_24h_usd > 0]
    return Minute(
        symbol=state.symbol,
        window=state.window,
        mark=mark,
        low=min(mark, *before, median(lows) if lows else mark),
        high=max(mark, *before, median(highs) if highs else mark),
        adv=sum(volumes) if volumes else math.nan,
        revision=max(reading.revision for reading in latest),
    )
