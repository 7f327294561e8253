"""The alert `approaching`: price nears a large cluster.

The outer edge of a cluster of at least `cluster_usd` is within `approach_percent` of the mark; again after it was
`rearm_percent` further away than that.
"""

from liqheat.domain.signals import Alert, AlertKind
from processors.signals.alerts import ClusterCase, ClusterRule, Of, distance_percent


def judge(case: ClusterCase) -> Alert | None:
    """Return the alert of one minute."""
    cluster, settings, watch = case.cluster, case.settings, case.watch(AlertKind.APPROACHING)
    distance = distance_percent(cluster.side, cluster.nearer_edge, case.minute.mark)
    if watch.is_on:
        watch.is_on = distance <= settings.approach_percent + settings.rearm_percent
        return None
    # At a negative distance price is inside, which the next minute reports as entered.
    if not 0 <= distance <= settings.approach_percent or not case.is_large(cluster.at_risk):
        return None
    watch.is_on = True
    text = f"{case.name()}, {case.size}, begins {distance:.2f}% from the mark"
    return case.alert(AlertKind.APPROACHING, cluster.at_risk, text, cluster.nearer_edge)


RULE = ClusterRule(judge, Of.FOUND)
