-- Readings of a symbol over all its venues, conviction with its parts among them.
CREATE TABLE IF NOT EXISTS {database}.symbol_signals_raw {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Always all: it is about all venues',
    window_start DateTime('UTC') COMMENT 'Start of the minute, UTC' CODEC(DoubleDelta, ZSTD(1)),
    mark_price Float64 COMMENT 'Median mark price over the live venues, USD per coin' CODEC(ZSTD(1)),
    adv_usd Float64 COMMENT '24 h volume over the live venues, USD, NaN where unknown' CODEC(ZSTD(1)),
    venues Int64 COMMENT 'Venues that were live' CODEC(T64, ZSTD(1)),
    near_long_micro_usd Int64 COMMENT 'Longs at risk within 5 % below the mark (setting focus_percent), micro-USD' CODEC(T64, ZSTD(1)),
    near_short_micro_usd Int64 COMMENT 'Shorts at risk within 5 % above the mark, micro-USD' CODEC(T64, ZSTD(1)),
    imbalance Float64 COMMENT '(longs - shorts) / (longs + shorts) within 5 %, in %; +100 is all below the price, NaN where unknown' CODEC(ZSTD(1)),
    down_1_micro_usd Int64 COMMENT 'Longs that a fall by 1 % would liquidate, micro-USD' CODEC(T64, ZSTD(1)),
    down_2_micro_usd Int64 COMMENT 'Longs that a fall by 2 % would liquidate, micro-USD' CODEC(T64, ZSTD(1)),
    down_5_micro_usd Int64 COMMENT 'Longs that a fall by 5 % would liquidate, micro-USD' CODEC(T64, ZSTD(1)),
    down_10_micro_usd Int64 COMMENT 'Longs that a fall by 10 % would liquidate, micro-USD' CODEC(T64, ZSTD(1)),
    up_1_micro_usd Int64 COMMENT 'Shorts that a rise by 1 % would liquidate, micro-USD' CODEC(T64, ZSTD(1)),
    up_2_micro_usd Int64 COMMENT 'Shorts that a rise by 2 % would liquidate, micro-USD' CODEC(T64, ZSTD(1)),
    up_5_micro_usd Int64 COMMENT 'Shorts that a rise by 5 % would liquidate, micro-USD' CODEC(T64, ZSTD(1)),
    up_10_micro_usd Int64 COMMENT 'Shorts that a rise by 10 % would liquidate, micro-USD' CODEC(T64, ZSTD(1)),
    max_pain_long_price Float64 COMMENT 'Price of the heaviest long bucket, USD per coin, NaN where unknown' CODEC(ZSTD(1)),
    max_pain_long_micro_usd Int64 COMMENT 'Notional of the heaviest long bucket, micro-USD' CODEC(T64, ZSTD(1)),
    max_pain_short_price Float64 COMMENT 'Price of the heaviest short bucket, USD per coin, NaN where unknown' CODEC(ZSTD(1)),
    max_pain_short_micro_usd Int64 COMMENT 'Notional of the heaviest short bucket, micro-USD' CODEC(T64, ZSTD(1)),
    nearest_long_distance Float64 COMMENT 'From the mark to the nearest long cluster, in %, NaN where unknown' CODEC(ZSTD(1)),
    nearest_short_distance Float64 COMMENT 'From the mark to the nearest short cluster, in %, NaN where unknown' CODEC(ZSTD(1)),
    funding_rate_4h Float64 COMMENT 'Mean funding of the last 4 h as a rate of 8 h, weighted by open interest, NaN where unknown' CODEC(ZSTD(1)),
    funding_direction Int64 COMMENT '1 longs pay, -1 shorts pay, 0 neither' CODEC(T64, ZSTD(1)),
    settlement_seconds Float64 COMMENT 'Seconds to the next funding settlement of any venue, NaN where unknown' CODEC(ZSTD(1)),
    open_interest_change_1h Float64 COMMENT 'Change of open interest in coins over 1 h, in %, NaN where unknown' CODEC(ZSTD(1)),
    open_interest_change_4h Float64 COMMENT 'The same over 4 h, NaN where unknown' CODEC(ZSTD(1)),
    open_interest_agreement_1h Int64 COMMENT 'How many of Binance, Bybit and OKX rose over 1 h, negative if they fell, 0 if they disagree' CODEC(T64, ZSTD(1)),
    open_interest_agreement_4h Int64 COMMENT 'The same over 4 h' CODEC(T64, ZSTD(1)),
    direction Int64 COMMENT 'Where the conviction points: 1 up, -1 down, 0 neither' CODEC(T64, ZSTD(1)),
    conviction Float64 COMMENT '0 to 100, the sum of its five parts' CODEC(ZSTD(1)),
    conviction_cluster Float64 COMMENT 'Part of 40: size and nearness of a cluster' CODEC(ZSTD(1)),
    conviction_imbalance Float64 COMMENT 'Part of 20: imbalance within 5 %' CODEC(ZSTD(1)),
    conviction_funding Float64 COMMENT 'Part of 15: that side is crowded' CODEC(ZSTD(1)),
    conviction_open_interest Float64 COMMENT 'Part of 15: open interest rises on Binance, Bybit and OKX alike' CODEC(ZSTD(1)),
    conviction_round_number Float64 COMMENT 'Part of 10: a round number at the cluster' CODEC(ZSTD(1)),
    coiled_spring Bool COMMENT 'Open interest rose over 4 h at a flat price beside a heavy cluster',
    exposure_reduction Float64 COMMENT 'Rule of thumb: reduce exposure by this share while price is inside a cluster (0.3 to 0.5), 0 outside, NaN where unknown' CODEC(ZSTD(1)),
    revision UInt64 COMMENT 'Rows of the symbol''s log applied; the highest wins' CODEC(Delta, ZSTD(1)),
    _partition UInt16 COMMENT 'Partition that the row came by' CODEC(T64, ZSTD(1)),
    _offset Int64 COMMENT 'Offset in that partition' CODEC(Delta, ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(revision)
PARTITION BY toMonday(window_start)
ORDER BY (symbol, window_start)
SETTINGS ttl_only_drop_parts = 1;

CREATE OR REPLACE VIEW {database}.symbol_signals {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    window_start DateTime('UTC') COMMENT 'Start of the minute, UTC',
    mark_price Float64 COMMENT 'Median mark price over the live venues, USD per coin',
    adv_usd Nullable(Float64) COMMENT '24 h volume over the live venues, USD; NULL where unknown',
    venues Int64 COMMENT 'Venues that were live',
    near_long_usd Float64 COMMENT 'Longs at risk within 5 % below the mark (setting focus_percent), USD',
    near_short_usd Float64 COMMENT 'Shorts at risk within 5 % above the mark, USD',
    imbalance Nullable(Float64) COMMENT '(longs - shorts) / (longs + shorts) within 5 %, in %; +100 is all below the price; NULL where unknown',
    down_1_usd Float64 COMMENT 'Longs that a fall by 1 % would liquidate, USD',
    down_2_usd Float64 COMMENT 'Longs that a fall by 2 % would liquidate, USD',
    down_5_usd Float64 COMMENT 'Longs that a fall by 5 % would liquidate, USD',
    down_10_usd Float64 COMMENT 'Longs that a fall by 10 % would liquidate, USD',
    up_1_usd Float64 COMMENT 'Shorts that a rise by 1 % would liquidate, USD',
    up_2_usd Float64 COMMENT 'Shorts that a rise by 2 % would liquidate, USD',
    up_5_usd Float64 COMMENT 'Shorts that a rise by 5 % would liquidate, USD',
    up_10_usd Float64 COMMENT 'Shorts that a rise by 10 % would liquidate, USD',
    max_pain_long_price Nullable(Float64) COMMENT 'Price of the heaviest long bucket, USD per coin; NULL where unknown',
    max_pain_long_usd Float64 COMMENT 'Notional of the heaviest long bucket, USD',
    max_pain_short_price Nullable(Float64) COMMENT 'Price of the heaviest short bucket, USD per coin; NULL where unknown',
    max_pain_short_usd Float64 COMMENT 'Notional of the heaviest short bucket, USD',
    nearest_long_distance Nullable(Float64) COMMENT 'From the mark to the nearest long cluster, in %; NULL where unknown',
    nearest_short_distance Nullable(Float64) COMMENT 'From the mark to the nearest short cluster, in %; NULL where unknown',
    funding_rate_4h Nullable(Float64) COMMENT 'Mean funding of the last 4 h as a rate of 8 h, weighted by open interest; NULL where unknown',
    funding_direction Int64 COMMENT '1 longs pay, -1 shorts pay, 0 neither',
    settlement_seconds Nullable(Float64) COMMENT 'Seconds to the next funding settlement of any venue; NULL where unknown',
    open_interest_change_1h Nullable(Float64) COMMENT 'Change of open interest in coins over 1 h, in %; NULL where unknown',
    open_interest_change_4h Nullable(Float64) COMMENT 'The same over 4 h; NULL where unknown',
    open_interest_agreement_1h Int64 COMMENT 'How many of Binance, Bybit and OKX rose over 1 h, negative if they fell, 0 if they disagree',
    open_interest_agreement_4h Int64 COMMENT 'The same over 4 h',
    direction Int64 COMMENT 'Where the conviction points: 1 up, -1 down, 0 neither',
    conviction Float64 COMMENT '0 to 100, the sum of its five parts',
    conviction_cluster Float64 COMMENT 'Part of 40: size and nearness of a cluster',
    conviction_imbalance Float64 COMMENT 'Part of 20: imbalance within 5 %',
    conviction_funding Float64 COMMENT 'Part of 15: that side is crowded',
    conviction_open_interest Float64 COMMENT 'Part of 15: open interest rises on Binance, Bybit and OKX alike',
    conviction_round_number Float64 COMMENT 'Part of 10: a round number at the cluster',
    coiled_spring Bool COMMENT 'Open interest rose over 4 h at a flat price beside a heavy cluster',
    exposure_reduction Nullable(Float64) COMMENT 'Rule of thumb: reduce exposure by this share while price is inside a cluster (0.3 to 0.5), 0 outside; NULL where unknown'
)
AS SELECT
    symbol, window_start, mark_price, if(isNaN(adv_usd), NULL, adv_usd) AS adv_usd, venues,
    near_long_micro_usd / 1e6 AS near_long_usd, near_short_micro_usd / 1e6 AS near_short_usd,
    if(isNaN(imbalance), NULL, imbalance) AS imbalance, down_1_micro_usd / 1e6 AS down_1_usd,
    down_2_micro_usd / 1e6 AS down_2_usd, down_5_micro_usd / 1e6 AS down_5_usd,
    down_10_micro_usd / 1e6 AS down_10_usd, up_1_micro_usd / 1e6 AS up_1_usd, up_2_micro_usd / 1e6 AS up_2_usd,
    up_5_micro_usd / 1e6 AS up_5_usd, up_10_micro_usd / 1e6 AS up_10_usd,
    if(isNaN(max_pain_long_price), NULL, max_pain_long_price) AS max_pain_long_price,
    max_pain_long_micro_usd / 1e6 AS max_pain_long_usd,
    if(isNaN(max_pain_short_price), NULL, max_pain_short_price) AS max_pain_short_price,
    max_pain_short_micro_usd / 1e6 AS max_pain_short_usd,
    if(isNaN(nearest_long_distance), NULL, nearest_long_distance) AS nearest_long_distance,
    if(isNaN(nearest_short_distance), NULL, nearest_short_distance) AS nearest_short_distance,
    if(isNaN(funding_rate_4h), NULL, funding_rate_4h) AS funding_rate_4h, funding_direction,
    if(isNaN(settlement_seconds), NULL, settlement_seconds) AS settlement_seconds,
    if(isNaN(open_interest_change_1h), NULL, open_interest_change_1h) AS open_interest_change_1h,
    if(isNaN(open_interest_change_4h), NULL, open_interest_change_4h) AS open_interest_change_4h,
    open_interest_agreement_1h, open_interest_agreement_4h, direction, conviction, conviction_cluster,
    conviction_imbalance, conviction_funding, conviction_open_interest, conviction_round_number, coiled_spring,
    if(isNaN(exposure_reduction), NULL, exposure_reduction) AS exposure_reduction
FROM {database}.symbol_signals_raw FINAL
COMMENT 'Readings of a symbol, one row a minute.';

-- The same for a single venue's market: funding and open interest.
CREATE TABLE IF NOT EXISTS {database}.market_signals_raw {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    window_start DateTime('UTC') COMMENT 'Start of the minute, UTC' CODEC(DoubleDelta, ZSTD(1)),
    funding_rate Float64 COMMENT 'Funding rate of the running interval, fraction, NaN where unknown' CODEC(ZSTD(1)),
    funding_rate_4h Float64 COMMENT 'Mean of the last 4 h as a rate of 8 h, NaN where unknown' CODEC(ZSTD(1)),
    funding_direction Int64 COMMENT '1 longs pay, -1 shorts pay, 0 neither' CODEC(T64, ZSTD(1)),
    next_funding_time DateTime64(3, 'UTC') COMMENT 'Next settlement' CODEC(Delta, ZSTD(1)),
    settlement_seconds Float64 COMMENT 'Seconds to it from the end of the minute, NaN where unknown' CODEC(ZSTD(1)),
    open_interest_change_1h Float64 COMMENT 'Change of open interest in coins over 1 h, in %, NaN where unknown' CODEC(ZSTD(1)),
    open_interest_change_4h Float64 COMMENT 'The same over 4 h, NaN where unknown' CODEC(ZSTD(1)),
    revision UInt64 COMMENT 'Rows of the symbol''s log applied; the highest wins' CODEC(Delta, ZSTD(1)),
    _partition UInt16 COMMENT 'Partition that the row came by' CODEC(T64, ZSTD(1)),
    _offset Int64 COMMENT 'Offset in that partition' CODEC(Delta, ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(revision)
PARTITION BY toMonday(window_start)
ORDER BY (symbol, window_start, venue)
SETTINGS ttl_only_drop_parts = 1;

CREATE OR REPLACE VIEW {database}.market_signals {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    window_start DateTime('UTC') COMMENT 'Start of the minute, UTC',
    funding_rate Nullable(Float64) COMMENT 'Funding rate of the running interval, fraction; NULL where unknown',
    funding_rate_4h Nullable(Float64) COMMENT 'Mean of the last 4 h as a rate of 8 h; NULL where unknown',
    funding_direction Int64 COMMENT '1 longs pay, -1 shorts pay, 0 neither',
    next_funding_time Nullable(DateTime64(3, 'UTC')) COMMENT 'Next settlement; NULL where unknown',
    settlement_seconds Nullable(Float64) COMMENT 'Seconds to it from the end of the minute; NULL where unknown',
    open_interest_change_1h Nullable(Float64) COMMENT 'Change of open interest in coins over 1 h, in %; NULL where unknown',
    open_interest_change_4h Nullable(Float64) COMMENT 'The same over 4 h; NULL where unknown'
)
AS SELECT
    symbol, venue, window_start, if(isNaN(funding_rate), NULL, funding_rate) AS funding_rate,
    if(isNaN(funding_rate_4h), NULL, funding_rate_4h) AS funding_rate_4h, funding_direction,
    if(toUnixTimestamp64Milli(next_funding_time) = 0, NULL, next_funding_time) AS next_funding_time,
    if(isNaN(settlement_seconds), NULL, settlement_seconds) AS settlement_seconds,
    if(isNaN(open_interest_change_1h), NULL, open_interest_change_1h) AS open_interest_change_1h,
    if(isNaN(open_interest_change_4h), NULL, open_interest_change_4h) AS open_interest_change_4h
FROM {database}.market_signals_raw FINAL
COMMENT 'Funding and open interest of each venue''s market, one row a minute.';
