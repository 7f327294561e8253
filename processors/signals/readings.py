"""The rows that a judged minute publishes: clusters, a market's funding and open interest, the symbol's readings.

Called by the engine alone; each function only reads.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from liqheat.domain.market import LEVERAGE_BANDS, Side, Venue
from liqheat.domain.signals import Cluster, ClusterShare, MarketSignal, SymbolSignal
from liqheat.domain.windows import HOUR_MS, MINUTE_MS
from liqheat.platform.settings import Signals
from processors.signals import curves, funding, open_interest
from processors.signals.alerts import Minute, distance_percent, percent_of_adv
from processors.signals.book import VENUES, SideBook
from processors.signals.clusters import Tracked
from processors.signals.conviction import ClusterReading, Conviction, conviction, exposure_reduction, is_coiled
from processors.signals.history import MARK_PRICE
from processors.signals.round_numbers import distance_percent as round_number_distance
from processors.signals.round_numbers import nearest_round_number
from processors.signals.state import Market

_MOVES = (1, 2, 5, 10)
"""Moves, in % of the mark, of which is published what they would liquidate."""
_BAND_COLUMNS = tuple(f"share_{band.replace('-', '_').replace('x+', 'x_up')}" for band in LEVERAGE_BANDS)


def cluster_row(minute: Minute, book: SideBook, cluster: Tracked) -> Cluster:
    """Return the published row of a cluster at the end of `minute`; shares are NaN once it has ended."""
    inside = slice(max(cluster.low - book.base, 0), max(cluster.high + 1 - book.base, 0))
    total = cluster.at_risk or math.nan
    by_band = book.by_band[inside].sum(axis=0) / total
    round_number = nearest_round_number(cluster.peak_price)
    return Cluster(
        window_start=minute.window,
        cluster_id=cluster.cluster_id,
        side=cluster.side,
        state=cluster.state,
        price_low=cluster.price_low,
        price_high=cluster.price_high,
        nearer_edge=cluster.nearer_edge,
        peak_price=cluster.peak_price,
        at_risk_usd=cluster.at_risk,
        peak_usd=int(book.at_risk[inside].max(initial=0)) if cluster.at_risk else 0,
        swept_usd=cluster.swept,
        observed_share=float(book.observed[inside].sum() / total),
        **{name: float(share) for name, share in zip(_BAND_COLUMNS, by_band, strict=True)},
        confidence=float(book.confidence[inside].sum() / total),
        percent_of_adv=percent_of_adv(cluster.at_risk, minute.adv),
        distance=distance_percent(cluster.side, cluster.nearer_edge, minute.mark),
        round_number=round_number,
        round_number_distance=round_number_distance(round_number, cluster.price_low, cluster.price_high),
        born_time=cluster.born,
        age_minutes=(minute.window - cluster.born) // MINUTE_MS,
        revision=minute.revision,
    )


def cluster_shares(minute: Minute, book: SideBook, cluster: Tracked) -> Iterator[tuple[Venue, ClusterShare]]:
    """Yield what each venue holds of a cluster at the end of `minute`; nothing once it has ended."""
    inside = slice(max(cluster.low - book.base, 0), max(cluster.high + 1 - book.base, 0))
    if not cluster.at_risk:
        return
    for venue, usd in zip(VENUES, book.by_venue[inside].sum(axis=0).tolist(), strict=True):
        if usd:
            yield (
                venue,
                ClusterShare(
                    window_start=minute.window,
                    cluster_id=cluster.cluster_id,
                    side=cluster.side,
                    at_risk_usd=usd,
                    share=usd / cluster.at_risk,
                    revision=minute.revision,
                ),
            )


def market_signal(minute: Minute, market: Market) -> MarketSignal:
    """Return one venue's funding and open interest at the end of `minute`."""
    latest = market.latest
    settlement = 0 if latest is None else latest.next_funding_time
    rate = funding.mean_rate(market.history, minute.window, market.funding_interval)
    return MarketSignal(
        window_start=minute.window,
        funding_rate=math.nan if latest is None else latest.funding_rate,
        funding_rate_4h=rate,
        funding_direction=funding.direction(rate),
        next_funding_time=settlement,
        settlement_seconds=funding.seconds_to_settlement(settlement, minute.window + MINUTE_MS),
        open_interest_change_1h=open_interest.change_percent(market.history, market.reached, HOUR_MS),
        open_interest_change_4h=open_interest.change_percent(market.history, market.reached, 4 * HOUR_MS),
        revision=minute.revision,
    )


