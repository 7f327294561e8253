"""The alert `swept`: price took what a large cluster held, whether it ends or a part of it is left. Once per visit."""

from liqheat.domain.money import usd_text
from liqheat.domain.signals import Alert, AlertKind
from processors.signals.alerts import ClusterCase, ClusterRule, Of
from processors.signals.visits import is_swept


def judge(case: ClusterCase) -> Alert | None:
    """Return the alert of one minute; `entered` lets it speak again."""
    cluster, visit, watch = case.cluster, case.visit, case.watch(AlertKind.SWEPT)
    swept = cluster.state == "swept" if case.has_ended else is_swept(visit, cluster.at_risk, case.settings.swept_share)
    if not swept or visit is None or watch.is_on or not case.is_large(visit.held):
        return None
    watch.is_on = True
    taken = visit.swept(cluster.at_risk)
    rest = f"; {usd_text(cluster.at_risk)} left" if cluster.at_risk else ""
    name = case.name(visit.price_low, visit.price_high)
    text = f"price took {usd_text(taken)} of {name}, which held {usd_text(visit.held)}{rest}"
    return case.alert(AlertKind.SWEPT, taken, text, visit.edge)


RULE = ClusterRule(judge, Of.ALL)
