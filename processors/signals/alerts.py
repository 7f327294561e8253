"""Alerts: what a trader is told once, judged a minute at a time.

- approaching: the nearer edge of a cluster of at least `cluster_usd` is within `approach_percent` of the mark;
  again after it was `rearm_percent` further away than that;
- entered: the mark's range of the minute reaches that edge, as it stood a minute before;
  again after the mark stayed `rearm_percent` outside the edge that it entered by;
- caution: a cluster exceeds `caution_percent` of ADV; again after it fell below 90 % of that;
- swept: such a cluster ended because price went through it;
- cascade: executed liquidations of a side in a minute are `cascade_factor` times the usual and at least
  `cascade_usd`; again after five minutes in a row below half of that;
and none of them twice within `cooldown_minutes` for the same cluster (a cascade: the same side). An alert's
id is made of rule, cluster and minute, so a replay or a restart names the same alert the same.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from liqheat.domain.market import Side
from liqheat.domain.money import MICRO_USD_PER_USD
from liqheat.domain.signals import Alert
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.settings import Signals
from processors.signals.clusters import Tracked
from processors.signals.conviction import exposure_reduction

CAUTION_REARM_SHARE = 0.9
CASCADE_CALM_SHARE = 0.5
CASCADE_CALM_MINUTES = 5


class Episode(msgspec.Struct):
    """What was already said about one cluster; times are windows (ms)."""

    approached: bool = False
    entry_edge: float = 0.0
    cautioned: bool = False
    told: dict[str, int] = {}


class CascadeWatch(msgspec.Struct):
    """One side's executed liquidations a minute: the usual (micro-USD), minutes seen, and whether one is under way."""

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


def distance_percent(side: int, edge: float, mark: float) -> float:
    """Return how far the mark is from a cluster's nearer edge, in % of the mark; negative inside."""
    return 100.0 * side * (mark - edge) / mark


def percent_of_adv(notional: int, adv: float) -> float:
    """Return a notional (micro-USD) in % of ADV (USD); NaN where that is unknown."""
    return 100.0 * notional / MICRO_USD_PER_USD / adv if adv > 0 else math.nan


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
    for cluster in before:
        alerts += _entered(minute, cluster, episodes.setdefault(cluster.cluster_id, Episode()), settings)
    for cluster in now:
        if cluster.seen == minute.window:
            episode = episodes.setdefault(cluster.cluster_id, Episode())
            alerts += _approaching(minute, cluster, episode, settings)
            alerts += _caution(minute, cluster, episode, settings)
    for cluster in ended:
        episode = episodes.pop(cluster.cluster_id, Episode())
        if cluster.state == "swept" and cluster.largest >= settings.cluster_usd * MICRO_USD_PER_USD:
            taken, held = _usd(cluster.swept), _usd(cluster.largest)
            text = f"swept: price took {taken} of {_name(cluster)}, which held {held} at most"
            alerts += _told("swept", minute, cluster, episode, settings, cluster.swept, text)
    return alerts


def _is_large(cluster: Tracked, settings: Signals) -> bool:
    return cluster.at_risk >= settings.cluster_usd * MICRO_USD_PER_USD


def _entered(minute: Minute, cluster: Tracked, episode: Episode, settings: Signals) -> list[Alert]:
    is_long = cluster.side == Side.LONG
    if episode.entry_edge:
        away = 1 + cluster.side * settings.rearm_percent / 100
        left = minute.low > episode.entry_edge * away if is_long else minute.high < episode.entry_edge * away
        if left:
            episode.entry_edge = 0.0
        return []
    edge = cluster.nearer_edge
    reached = minute.low <= edge if is_long else minute.high >= edge
    if not reached or not _is_large(cluster, settings):
        return []
    episode.entry_edge = edge
    episode.approached = True
    share = percent_of_adv(cluster.at_risk, minute.adv)
    reduction = exposure_reduction(share, settings.caution_percent)
    text = (
        f"entered: price reached the outer edge {edge:.8g} of {_name(cluster)}, {_size(cluster.at_risk, share)}; "
        f"rule of thumb: reduce exposure by {reduction:.0%}"
    )
    return _told("entered", minute, cluster, episode, settings, cluster.at_risk, text)


