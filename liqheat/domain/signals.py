"""What the signals stage says: clusters, alerts, readings of a symbol and of a market, and catalysts.

Structs of the kinds that `liqheat.domain.events` registers; written once per closed minute, absolute, and the
same again on every replay of the same log.
"""

from enum import StrEnum

import msgspec

from liqheat.domain.units import (
    Agreement,
    Count,
    Direction,
    Factor,
    Flag,
    MicroUsd,
    MicroUsds,
    OptionalPrice,
    OptionalTime,
    OptionalUsd,
    Percent,
    Percents,
    Price,
    Rate,
    Revision,
    Score,
    Seconds,
    Share,
    SideSign,
    Text,
    Time,
)


class AlertKind(StrEnum):
    """What an alert is about, in the order in which they come within one minute.

    A kind is added here with its meaning, and as a module of its name in `processors.signals.rules`; Grafana's rules,
    the page and the documents follow (docs/recipes.md).
    """

    APPROACHING = "approaching"
    ENTERED = "entered"
    SWEPT = "swept"
    CAUTION = "caution"
    CASCADE = "cascade"
    FRAGILE = "fragile"

    @property
    def meaning(self) -> str:
        """A sentence about `{side}`, the side of the positions."""
        return _MEANINGS[self]


_MEANINGS: dict[AlertKind, str] = {
    AlertKind.APPROACHING: "price nears a large cluster of {side}s",
    AlertKind.ENTERED: "price reached the outer edge of a large cluster of {side}s",
    AlertKind.SWEPT: "price went through a cluster of {side}s",
    AlertKind.CAUTION: "a cluster of {side}s outgrew the cautious share of daily volume",
    AlertKind.CASCADE: "{side}s are being liquidated far above the usual",
    AlertKind.FRAGILE: "a small move would set off a chain of liquidations of {side}s that the order books do not hold",
}


class Cluster(msgspec.Struct, frozen=True, gc=False):
    """A contiguous dense price range of one side over all venues at the end of one minute.

    `state` is born, grown, shrunk, steady, swept or gone; after the last two it has no more rows. The edge
    that price meets first is the nearer one, and `distance` is from the mark price to it, negative inside.
    """

    window_start: Time
    cluster_id: Text
    side: SideSign
    state: Text
    price_low: Price
    price_high: Price
    nearer_edge: Price
    peak_price: Price
    at_risk_usd: MicroUsd
    peak_usd: MicroUsd
    swept_usd: MicroUsd
    observed_share: Share
    share_1_5x: Share
    share_5_10x: Share
    share_10_25x: Share
    share_25_50x: Share
    share_50x_up: Share
    confidence: Share
    percent_of_adv: Percent
    distance: Percent
    round_number: Price
    round_number_distance: Percent
    born_time: Time
    age_minutes: Count
    revision: Revision


class ClusterShare(msgspec.Struct, frozen=True, gc=False):
    """What one venue holds of a cluster at the end of one minute; venues that hold nothing have no row."""

    window_start: Time
    cluster_id: Text
    side: SideSign
    at_risk_usd: MicroUsd
    share: Share
    revision: Revision


class Alert(msgspec.Struct, frozen=True, gc=False):
    """Something that a trader wants to hear once; `alert_id` depends on the log alone, so a replay repeats it exactly.

    `kind` is an `AlertKind`; `cluster_id` is empty where the alert is about a whole side. `edge_price` and
    `notional_usd` are what the kind is about: a cluster's edge or a chain's trigger, what is held or was executed.
    """

    event_time: Time
    alert_id: Text
    kind: Text
    side: SideSign
    cluster_id: Text
    mark_price: Price
    edge_price: OptionalPrice
    notional_usd: MicroUsd
    percent_of_adv: Percent
    distance: Percent
    message: Text
    revision: Revision


