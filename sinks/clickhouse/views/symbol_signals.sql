-- Readings of a symbol, one row per minute.
SELECT
    symbol, -- Canonical symbol of the coin
    window_start, -- Start of the minute, UTC
    mark_price, -- Median mark price over the live venues, USD per coin
    if(isNaN(adv_usd), NULL, adv_usd) AS adv_usd, -- 24 h volume over the live venues, USD; NULL where unknown
    venues, -- Venues that were live
    near_long_micro_usd / 1e6 AS near_long_usd, -- Longs at risk within 5 % below the mark (setting focus_percent), USD
    near_short_micro_usd / 1e6 AS near_short_usd, -- Shorts at risk within 5 % above the mark, USD
    if(isNaN(imbalance), NULL, imbalance) AS imbalance, -- (longs - shorts) / (longs + shorts) within 5 %, in %; +100 is all below the price; NULL where unknown
    down_1_micro_usd / 1e6 AS down_1_usd, -- Longs that a fall by 1 % would liquidate, USD
    down_2_micro_usd / 1e6 AS down_2_usd, -- Longs that a fall by 2 % would liquidate, USD
    down_5_micro_usd / 1e6 AS down_5_usd, -- Longs that a fall by 5 % would liquidate, USD
    down_10_micro_usd / 1e6 AS down_10_usd, -- Longs that a fall by 10 % would liquidate, USD
    up_1_micro_usd / 1e6 AS up_1_usd, -- Shorts that a rise by 1 % would liquidate, USD
    up_2_micro_usd / 1e6 AS up_2_usd, -- Shorts that a rise by 2 % would liquidate, USD
    up_5_micro_usd / 1e6 AS up_5_usd, -- Shorts that a rise by 5 % would liquidate, USD
    up_10_micro_usd / 1e6 AS up_10_usd, -- Shorts that a rise by 10 % would liquidate, USD
    if(isNaN(max_pain_long_price), NULL, max_pain_long_price) AS max_pain_long_price, -- Price of the heaviest long bucket, USD per coin; NULL where unknown
    max_pain_long_micro_usd / 1e6 AS max_pain_long_usd, -- Notional of the heaviest long bucket, USD
    if(isNaN(max_pain_short_price), NULL, max_pain_short_price) AS max_pain_short_price, -- Price of the heaviest short bucket, USD per coin; NULL where unknown
    max_pain_short_micro_usd / 1e6 AS max_pain_short_usd, -- Notional of the heaviest short bucket, USD
    if(isNaN(nearest_long_distance), NULL, nearest_long_distance) AS nearest_long_distance, -- From the mark to the nearest long cluster, in %; NULL where unknown
    if(isNaN(nearest_short_distance), NULL, nearest_short_distance) AS nearest_short_distance, -- From the mark to the nearest short cluster, in %; NULL where unknown
    if(isNaN(funding_rate_4h), NULL, funding_rate_4h) AS funding_rate_4h, -- Mean funding of the last 4 h as a rate of 8 h, weighted by open interest; NULL where unknown
    funding_direction, -- 1 longs pay, -1 shorts pay, 0 neither
    if(isNaN(settlement_seconds), NULL, settlement_seconds) AS settlement_seconds, -- Seconds to the next funding settlement of any venue; NULL where unknown
    if(isNaN(open_interest_change_1h), NULL, open_interest_change_1h) AS open_interest_change_1h, -- Change of open interest in coins over 1 h, in %; NULL where unknown
    if(isNaN(open_interest_change_4h), NULL, open_interest_change_4h) AS open_interest_change_4h, -- The same over 4 h; NULL where unknown
    open_interest_agreement_1h, -- How many of Binance, Bybit and OKX rose over 1 h, negative if they fell, 0 if they disagree
    open_interest_agreement_4h, -- The same over 4 h
    direction, -- Where the conviction points: 1 up, -1 down, 0 neither
    conviction, -- 0 to 100, the sum of its five parts
    conviction_cluster, -- Part of 40: size and nearness of a cluster
    conviction_imbalance, -- Part of 20: imbalance within 5 %
    conviction_funding, -- Part of 15: that side is crowded
    conviction_open_interest, -- Part of 15: open interest rises on Binance, Bybit and OKX alike
    conviction_round_number, -- Part of 10: a round number at the cluster
    coiled_spring, -- Open interest rose over 4 h at a flat price beside a heavy cluster
    if(isNaN(exposure_reduction), NULL, exposure_reduction) AS exposure_reduction -- Rule of thumb: reduce exposure by this share while price is inside a cluster (0.3 to 0.5), 0 outside; NULL where unknown
FROM {database}.symbol_signals_raw FINAL
