"""Alerts: what a trader is informed of once, judged minute by minute.

- approaching: the outer edge of a cluster of at least `cluster_usd` is within `approach_percent` of the mark;
  again after it was `rearm_percent` further away than that;
- entered: the mark's range of the minute reaches the outer edge of a cluster that held `cluster_usd` a minute
  before, as it was then; once per visit (`processors.signals.visits`);
- caution: a cluster exceeds `caution_percent` of ADV; again after it fell below 90 % of that;
- swept: price took what such a cluster held, whether it ends or a part of it is left; once per visit;
- cascade: executed liquidations of a side in a minute are `cascade_factor` times the usual and at least
  `cascade_usd`; again after five minutes in a row below half of that;
and none of them twice within `cooldown_minutes` for the same cluster (a cascade: the same side). An alert's
id is made of kind, cluster and minute, so a replay or a restart names the same alert the same.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from liqheat.domain.market import Side
from liqheat.domain.money import MICRO_USD_PER_USD, usd_text
from liqheat.domain.signals import Alert, AlertKind
from liqheat.domain.units import known
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.settings import Signals
from processors.signals.clusters import Tracked
from processors.signals.conviction import exposure_reduction
from processors.signals.visits import Visit, is_swept

CAUTION_REARM_SHARE = 0.9
CASCADE_CALM_SHARE = 0.5
CASCADE_CALM_MINUTES = 5


class Episode(msgspec.Struct):
    """What was already said about one cluster; times are windows (ms)."""

    approached: bool = False
    entered: bool = False
    swept: bool = False
    cautioned: bool = False
    told: dict[str, int] = {}


class CascadeWatch(msgspec.Struct):
    """One side's executed liquidations per minute: the usual (micro-USD), minutes seen, whether one is under way."""

    usual: float = 0.0
    minutes: int = 0
    running: bool = False
    calm_minutes: int = 0
    told: int = 0


@dataclass(frozen=True, slots=True)
class Minute:
    """The symbol's minute as alerts see it: prices in USD, `adv` in USD (NaN unknown), `window` its start (ms).

    `low` and `high` include the close of the minute before, so that a jump over an edge is a crossing.
    """

    symbol: str
    window: int
    mark: float
    low: float
    high: float
    adv: float
    revision: int

    def alert(
        self,
        kind: AlertKind,
        side: int,
        notional: int,
        text: str,
        *,
        cluster_id: str = "",
        edge: float = math.nan,
        distance: float = math.nan,
    ) -> Alert:
        """Return an alert of this minute on a side's `notional` (micro-USD), about a cluster or all of the side.

        `edge` is a price in USD and `distance` in %; NaN where there is none.
        """
        subject = cluster_id or f"{self.symbol}-{Side(side).label}"
        return Alert(
            event_time=self.window + MINUTE_MS,
            alert_id=f"{kind}-{subject}-{self.window // MINUTE_MS}",
            kind=kind,
            side=int(side),
            cluster_id=cluster_id,
            mark_price=self.mark,
            edge_price=edge,
            notional_usd=notional,
            percent_of_adv=percent_of_adv(notional, self.adv),
            distance=distance,
            message=f"{self.symbol} {text}",
            revision=self.revision,
        )


def distance_percent(side: int, edge: float, mark: float) -> float:
    """Return how far the mark is from a cluster's nearer edge, in % of the mark; negative inside."""
    return 100.0 * side * (mark - edge) / mark


def percent_of_adv(notional: int, adv: float) -> float:
    """Return a notional (micro-USD) in % of ADV (USD); NaN where that is unknown."""
    return known(100.0 * notional / MICRO_USD_PER_USD / adv) if adv > 0 else math.nan


def cluster_alerts(
    minute: Minute,
    before: Sequence[Tracked],
    now: Sequence[Tracked],
    ended: Sequence[Tracked],
    episodes: dict[str, Episode],
    settings: Signals,
) -> list[Alert]:
    """Return the alerts of one minute about clusters, and note in `episodes` what was said.

    Args:
        minute: prices and volume.
        before: clusters as they stood a minute before: their edges are what price may enter by.
        now: clusters at its end.
        ended: those that ended in it.
        episodes: by cluster id; entries of ended clusters are removed.
        settings: thresholds of the symbol.
    """
    alerts = []
    visits = {cluster.cluster_id: cluster.visit for cluster in (*now, *ended)}
    for cluster in before:
        episode = episodes.setdefault(cluster.cluster_id, Episode())
        alerts += _entered(minute, cluster, visits.get(cluster.cluster_id), episode, settings)
    for cluster in now:
        episode = episodes.setdefault(cluster.cluster_id, Episode())
        if cluster.seen == minute.window:
            alerts += _approaching(minute, cluster, episode, settings)
            alerts += _caution(minute, cluster, episode, settings)
        if is_swept(cluster.visit, cluster.at_risk, settings.swept_share):
            alerts += _swept(minute, cluster, episode, settings)
    for cluster in ended:
        episode = episodes.pop(cluster.cluster_id, Episode())
        if cluster.state == "swept":
            alerts += _swept(minute, cluster, episode, settings)
    return alerts


def _is_large(notional: int, settings: Signals) -> bool:
    return notional >= settings.cluster_usd * MICRO_USD_PER_USD


