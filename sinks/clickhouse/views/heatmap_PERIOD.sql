-- The map by the {unit}, for ranges of {ranges}.
SELECT
    symbol, -- Canonical symbol of the coin, VIRTUAL
    venue, -- Exchange: binance, bybit, okx, hyperliquid, ...
    side, -- Side of the positions at risk: long (below the price) or short (above it)
    basis, -- How it is known: observed at the venue, or inferred from aggregates
    leverage_band, -- Leverage of the positions, inferred ones by distance from entry: 1-5x, 5-10x, 10-25x, 25-50x, 50x+; unknown for executed ones
    window_start, -- Start of the {unit}, UTC; the {unit} is half-open
    price_low, -- Lower edge of the price bucket, inclusive, USD per coin
    price_high, -- Upper edge of the price bucket, exclusive, USD per coin
    at_risk_usd, -- Level at the end of the {unit}, or so far: positions whose liquidation price is in the bucket, USD, in steps of 1 %
    at_risk_peak_usd, -- Highest level of any minute of the {unit}, USD
    opened_usd, -- Flow in the {unit}: notional opened, USD
    closed_usd, -- Flow in the {unit}: notional closed before liquidation, USD
    swept_usd, -- Flow in the {unit}: at-risk notional that the mark price swept, USD
    liquidated_usd, -- Flow in the {unit}: executed liquidations as the venue published them, USD
    confidence, -- Expected share of the bucket's at_risk_usd that is really there, 0 to 1: more where more of its band was swept; NULL where unknown
    expected_usd, -- Level at the end of the {unit}, or so far: what will be executed if price gets there, USD, in steps of 1 %; NULL in rows of model version 1
    model_version -- Version of the model that made the row; amounts of different versions must not be added
FROM
(
    SELECT
        symbol, venue, side, basis, leverage_band, window_start,
        {price_low} AS price_low,
        {price_high} AS price_high,
        {at_risk_usd} AS at_risk_usd,
        {at_risk_peak_usd} AS at_risk_peak_usd,
        toFloat64(opened) AS opened_usd,
        toFloat64(closed) AS closed_usd,
        swept / 1e6 AS swept_usd,
        liquidated / 1e6 AS liquidated_usd,
        if(isNaN(trust), NULL, toFloat64(trust)) AS confidence,
        toNullable({expected_usd}) AS expected_usd,
        model_version
    FROM {database}.heatmap_levels_{period}_raw AS levels FINAL
    ARRAY JOIN
        levels.bucket AS bucket_number, levels.at_risk_steps AS at_risk, levels.expected_steps AS expected,
        levels.at_risk_peak_steps AS at_risk_peak,
        levels.opened_usd AS opened, levels.closed_usd AS closed,
        levels.swept_micro_usd AS swept, levels.liquidated_micro_usd AS liquidated, levels.confidence AS trust
    WHERE window_start >= toStartOf{Unit}((SELECT max(window_start) FROM {database}.heatmap_upgrade_raw))
       OR (symbol, venue) GLOBAL NOT IN (SELECT symbol, venue FROM {database}.heatmap_upgrade_raw)
    UNION ALL
    SELECT
        symbol, venue, side, basis, leverage_band, window_start, price_low, price_high,
        at_risk_micro_usd / 1e6,
        at_risk_peak_micro_usd / 1e6,
        opened_micro_usd / 1e6, closed_micro_usd / 1e6, swept_micro_usd / 1e6, liquidated_micro_usd / 1e6,
        if(isNaN(confidence), NULL, confidence),
        NULL,
        toUInt8(1)
    FROM {database}.heatmap_{period}_raw FINAL
    WHERE window_start < toStartOf{Unit}((SELECT max(window_start) FROM {database}.heatmap_upgrade_raw))
)
