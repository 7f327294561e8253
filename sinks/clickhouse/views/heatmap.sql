-- Liquidation heatmap, one row per price bucket and minute. Levels must not be summed over time.
SELECT
    symbol, -- Canonical symbol of the coin, VIRTUAL
    venue, -- Exchange: binance, bybit, okx, hyperliquid, ...
    side, -- Side of the positions at risk: long (below the price) or short (above it)
    basis, -- How it is known: observed at the venue, or inferred from aggregates
    leverage_band, -- Leverage of the positions, inferred ones by distance from entry: 1-5x, 5-10x, 10-25x, 25-50x, 50x+; unknown for executed ones
    window_start, -- Start of the minute, UTC; the minute is half-open
    price_low, -- Lower edge of the price bucket, inclusive, USD per coin
    price_high, -- Upper edge of the price bucket, exclusive, USD per coin
    at_risk_usd, -- Level at the end of the minute: positions whose liquidation price is in the bucket, USD, in steps of 1 %
    opened_usd, -- Flow in the minute: notional opened, USD, in steps of 10 %
    closed_usd, -- Flow in the minute: notional closed before liquidation, USD, in steps of 10 %
    swept_usd, -- Flow in the minute: at-risk notional that the mark price swept, USD
    liquidated_usd, -- Flow in the minute: executed liquidations as the venue published them, USD
    confidence, -- Expected share of the bucket's at_risk_usd that is really there, 0 to 1: more where more of its band was swept; NULL where unknown
    expected_usd, -- Level at the end of the minute: what will be executed if price gets there, USD, in steps of 1 %; NULL in rows of model version 1
    model_version -- Version of the model that made the row; amounts of different versions must not be added
FROM
(
    SELECT
        symbol, venue, side, basis, leverage_band, window_start,
        {price_low} AS price_low,
        {price_high} AS price_high,
        {at_risk_usd} AS at_risk_usd,
        {opened_usd} AS opened_usd,
        {closed_usd} AS closed_usd,
        swept / 1e6 AS swept_usd,
        liquidated / 1e6 AS liquidated_usd,
        if(isNaN(trust), NULL, toFloat64(trust)) AS confidence,
        toNullable({expected_usd}) AS expected_usd,
        model_version
    FROM {database}.heatmap_levels_raw AS levels FINAL
    ARRAY JOIN
        levels.bucket AS bucket_number, levels.at_risk_steps AS at_risk, levels.expected_steps AS expected,
        levels.opened_steps AS opened, levels.closed_steps AS closed,
        levels.swept_micro_usd AS swept, levels.liquidated_micro_usd AS liquidated, levels.confidence AS trust
    WHERE window_start > (SELECT max(window_start) FROM {database}.heatmap_upgrade_raw)
       OR (symbol, venue) GLOBAL NOT IN (SELECT symbol, venue FROM {database}.heatmap_upgrade_raw)
    UNION ALL
    SELECT
        symbol, venue, side, basis, leverage_band, window_start, price_low, price_high,
        at_risk_micro_usd / 1e6,
        opened_micro_usd / 1e6, closed_micro_usd / 1e6, swept_micro_usd / 1e6, liquidated_micro_usd / 1e6,
        if(isNaN(confidence), NULL, confidence),
        NULL,
        toUInt8(1)
    FROM {database}.heatmap_raw FINAL
)
