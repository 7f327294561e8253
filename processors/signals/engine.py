"""Signals of one symbol, driven by what the position engine says about its markets' closed minutes.

Venues close their minutes at different times. A minute of the *symbol* is judged once, as soon as every
live venue has closed it, or the fastest is `lag_minutes` ahead; a venue is live until its latest minute is
`stale_minutes` old. A venue behind counts with the latest map it has closed, and what it swept and executed
later counts in the next minute that is judged, unless it is history by then. All of that depends on the order
of the log alone.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import Any

import msgspec
import numpy as np
import polars as pl

from liqheat.domain.events import Batch, Kind, schema_of
from liqheat.domain.heatmap import TrackRecord
from liqheat.domain.market import ALL_VENUES, Side, Venue
from liqheat.domain.signals import Alert, Cascade, Cluster, ClusterShare, MarketSignal, SymbolSignal
from liqheat.domain.venues import VENUE_FACTS
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.settings import Signals
from processors.heatmap.rows import ClosedMinutes
from processors.signals import clusters, funding, history, readings, track_record
from processors.signals.alerts import Minute, SideCase
from processors.signals.book import Rows, SideBook, rows_of, side_book
from processors.signals.cascade_rows import VenueDepth, cascades
from processors.signals.clusters import Tracked
from processors.signals.rules import cluster_alerts, side_alerts
from processors.signals.rules.entered import is_inside
from processors.signals.state import NO_ROWS, Market, Reading, SignalState
from processors.signals.track_record import ClosedMinute

Record = Cluster | ClusterShare | Alert | SymbolSignal | MarketSignal | Cascade | TrackRecord

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


def update(
    state: SignalState, readings: Iterable[tuple[str, Reading]], settings: Signals, grid_factor: int
) -> list[tuple[Kind, str, Record]]:
    """Take in what the position engine closed; return the records of the symbol's minutes that this completes.

    Args:
        state: the symbol's memory; changed.
        readings: venue and minute, in the order in which they closed.
        settings: thresholds of the symbol (`Signals.of`).
        grid_factor: fine buckets in one published bucket.

    Returns:
        Kind, venue (`ALL_VENUES` for what is about the symbol over all of them) and record, in order.
    """
    records: list[tuple[Kind, str, Record]] = []
    state.grid_factor = grid_factor
    for venue, reading in readings:
        market = state.markets.get(venue)
        if market is None:
            market = state.markets[venue] = Market(funding_interval=VENUE_FACTS[Venue(venue)].funding_interval)
        judged = track_record.add(market.record, _closed_minute(reading, grid_factor), Venue(venue))
        records += [(Kind.TRACK_RECORD, venue, row) for row in judged]
        market.closed = max(market.closed, reading.window)
        if reading.window <= state.window:
            _count(market, reading, state.window, settings)
        else:
            market.waiting[reading.window] = reading
        records += [(_KINDS[type(record)], place, record) for place, record in _judge_ready(state, settings)]
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


def _judge_ready(state: SignalState, settings: Signals) -> Iterator[tuple[str, Record]]:
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
        current = {Venue(name): market for name, market in state.markets.items() if market.reached > stale}
        yield from _judge(state, current, settings)
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
        market.flows = np.concatenate((market.flows, _flows(reading.rows)))
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
    flows = rows[rows["swept"] > 0].copy()
    flows["at_risk"] = flows["expected"] = 0
    return flows


def _levels(rows: Rows) -> Rows:
    """Return the rows that hold something, without their flow."""
    levels = rows[(rows["at_risk"] > 0) | (rows["expected"] > 0)].copy()
    levels["swept"] = 0
    return levels


def _judge(state: SignalState, markets: dict[Venue, Market], settings: Signals) -> Iterator[tuple[str, Record]]:
    """Yield the records of the minute `state.window`, with the venue that each belongs to."""
    minute = _minute(state, markets)
    if minute is None or not state.grid_factor:
        return
    rows: dict[Venue, list[Rows]] = {}
    executed = {Side.LONG: 0, Side.SHORT: 0}
    for venue, market in markets.items():
        latest = NO_ROWS if market.latest is None else market.latest.rows
        rows[venue] = [_levels(latest), market.flows]
        executed[Side.LONG] += market.executed[0]
        executed[Side.SHORT] += market.executed[1]
    books: dict[Side, SideBook] = {}
    now: list[Tracked] = []
    ended: list[Tracked] = []
    for side in Side:
        book = side_book(side, minute.low, minute.high, settings.reach_percent, state.grid_factor, rows)
        known = [cluster for cluster in state.clusters if cluster.side == side]
        alive, over = clusters.follow(state.symbol, minute.window, book, known, minute.low, minute.high, settings)
        now += alive
        ended += over
        books[side] = book
    alerts = cluster_alerts(minute, state.clusters, now, ended, state.episodes, settings)
    moves = _moves(minute, markets, books, settings)
    alerts += side_alerts(SideCase(minute, executed, moves, settings), state.sides)
    state.clusters, state.mark_close = now, minute.mark
    seen = [cluster for cluster in now if cluster.seen == minute.window]
    rows_out = [readings.cluster_row(minute, books[Side(cluster.side)], cluster) for cluster in (*seen, *ended)]
    for row in rows_out:
        yield ALL_VENUES, row
    for cluster in seen:
        for venue, share in readings.cluster_shares(minute, books[Side(cluster.side)], cluster):
            yield venue.value, share
    for alert in alerts:
        yield ALL_VENUES, alert
    for move in moves:
        yield ALL_VENUES, move
    signals = {venue: readings.market_signal(minute, market) for venue, market in markets.items()}
    for venue, signal in signals.items():
        yield venue.value, signal
    alive_rows = rows_out[: len(seen)]
    inside = frozenset(name for name, episode in state.episodes.items() if is_inside(episode))
    yield ALL_VENUES, readings.symbol_signal(minute, markets, books, alive_rows, inside, signals, settings)


def _moves(
    minute: Minute, markets: dict[Venue, Market], books: dict[Side, SideBook], settings: Signals
) -> list[Cascade]:
    """Return where moves come to rest, against the order books that were read within `stale_minutes`."""
    latest = [market.latest for market in markets.values() if market.latest is not None]
    oldest = minute.window + MINUTE_MS - settings.stale_minutes * MINUTE_MS
    depths = [
        VenueDepth(
            np.array(reading.bid_depth_usd),
            np.array(reading.ask_depth_usd),
            reading.bid_reach,
            reading.ask_reach,
            reading.open_interest_usd,
        )
        for reading in latest
        if reading.depth_time >= oldest and reading.depth_time > 0
    ]
    interest = sum(reading.open_interest_usd for reading in latest if reading.open_interest_usd > 0)
    sides = [books[side] for side in Side]
    return cascades(minute.window, minute.mark, sides, depths, interest, settings.book_refill, minute.revision)


def _minute(state: SignalState, markets: dict[Venue, Market]) -> Minute | None:
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
