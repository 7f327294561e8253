"""Minutes of symbols, judged: clusters, alerts, where moves come to rest, and the readings that are published.

`processors.signals.engine` says which minutes are complete, and gives them all at once: what is arithmetic over price
buckets is done for all symbols together.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from liqheat.domain.market import ALL_VENUES, Side, Venue
from liqheat.domain.signals import Alert, Cascade, Cluster, ClusterShare, MarketSignal, SymbolSignal
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.settings import Signals
from processors.signals import clusters, readings
from processors.signals.alerts import Minute, SideCase
from processors.signals.book import MapMinute, Piece, SideBook, side_books
from processors.signals.cascade_rows import VenueDepth, cascades
from processors.signals.clusters import Tracked
from processors.signals.rules import cluster_alerts, side_alerts
from processors.signals.rules.entered import is_inside
from processors.signals.state import Market, SignalState
from processors.signals.terrain import Terrain, terrains

Judgement = Cluster | ClusterShare | Alert | SymbolSignal | MarketSignal | Cascade


@dataclass(frozen=True, slots=True)
class Case:
    """A complete minute of a symbol: prices and volume, and its live markets as they are then.

    Of `state` the clusters, and what is remembered of them and of the sides, go on when the minute is judged.
    """

    state: SignalState
    minute: Minute
    markets: Mapping[Venue, Market]
    settings: Signals


def judge_all(cases: Sequence[Case], grid_factor: int) -> Iterator[list[tuple[str, Judgement]]]:
    """Yield the records of each minute, with the venue that each belongs to; of one symbol, minutes are in order."""
    maps = side_books([_map_of(case) for case in cases], grid_factor)
    books = [book for sides in maps for book in sides.values()]
    grounds = iter(terrains(books, [case.settings.local_percent for case in cases for _ in Side]))
    for case, sides in zip(cases, maps, strict=True):
        yield list(_judge(case, sides, {side: next(grounds) for side in sides}))


def _map_of(case: Case) -> MapMinute:
    """Return what the map is made of: what each venue's latest minute holds, and what was swept since the last one."""
    pieces = []
    for venue, market in case.markets.items():
        if market.latest is not None:
            pieces.append(Piece(venue, market.latest.rows, flows=False))
        pieces.append(Piece(venue, market.flows, holds=False))
    return MapMinute(case.minute.low, case.minute.high, case.settings.reach_percent, pieces)


def _judge(
    case: Case, books: Mapping[Side, SideBook], grounds: Mapping[Side, Terrain]
) -> Iterator[tuple[str, Judgement]]:
    """Yield the records of a minute, with the venue that each belongs to."""
    state, minute, markets, settings = case.state, case.minute, case.markets, case.settings
    now: list[Tracked] = []
    ended: list[Tracked] = []
    for side, book in books.items():
        known = [cluster for cluster in state.clusters if cluster.side == side]
        alive, over = clusters.follow(
            state.symbol, minute.window, book, known, minute.low, minute.high, settings, grounds[side]
        )
        now += alive
        ended += over
    alerts = cluster_alerts(minute, state.clusters, now, ended, state.episodes, settings)
    moves = _moves(minute, markets, books, settings)
    executed = {
        Side.LONG: sum(market.executed[0] for market in markets.values()),
        Side.SHORT: sum(market.executed[1] for market in markets.values()),
    }
    alerts += side_alerts(SideCase(minute, executed, moves, settings), state.sides)
    state.clusters = now
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
    minute: Minute, markets: Mapping[Venue, Market], books: Mapping[Side, SideBook], settings: Signals
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