class SymbolSignal(msgspec.Struct, frozen=True, gc=False):
    """One symbol's readings at the end of one minute, over all its live venues."""

    window_start: Time
    mark_price: Price
    adv_usd: OptionalUsd
    venues: Count
    near_long_usd: MicroUsd
    near_short_usd: MicroUsd
    imbalance: Percent
    down_1_usd: MicroUsd
    down_2_usd: MicroUsd
    down_5_usd: MicroUsd
    down_10_usd: MicroUsd
    up_1_usd: MicroUsd
    up_2_usd: MicroUsd
    up_5_usd: MicroUsd
    up_10_usd: MicroUsd
    max_pain_long_price: OptionalPrice
    max_pain_long_usd: MicroUsd
    max_pain_short_price: OptionalPrice
    max_pain_short_usd: MicroUsd
    nearest_long_distance: Percent
    nearest_short_distance: Percent
    funding_rate_4h: Rate
    funding_direction: Direction
    settlement_seconds: Seconds
    open_interest_change_1h: Percent
    open_interest_change_4h: Percent
    open_interest_agreement_1h: Agreement
    open_interest_agreement_4h: Agreement
    direction: Direction
    conviction: Score
    conviction_cluster: Score
    conviction_imbalance: Score
    conviction_funding: Score
    conviction_open_interest: Score
    conviction_round_number: Score
    coiled_spring: Flag
    exposure_reduction: Share
    revision: Revision


class MarketSignal(msgspec.Struct, frozen=True, gc=False):
    """One venue's funding and open interest at the end of one minute."""

    window_start: Time
    funding_rate: Rate
    funding_rate_4h: Rate
    funding_direction: Direction
    next_funding_time: OptionalTime
    settlement_seconds: Seconds
    open_interest_change_1h: Percent
    open_interest_change_4h: Percent
    revision: Revision


class Cascade(msgspec.Struct, frozen=True, gc=False):
    """What moves of one symbol in one direction set off at the end of one minute: the map against the order books.

    `side` is that of the positions which are liquidated: longs by a fall, shorts by a rise. The three lists are
    parallel: a move by `move_percent[i]` of the mark comes to rest at `rest_percent[i]`, with `liquidated_usd[i]`
    executed by then; rest over move is its amplification. Equations in docs/model.md.

    Attributes:
        beyond_percent: from this move on the known book does not hold the chain; NaN where it always does.
        trigger_percent, trigger_price: the nearest move that is carried at least half as far again; NaN where none is.
        trigger_rest_percent: where that move comes to rest; NaN where the known book does not hold it, or none is.
        trigger_liquidated_usd: what is executed by then.
        at_risk_*, expected_*, depth_*: within 1, 2 and 5% of the mark, micro-USD; `absorption_*` is at risk over depth,
            NaN without depth.
        book_reach_percent: how far the shortest of the venues' books reaches.
        book_coverage: share of the symbol's open interest on venues whose book is known.
        refill: share of absorbed depth that is taken to be offered again.
    """

    window_start: Time
    side: SideSign
    mark_price: Price
    move_percent: Percents
    rest_percent: Percents
    liquidated_usd: MicroUsds
    beyond_percent: Percent
    trigger_percent: Percent
    trigger_price: OptionalPrice
    trigger_rest_percent: Percent
    trigger_liquidated_usd: MicroUsd
    at_risk_1_usd: MicroUsd
    at_risk_2_usd: MicroUsd
    at_risk_5_usd: MicroUsd
    expected_1_usd: MicroUsd
    expected_2_usd: MicroUsd
    expected_5_usd: MicroUsd
    depth_1_usd: MicroUsd
    depth_2_usd: MicroUsd
    depth_5_usd: MicroUsd
    absorption_1: Factor
    absorption_2: Factor
    absorption_5: Factor
    book_reach_percent: Percent
    book_coverage: Share
    refill: Share
    revision: Revision


class Catalyst(msgspec.Struct, frozen=True, gc=False):
    """News or a known event that may move a symbol; `catalyst_id` is the same whenever the item is read again."""

    event_time: Time
    catalyst_id: Text
    source: Text
    title: Text
    link: Text
    importance: Text = "normal"
