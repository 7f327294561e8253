"""What the signals stage says: clusters, alerts, readings of a symbol and of a market, and catalysts.

Structs of the kinds that `liqheat.domain.events` registers; written once a closed minute, absolute, and the
same again on every replay of the same log.
"""

import msgspec

from liqheat.domain.units import (
    Agreement,
    Count,
    Direction,
    Flag,
    MicroUsd,
    OptionalPrice,
    OptionalTime,
    OptionalUsd,
    Percent,
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
    """Something a trader wants to be told once; `alert_id` depends on the log alone, so a replay repeats it exactly.

    `rule` is approaching, entered, caution, swept or cascade; `cluster_id` is empty for a cascade, whose
    notional is what was executed in the minute.
    """

    event_time: Time
    alert_id: Text
    rule: Text
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


class Catalyst(msgspec.Struct, frozen=True, gc=False):
    """News or a known event that may move a symbol; `catalyst_id` is the same whenever the item is read again."""

    event_time: Time
    catalyst_id: Text
    source: Text
    title: Text
    link: Text
    importance: Text = "normal"