def _approaching(minute: Minute, cluster: Tracked, episode: Episode, settings: Signals) -> list[Alert]:
    distance = distance_percent(cluster.side, cluster.nearer_edge, minute.mark)
    if episode.approached:
        if distance > settings.approach_percent + settings.rearm_percent:
            episode.approached = False
        return []
    if distance > settings.approach_percent or not _is_large(cluster, settings):
        return []
    episode.approached = True
    share = percent_of_adv(cluster.at_risk, minute.adv)
    text = f"approaching: {_name(cluster)}, {_size(cluster.at_risk, share)}, begins {distance:.2f}% from the mark"
    return _told("approaching", minute, cluster, episode, settings, cluster.at_risk, text)


def _caution(minute: Minute, cluster: Tracked, episode: Episode, settings: Signals) -> list[Alert]:
    share = percent_of_adv(cluster.at_risk, minute.adv)
    if episode.cautioned:
        if share < CAUTION_REARM_SHARE * settings.caution_percent:
            episode.cautioned = False
        return []
    if not share > settings.caution_percent:
        return []
    episode.cautioned = True
    text = f"caution: {_name(cluster)}, {_size(cluster.at_risk, share)}, more than {settings.caution_percent:g}% of ADV"
    return _told("caution", minute, cluster, episode, settings, cluster.at_risk, text)


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
    return Alert(
        event_time=minute.window + MINUTE_MS,
        alert_id=f"cascade-{minute.symbol}-{side.label}-{minute.window // MINUTE_MS}",
        rule="cascade",
        side=int(side),
        cluster_id="",
        mark_price=minute.mark,
        edge_price=math.nan,
        notional_usd=amount,
        percent_of_adv=percent_of_adv(amount, minute.adv),
        distance=math.nan,
        message=(
            f"{minute.symbol} cascade: {_usd(amount)} of {side.label}s liquidated in a minute, "
            f"{times:.0f} times the usual or more"
        ),
        revision=minute.revision,
    )


def _told(
    rule: str, minute: Minute, cluster: Tracked, episode: Episode, settings: Signals, notional: int, text: str
) -> list[Alert]:
    """Return the alert, or nothing while the rule is cooling down for this cluster."""
    last = episode.told.get(rule)
    if last is not None and minute.window - last < settings.cooldown_minutes * MINUTE_MS:
        return []
    episode.told[rule] = minute.window
    return [
        Alert(
            event_time=minute.window + MINUTE_MS,
            alert_id=f"{rule}-{cluster.cluster_id}-{minute.window // MINUTE_MS}",
            rule=rule,
            side=cluster.side,
            cluster_id=cluster.cluster_id,
            mark_price=minute.mark,
            edge_price=cluster.nearer_edge,
            notional_usd=notional,
            percent_of_adv=percent_of_adv(notional, minute.adv),
            distance=distance_percent(cluster.side, cluster.nearer_edge, minute.mark),
            message=f"{minute.symbol} {text}",
            revision=minute.revision,
        )
    ]


def _name(cluster: Tracked) -> str:
    return f"the {Side(cluster.side).label} cluster {cluster.price_low:.8g}-{cluster.price_high:.8g}"


def _size(notional: int, share: float) -> str:
    return _usd(notional) if math.isnan(share) else f"{_usd(notional)} ({share:.1f}% of ADV)"


def _usd(micro_usd: int) -> str:
    usd = micro_usd / MICRO_USD_PER_USD
    return f"${usd / 1e6:.2f}M" if usd >= 1e6 else f"${usd / 1e3:.1f}k"