def _entered(minute: Minute, before: Tracked, visit: Visit | None, episode: Episode, settings: Signals) -> list[Alert]:
    if visit is None:
        episode.entered = episode.swept = False
        return []
    edge = before.nearer_edge
    # A visit goes on a little outside the edge, and a cluster may grow to this size, or up to the price, meanwhile.
    inside = minute.low <= edge if before.side == Side.LONG else minute.high >= edge
    if episode.entered or not inside or not _is_large(before.at_risk, settings):
        return []
    episode.entered = episode.approached = True
    share = percent_of_adv(before.at_risk, minute.adv)
    reduction = exposure_reduction(share, settings.caution_percent)
    came = minute.high > edge if before.side == Side.LONG else minute.low < edge
    how = f"price reached the outer edge {edge:.8g} of" if came else "price is within"
    text = (
        f"entered: {how} {_name(before.side, before.price_low, before.price_high)}, {_size(before.at_risk, share)}; "
        f"rule of thumb: reduce exposure by {reduction:.0%}"
    )
    return _unless_cooling(AlertKind.ENTERED, minute, before, edge, episode, settings, before.at_risk, text)


def _swept(minute: Minute, cluster: Tracked, episode: Episode, settings: Signals) -> list[Alert]:
    visit = cluster.visit
    if visit is None or episode.swept or not _is_large(visit.held, settings):
        return []
    episode.swept = True
    name = _name(cluster.side, visit.price_low, visit.price_high)
    taken = visit.swept(cluster.at_risk)
    rest = f"; {usd_text(cluster.at_risk)} left" if cluster.at_risk else ""
    text = f"swept: price took {usd_text(taken)} of {name}, which held {usd_text(visit.held)}{rest}"
    return _unless_cooling(AlertKind.SWEPT, minute, cluster, visit.edge, episode, settings, taken, text)


def _approaching(minute: Minute, cluster: Tracked, episode: Episode, settings: Signals) -> list[Alert]:
    distance = distance_percent(cluster.side, cluster.nearer_edge, minute.mark)
    if episode.approached:
        if distance > settings.approach_percent + settings.rearm_percent:
            episode.approached = False
        return []
    # At a negative distance price is inside, which the next minute reports as entered.
    if not 0 <= distance <= settings.approach_percent or not _is_large(cluster.at_risk, settings):
        return []
    episode.approached = True
    share = percent_of_adv(cluster.at_risk, minute.adv)
    name = _name(cluster.side, cluster.price_low, cluster.price_high)
    text = f"approaching: {name}, {_size(cluster.at_risk, share)}, begins {distance:.2f}% from the mark"
    return _unless_cooling(
        AlertKind.APPROACHING, minute, cluster, cluster.nearer_edge, episode, settings, cluster.at_risk, text
    )


def _caution(minute: Minute, cluster: Tracked, episode: Episode, settings: Signals) -> list[Alert]:
    share = percent_of_adv(cluster.at_risk, minute.adv)
    if episode.cautioned:
        if share < CAUTION_REARM_SHARE * settings.caution_percent:
            episode.cautioned = False
        return []
    if not share > settings.caution_percent:
        return []
    episode.cautioned = True
    name = _name(cluster.side, cluster.price_low, cluster.price_high)
    text = f"caution: {name}, {_size(cluster.at_risk, share)}, more than {settings.caution_percent:g}% of ADV"
    return _unless_cooling(
        AlertKind.CAUTION, minute, cluster, cluster.nearer_edge, episode, settings, cluster.at_risk, text
    )


def cascade_alerts(
    minute: Minute, executed: Mapping[Side, int], watches: dict[int, CascadeWatch], settings: Signals
) -> list[Alert]:
    """Return the alerts of one minute about executed liquidations (micro-USD by side), and move `watches` on.

    The usual is an exponential mean over `cascade_baseline_minutes` in which no minute counts for more than
    what would be a cascade, so that one cascade does not hide the next.
    """
    alerts = []
    for side in Side:
        watch = watches.setdefault(int(side), CascadeWatch())
        amount = executed.get(side, 0)
        bar = max(settings.cascade_factor * watch.usual, settings.cascade_usd * MICRO_USD_PER_USD)
        if watch.running:
            watch.calm_minutes = watch.calm_minutes + 1 if amount < CASCADE_CALM_SHARE * bar else 0
            watch.running = watch.calm_minutes < CASCADE_CALM_MINUTES
        elif amount >= bar and watch.minutes >= settings.cascade_warmup_minutes:
            watch.running, watch.calm_minutes = True, 0
            if minute.window - watch.told >= settings.cooldown_minutes * MINUTE_MS:
                watch.told = minute.window
                alerts.append(_cascade(minute, side, amount, settings.cascade_factor * amount / bar))
        watch.usual += (min(amount, bar) - watch.usual) / min(watch.minutes + 1, settings.cascade_baseline_minutes)
        watch.minutes += 1
    return alerts


def _cascade(minute: Minute, side: Side, amount: int, times: float) -> Alert:
    text = f"cascade: {usd_text(amount)} of {side.label}s liquidated in a minute, "
    text += f"{times:.0f} times the usual or more" if times < 1_000 else "more than 1,000 times the usual"
    return minute.alert(AlertKind.CASCADE, side, amount, text)


def _unless_cooling(
    kind: AlertKind,
    minute: Minute,
    cluster: Tracked,
    edge: float,
    episode: Episode,
    settings: Signals,
    notional: int,
    text: str,
) -> list[Alert]:
    """Return the alert, or nothing while the rule is cooling down for this cluster."""
    last = episode.told.get(kind)
    if last is not None and minute.window - last < settings.cooldown_minutes * MINUTE_MS:
        return []
    episode.told[kind] = minute.window
    distance = distance_percent(cluster.side, edge, minute.mark)
    return [
        minute.alert(kind, cluster.side, notional, text, cluster_id=cluster.cluster_id, edge=edge, distance=distance)
    ]


def _name(side: int, price_low: float, price_high: float) -> str:
    return f"the {Side(side).label} cluster {price_low:.8g}-{price_high:.8g}"


def _size(notional: int, share: float) -> str:
    return usd_text(notional) if math.isnan(share) else f"{usd_text(notional)} ({share:.1f}% of ADV)"
