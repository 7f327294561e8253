"""The alert `entered`: price reached the outer edge of a large cluster.

The mark's range of the minute reaches the edge of a cluster that held `cluster_usd` a minute before, as it was then.
Once per visit (`processors.signals.visits`).
"""

from liqheat.domain.market import Side
from liqheat.domain.signals import Alert, AlertKind
from processors.signals.alerts import ClusterCase, ClusterRule, Episode, Of
from processors.signals.conviction import exposure_reduction


def is_inside(episode: Episode) -> bool:
    """Whether price is in the cluster since an entry that was worth an alert."""
    watch = episode.get(AlertKind.ENTERED)
    return watch is not None and watch.is_on


def judge(case: ClusterCase) -> Alert | None:
    """Return the alert of one minute; a new visit also lets `swept` speak again, and silences `approaching`."""
    cluster, minute, watch = case.cluster, case.minute, case.watch(AlertKind.ENTERED)
    if case.visit is None:
        watch.is_on = case.watch(AlertKind.SWEPT).is_on = False
        return None
    edge = cluster.nearer_edge
    # A visit goes on a little outside the edge, and a cluster may grow to this size, or up to the price, meanwhile.
    inside = minute.low <= edge if cluster.side == Side.LONG else minute.high >= edge
    if watch.is_on or not inside or not case.is_large(cluster.at_risk):
        return None
    watch.is_on = case.watch(AlertKind.APPROACHING).is_on = True
    reduction = exposure_reduction(case.share, case.settings.caution_percent)
    came = minute.high > edge if cluster.side == Side.LONG else minute.low < edge
    how = f"price reached the outer edge {edge:.8g} of" if came else "price is within"
    text = f"{how} {case.name()}, {case.size}; rule of thumb: reduce exposure by {reduction:.0%}"
    return case.alert(AlertKind.ENTERED, cluster.at_risk, text, edge)


RULE = ClusterRule(judge, Of.BEFORE)
