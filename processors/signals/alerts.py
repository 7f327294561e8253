"""Alerts: what a trader is informed of once. Here is what their rules share; each rule is a module of `rules/`.

A rule looks at one judged minute: a `ClusterRule` at one cluster after the other, a `SideRule` at each side of the
symbol. An alert comes once per episode, and not twice within `cooldown_minutes` for the same cluster or side. Its id is
made of kind, cluster and minute, so a replay or a restart names the same alert the same.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec

from liqheat.domain.market import Side
from liqheat.domain.money import MICRO_USD_PER_USD, usd_text
from liqheat.domain.signals import Alert, AlertKind, Cascade
from liqheat.domain.units import known
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.settings import Signals
from processors.signals.clusters import Tracked
from processors.signals.visits import Visit

NEVER = -1


class Watch(msgspec.Struct, array_like=True):
    """What a rule remembers of a cluster or side: whether its condition holds, and when it last spoke (window, ms)."""

    is_on: bool = False
    said: int = NEVER


Episode = dict[str, Watch]
"""What is remembered of one cluster, by kind of alert."""


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
            message=f"{self.symbol} {kind}: {text}",
            revision=self.revision,
        )

    def may_speak(self, said: int, settings: Signals) -> bool:
        """Whether a rule that last spoke in the window `said` (ms) has cooled down."""
        return said == NEVER or self.window - said >= settings.cooldown_minutes * MINUTE_MS


@dataclass(frozen=True, slots=True)
class SideCase:
    """What a rule about the sides of a symbol sees of a minute.

    `executed` is what was liquidated in it (micro-USD by side), `moves` where moves would come to rest.
    """

    minute: Minute
    executed: Mapping[Side, int]
    moves: Sequence[Cascade]
    settings: Signals


@dataclass(frozen=True, slots=True)
class ClusterCase:
    """What a rule about clusters sees of one of them.

    Attributes:
        minute: prices and volume.
        cluster: as it is, or as it was a minute before (`Of.BEFORE`).
        visit: that of price in it at the end of the minute.
        has_ended: whether it ended in the minute.
        episode: what is remembered of it.
        settings: thresholds of the symbol.
    """

    minute: Minute
    cluster: Tracked
    visit: Visit | None
    has_ended: bool
    episode: Episode
    settings: Signals

    def watch(self, kind: AlertKind) -> Watch:
        """Return what is remembered for one kind of alert."""
        return self.episode.setdefault(kind.value, Watch())

    def is_large(self, notional: int) -> bool:
        """Whether a notional (micro-USD) is one that clusters alert at."""
        return notional >= self.settings.cluster_usd * MICRO_USD_PER_USD

    @property
    def share(self) -> float:
        """What the cluster holds in % of ADV; NaN where that is unknown."""
        return percent_of_adv(self.cluster.at_risk, self.minute.adv)

    @property
    def size(self) -> str:
        """What the cluster holds, as text."""
        usd = usd_text(self.cluster.at_risk)
        return usd if math.isnan(self.share) else f"{usd} ({self.share:.1f}% of ADV)"

    def name(self, price_low: float | None = None, price_high: float | None = None) -> str:
        """Return the cluster's side and edges as text, or with other edges."""
        low = self.cluster.price_low if price_low is None else price_low
        high = self.cluster.price_high if price_high is None else price_high
        return f"the {Side(self.cluster.side).label} cluster {low:.8g}-{high:.8g}"

    def alert(self, kind: AlertKind, notional: int, text: str, edge: float) -> Alert | None:
        """Return the alert about `notional` (micro-USD) behind `edge` (USD); None while the rule is cooling down."""
        watch = self.watch(kind)
        if not self.minute.may_speak(watch.said, self.settings):
            return None
        watch.said = self.minute.window
        side = self.cluster.side
        distance = distance_percent(side, edge, self.minute.mark)
        return self.minute.alert(
            kind, side, notional, text, cluster_id=self.cluster.cluster_id, edge=edge, distance=distance
        )


class Of(Enum):
    """Which clusters a rule is asked about."""

    BEFORE = "as they were a minute before: their edges are what price may enter by"
    FOUND = "those found in the minute"
    ALL = "all at its end, and those that ended in it"


@dataclass(frozen=True, slots=True)
class ClusterRule:
    """A rule about one cluster; it remembers `ClusterCase.watch`."""

    judge: Callable[[ClusterCase], Alert | None]
    of: Of


@dataclass(frozen=True, slots=True)
class SideRule:
    """A rule about the sides of a symbol; it remembers a `memory` per side, a flat struct with defaults."""

    judge: Callable[[SideCase, dict[int, Any]], Iterable[Alert]]
    memory: type[msgspec.Struct]


def distance_percent(side: int, edge: float, mark: float) -> float:
    """Return how far the mark is from a cluster's nearer edge, in % of the mark; negative inside."""
    return 100.0 * side * (mark - edge) / mark


def percent_of_adv(notional: int, adv: float) -> float:
    """Return a notional (micro-USD) in % of ADV (USD); NaN where that is unknown."""
    return known(100.0 * notional / MICRO_USD_PER_USD / adv) if adv > 0 else math.nan