def symbol_signal(
    minute: Minute,
    markets: Mapping[Venue, Market],
    books: Mapping[Side, SideBook],
    clusters: Sequence[Cluster],
    inside: frozenset[str],
    signals: Mapping[Venue, MarketSignal],
    settings: Signals,
) -> SymbolSignal:
    """Return the symbol's readings at the end of `minute`.

    Args:
        minute: prices and volume.
        markets: the live venues.
        books: both sides of the map.
        clusters: rows of the clusters alive.
        inside: ids of the clusters that price has entered and not left.
        signals: the venues' own readings of the same minute.
        settings: thresholds of the symbol.
    """
    near_long, *falls = _liquidated_within(minute, books[Side.LONG], (settings.focus_percent, *_MOVES))
    near_short, *rises = _liquidated_within(minute, books[Side.SHORT], (settings.focus_percent, *_MOVES))
    imbalance = curves.imbalance_percent(near_long, near_short)
    weights = [_open_interest_usd(markets[venue]) for venue in signals]
    rate = funding.weighted_mean([signal.funding_rate_4h for signal in signals.values()], weights)
    histories = {venue: market.history for venue, market in markets.items()}
    agreements = _agreements(signals, settings)
    change_4h = open_interest.total_change_percent(histories, minute.window, 4 * HOUR_MS)
    seen = [
        ClusterReading(Side(row.side), row.percent_of_adv, row.distance, row.round_number_distance) for row in clusters
    ]
    reading = conviction(seen, imbalance, rate, agreements[0], settings)
    heaviest_near = max((row.percent_of_adv for row in clusters if row.distance <= settings.focus_percent), default=0.0)
    return SymbolSignal(
        window_start=minute.window,
        mark_price=minute.mark,
        adv_usd=minute.adv,
        venues=len(markets),
        near_long_usd=near_long,
        near_short_usd=near_short,
        imbalance=imbalance,
        **{f"down_{step}_usd": usd for step, usd in zip(_MOVES, falls, strict=True)},
        **{f"up_{step}_usd": usd for step, usd in zip(_MOVES, rises, strict=True)},
        **_pain(books),
        nearest_long_distance=_nearest(clusters, Side.LONG),
        nearest_short_distance=_nearest(clusters, Side.SHORT),
        funding_rate_4h=rate,
        funding_direction=funding.direction(rate),
        settlement_seconds=_next_settlement(signals),
        open_interest_change_1h=open_interest.total_change_percent(histories, minute.window, HOUR_MS),
        open_interest_change_4h=change_4h,
        open_interest_agreement_1h=agreements[0],
        open_interest_agreement_4h=agreements[1],
        direction=reading.direction,
        conviction=min(reading.score, 100.0),
        **_parts(reading),
        coiled_spring=is_coiled(change_4h, _price_move(markets), heaviest_near, settings),
        exposure_reduction=_reduction(clusters, inside, settings),
        revision=minute.revision,
    )


def _parts(reading: Conviction) -> dict[str, Any]:
    """Return the points that each part gives to the conviction."""
    return {
        "conviction_cluster": reading.cluster,
        "conviction_imbalance": reading.imbalance,
        "conviction_funding": reading.funding,
        "conviction_open_interest": reading.open_interest,
        "conviction_round_number": reading.round_number,
    }


def _agreements(signals: Mapping[Venue, MarketSignal], settings: Signals) -> list[int]:
    """Return how many of the large venues agree on open interest over 1 h and over 4 h."""
    hour = {venue: signal.open_interest_change_1h for venue, signal in signals.items()}
    four_hours = {venue: signal.open_interest_change_4h for venue, signal in signals.items()}
    return [open_interest.agreement(changes, settings.open_interest_percent) for changes in (hour, four_hours)]


def _next_settlement(signals: Mapping[Venue, MarketSignal]) -> float:
    return min((each.settlement_seconds for each in signals.values() if each.settlement_seconds >= 0), default=math.nan)


def _liquidated_within(minute: Minute, book: SideBook, percents: Sequence[float]) -> list[int]:
    """Return what a move of each of `percents` towards a side would liquidate of it, micro-USD."""
    return curves.liquidated_by(book, [minute.mark * (1 - int(book.side) * each / 100) for each in percents])


def _pain(books: Mapping[Side, SideBook]) -> dict[str, Any]:
    """Return price and notional of each side's heaviest bucket."""
    heaviest = {side.label: curves.max_pain(books[side]) for side in Side}
    return {f"max_pain_{label}_price": pain.price for label, pain in heaviest.items()} | {
        f"max_pain_{label}_usd": pain.usd for label, pain in heaviest.items()
    }


def _reduction(clusters: Sequence[Cluster], inside: frozenset[str], settings: Signals) -> float:
    shares = (row.percent_of_adv for row in clusters if row.cluster_id in inside)
    return max((exposure_reduction(share, settings.caution_percent) for share in shares), default=0.0)


def _nearest(clusters: Sequence[Cluster], side: Side) -> float:
    return min((row.distance for row in clusters if row.side == side), default=math.nan)


def _open_interest_usd(market: Market) -> float:
    value = math.nan if market.latest is None else market.latest.open_interest_usd
    return 0.0 if math.isnan(value) else value


def _price_move(markets: Mapping[Venue, Market]) -> float:
    """Return how far apart highest and lowest mark of the history lie, in %, on the venue where that is least."""
    moves = []
    for market in markets.values():
        marks = market.history[:, MARK_PRICE]
        marks = marks[~np.isnan(marks)]
        if len(marks):
            moves.append(100.0 * (float(marks.max()) / float(marks.min()) - 1))
    return min(moves, default=math.inf)
