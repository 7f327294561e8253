"""What the heatmap stage writes: levels of the map, minutes of a market, and the record of what the map predicted.

Structs of the kinds that `liqheat.domain.events` registers. Values are absolute, so that writing a row again changes
nothing; of two rows of one key the one with the higher `revision` counts (of `TrackRecord` the first one).
"""

import msgspec

from liqheat.domain.units import (
    Buckets,
    Count,
    Factor,
    Flag,
    MicroUsd,
    MicroUsds,
    Nats,
    OptionalPrice,
    OptionalQuantity,
    OptionalTime,
    OptionalUsd,
    Percent,
    Price,
    Rate,
    Revision,
    Share,
    Shares,
    SideSign,
    Text,
    Time,
    Version,
    Weight,
)

NAN = float("nan")


class HeatmapLevels(msgspec.Struct, frozen=True, gc=False):
    """One side of a market's map at the end of one minute, of one basis and one leverage band.

    The lists are parallel: element `i` of each belongs to the published bucket `bucket[i]`, and buckets rise.
    Bucket `b` covers the prices from `lower_edge(b, grid_factor)` (inclusive) to `lower_edge(b + 1, grid_factor)`
    of `liqheat.domain.price_grid`. A bucket without level and without flow is left out; a row whose lists are empty
    says that nothing is left of what the minute's earlier revision held.

    Attributes:
        at_risk_usd: level: positions whose liquidation price is in the bucket. Inferred ones are rounded to three
            significant digits; the exact sums are in `MarketMinute`.
        expected_usd: level: what will be executed if price gets there; rounded like `at_risk_usd`.
        opened_usd, closed_usd, swept_usd, liquidated_usd: flows in the minute.
        confidence: expected share of `at_risk_usd` that is really there (docs/model.md), NaN where unknown.
    """

    window_start: Time
    side: SideSign
    basis: Text
    leverage_band: Text
    bucket: Buckets
    at_risk_usd: MicroUsds
    expected_usd: MicroUsds
    opened_usd: MicroUsds
    closed_usd: MicroUsds
    swept_usd: MicroUsds
    liquidated_usd: MicroUsds
    confidence: Shares
    grid_factor: Count
    model_version: Version
    revision: Revision


class MarketMinute(msgspec.Struct, frozen=True, gc=False):
    """What one venue's market did in one minute, and how well the estimate fits it.

    `at_risk_scale_*` are the factors that fit the levels at risk to open interest, `expected_scale_*` those that fit
    expected to executed liquidations (kappa of the model). The interval of the expected notional of a side runs from
    `expected x interval_low` to `expected x interval_high`.
    """

    window_start: Time
    mark_open: OptionalPrice
    mark_high: OptionalPrice
    mark_low: OptionalPrice
    mark_close: OptionalPrice
    index_price: OptionalPrice
    funding_rate: Rate
    next_funding_time: OptionalTime
    open_interest: OptionalQuantity
    open_interest_usd: OptionalUsd
    turnover_24h_usd: OptionalUsd
    taker_buy_usd: MicroUsd
    taker_sell_usd: MicroUsd
    liquidated_long_usd: MicroUsd
    liquidated_short_usd: MicroUsd
    at_risk_long_usd: MicroUsd
    at_risk_short_usd: MicroUsd
    coverage: Share
    late_rows: Count
    revision: Revision
    expected_long_usd: MicroUsd = 0
    expected_short_usd: MicroUsd = 0
    interval_low_long: Factor = NAN
    interval_high_long: Factor = NAN
    interval_low_short: Factor = NAN
    interval_high_short: Factor = NAN
    at_risk_scale_long: Factor = NAN
    at_risk_scale_short: Factor = NAN
    expected_scale_long: Factor = NAN
    expected_scale_short: Factor = NAN
    warming_up: Flag = False
    model_version: Version = 1


class TrackRecord(msgspec.Struct, frozen=True, gc=False):
    """What one venue's map predicted of a stretch of time, and what was executed in it; written once it is over.

    With `horizon_hours` 0 the stretch is one hour, and the prediction is what price swept of the map as it was renewed
    minute by minute; otherwise it is what price newly traversed, in that many hours, of the map frozen at
    `window_start`. Both count expected notional. Of two rows of one key the first one counts, so that a late
    correction does not rewrite the record.

    Attributes:
        window_start: begin of the stretch.
        rival_long_usd, rival_short_usd: what one line predicts: trailing liquidations per squared move, times the
            squared move of the stretch.
        move_down, move_up: largest move of the mark price from the begin, in % of it, at least 0.
        place_score: mean log of the map's density over a uniform one at what was executed, weighted by notional; NaN
            where nothing was executed, or price traversed nothing.
        kernel_score: the same of the density `1 - exp(-distance / 1%)`, which knows distance alone.
        place_weight: weight of both scores in a mean: the square root of the executed USD that they judge.
        feed: whether the venue publishes every liquidation (whole), a part (sampled) or none.
        coverage: share of the minutes of the stretch in which that feed was being read.
    """

    window_start: Time
    horizon_hours: Count
    predicted_long_usd: MicroUsd
    predicted_short_usd: MicroUsd
    executed_long_usd: MicroUsd
    executed_short_usd: MicroUsd
    rival_long_usd: MicroUsd
    rival_short_usd: MicroUsd
    move_down: Percent
    move_up: Percent
    place_score: Nats
    kernel_score: Nats
    place_weight: Weight
    mark_price: Price
    feed: Text
    coverage: Share
    warming_up: Flag
    model_version: Version
    revision: Revision


class HeatmapBucket(msgspec.Struct, frozen=True, gc=False):
    """One price bucket in one minute, as versions before 2 wrote it; `HeatmapLevels` has taken its place."""

    window_start: Time
    side: SideSign
    basis: Text
    leverage_band: Text
    price_low: Price
    price_high: Price
    at_risk_usd: MicroUsd
    opened_usd: MicroUsd
    closed_usd: MicroUsd
    swept_usd: MicroUsd
    liquidated_usd: MicroUsd
    confidence: Share
    revision: Revision
