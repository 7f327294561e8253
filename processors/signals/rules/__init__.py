"""The rules of the alerts, one module per `AlertKind` and named like it, with its rule as `RULE`.

A kind is added in `liqheat.domain.signals.AlertKind`; the module is found by its name. Kinds are judged in the order of
that enum: first the rules about clusters, then those about sides.
"""

from collections.abc import Sequence
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgspec

from liqheat.domain.signals import Alert, AlertKind
from liqheat.platform.settings import Signals
from processors.signals.alerts import ClusterCase, ClusterRule, Episode, Minute, Of, SideCase, SideRule
from processors.signals.clusters import Tracked


def rule_of(kind: StrEnum) -> ClusterRule | SideRule:
    """Return the rule of a kind.

    Raises:
        ImportError: it has no module, or the module has no RULE.
    """
    name = f"{__name__}.{kind.value}"
    try:
        rule = import_module(name).RULE
    except (ModuleNotFoundError, AttributeError) as error:
        raise ImportError(f"The alert kind {kind.value!r} needs a module {name} with its rule as RULE") from error
    if not isinstance(rule, ClusterRule | SideRule):
        raise TypeError(f"Expected a ClusterRule or a SideRule as {name}.RULE, was {type(rule).__name__}")
    return rule


RULES = {kind: rule_of(kind) for kind in AlertKind}
_SIDE_RULES = {kind: rule for kind, rule in RULES.items() if isinstance(rule, SideRule)}

if TYPE_CHECKING:

    class SideMemory(msgspec.Struct):
        """What the rules about sides remember: by the name of the kind, a struct of the rule's own per side."""

        def __getattr__(self, kind: str) -> dict[int, Any]: ...
else:
    SideMemory = msgspec.defstruct(
        "SideMemory",
        [
            (kind.value, dict[int, rule.memory], msgspec.field(default_factory=dict))
            for kind, rule in _SIDE_RULES.items()
        ],
        module=__name__,
    )


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
        before: clusters as they stood a minute before.
        now: clusters at its end.
        ended: those that ended in it.
        episodes: by cluster id; entries of ended clusters are removed.
        settings: thresholds of the symbol.
    """
    visits = {cluster.cluster_id: cluster.visit for cluster in (*now, *ended)}
    alerts: list[Alert] = []

    def judge(cluster: Tracked, has_ended: bool, *of: Of) -> None:
        episode = episodes.setdefault(cluster.cluster_id, {})
        case = ClusterCase(minute, cluster, visits.get(cluster.cluster_id), has_ended, episode, settings)
        for which in of:
            for rule in _CLUSTER_RULES[which]:
                if (alert := rule.judge(case)) is not None:
                    alerts.append(alert)

    for cluster in before:
        judge(cluster, False, Of.BEFORE)
    for cluster in now:
        judge(cluster, False, *((Of.FOUND,) if cluster.seen == minute.window else ()), Of.ALL)
    for cluster in ended:
        judge(cluster, True, Of.ALL)
        del episodes[cluster.cluster_id]
    return alerts


_CLUSTER_RULES = {
    of: tuple(rule for rule in RULES.values() if isinstance(rule, ClusterRule) and rule.of is of) for of in Of
}


def side_alerts(case: SideCase, memory: SideMemory) -> list[Alert]:
    """Return the alerts of one minute about the sides of a symbol, and move `memory` on."""
    return [alert for kind, rule in _SIDE_RULES.items() for alert in rule.judge(case, getattr(memory, kind.value))]


def copied_episodes(episodes: dict[str, Episode]) -> dict[str, Episode]:
    """Return equal episodes that share nothing that is changed."""
    replace = msgspec.structs.replace
    return {name: {kind: replace(watch) for kind, watch in episode.items()} for name, episode in episodes.items()}


def copied_memory(memory: SideMemory) -> SideMemory:
    """Return an equal memory that shares nothing that is changed."""
    replace = msgspec.structs.replace
    return SideMemory(
        **{
            kind.value: {side: replace(each) for side, each in getattr(memory, kind.value).items()}
            for kind in _SIDE_RULES
        }
    )
