"""The alert `caution`: a cluster exceeds `caution_percent` of ADV; again after it fell below 90% of that."""

from liqheat.domain.signals import Alert, AlertKind
from processors.signals.alerts import ClusterCase, ClusterRule, Of

REARM_SHARE = 0.9


def judge(case: ClusterCase) -> Alert | None:
    """Return the alert of one minute."""
    share, most, watch = case.share, case.settings.caution_percent, case.watch(AlertKind.CAUTION)
    if watch.is_on:
        if share < REARM_SHARE * most:
            watch.is_on = False
        return None
    if not share > most:
        return None
    watch.is_on = True
    text = f"{case.name()}, {case.size}, more than {most:g}% of ADV"
    return case.alert(AlertKind.CAUTION, case.cluster.at_risk, text, case.cluster.nearer_edge)


RULE = ClusterRule(judge, Of.FOUND)
