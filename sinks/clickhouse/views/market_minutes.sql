-- Price, funding, open interest, flow and fit of each venue's market, one row per minute.
SELECT
    symbol, -- Canonical symbol of the coin
    venue, -- Exchange
    window_start, -- Start of the minute, UTC; the minute is half-open
    if(isNaN(mark_open), NULL, mark_open) AS mark_open, -- First mark price of the minute, USD per coin; NULL where there was none
    if(isNaN(mark_high), NULL, mark_high) AS mark_high, -- Highest mark price, USD per coin
    if(isNaN(mark_low), NULL, mark_low) AS mark_low, -- Lowest mark price, USD per coin
    if(isNaN(mark_close), NULL, mark_close) AS mark_close, -- Last mark price, USD per coin
    if(isNaN(index_price), NULL, index_price) AS index_price, -- Last index price, USD per coin; NULL where the venue publishes none
    if(isNaN(funding_rate), NULL, funding_rate) AS funding_rate, -- Funding rate of the running interval, fraction; above 0 longs pay
    if(toUnixTimestamp64Milli(next_funding_time) = 0, NULL, next_funding_time) AS next_funding_time, -- Next funding settlement; NULL where unknown
    if(isNaN(open_interest), NULL, open_interest) AS open_interest, -- Open interest, one-sided, coins
    if(isNaN(open_interest_usd), NULL, open_interest_usd) AS open_interest_usd, -- Open interest at the mark price, USD
    if(isNaN(turnover_24h_usd), NULL, turnover_24h_usd) AS turnover_24h_usd, -- Quote volume of the last 24 hours, USD: the day volume that sizes are judged by
    taker_buy_micro_usd / 1e6 AS taker_buy_usd, -- Taker buys in the minute, USD
    taker_sell_micro_usd / 1e6 AS taker_sell_usd, -- Taker sells in the minute, USD
    liquidated_long_micro_usd / 1e6 AS liquidated_long_usd, -- Executed liquidations of longs in the minute, USD
    liquidated_short_micro_usd / 1e6 AS liquidated_short_usd, -- Executed liquidations of shorts in the minute, USD
    at_risk_long_micro_usd / 1e6 AS at_risk_long_usd, -- Longs at risk at the end of the minute, over all buckets, USD
    at_risk_short_micro_usd / 1e6 AS at_risk_short_usd, -- Shorts at risk at the end of the minute, over all buckets, USD
    if(isNaN(coverage), NULL, coverage) AS coverage, -- Observed notional over open interest; NULL or 0 where nothing is observed
    late_rows, -- Rows that came after their minute had closed
    if(model_version = 1, NULL, expected_long_micro_usd / 1e6) AS expected_long_usd, -- Longs that will be executed if price gets there, over all buckets, USD; NULL in rows of model version 1
    if(model_version = 1, NULL, expected_short_micro_usd / 1e6) AS expected_short_usd, -- Shorts that will be executed if price gets there, over all buckets, USD
    if(isNaN(interval_low_long), NULL, interval_low_long) AS interval_low_long, -- Lower end of the interval of expected longs, as a factor of expected_long_usd and of every bucket's expected_usd
    if(isNaN(interval_high_long), NULL, interval_high_long) AS interval_high_long, -- Upper end of that interval, as a factor
    if(isNaN(interval_low_short), NULL, interval_low_short) AS interval_low_short, -- Lower end of the interval of expected shorts, as a factor of expected_short_usd and of every bucket's expected_usd
    if(isNaN(interval_high_short), NULL, interval_high_short) AS interval_high_short, -- Upper end of that interval, as a factor
    if(isNaN(at_risk_scale_long), NULL, at_risk_scale_long) AS at_risk_scale_long, -- Factor that fits the longs at risk to open interest; 1 means that it fitted
    if(isNaN(at_risk_scale_short), NULL, at_risk_scale_short) AS at_risk_scale_short, -- Factor that fits the shorts at risk to open interest; 1 means that it fitted
    if(isNaN(expected_scale_long), NULL, expected_scale_long) AS expected_scale_long, -- Factor learned from executed liquidations: expected per modelled long
    if(isNaN(expected_scale_short), NULL, expected_scale_short) AS expected_scale_short, -- Factor learned from executed liquidations: expected per modelled short
    warming_up, -- Whether the market has too little past for its model
    model_version -- Version of the model that made the row; amounts of different versions must not be added
FROM {database}.market_minutes_raw FINAL
