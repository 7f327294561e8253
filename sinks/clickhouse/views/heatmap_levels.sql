-- The map of heatmap as it is stored: one row per market, minute, side, basis and band, with parallel arrays of its price buckets. For programs that read much of it, as the page does.
SELECT
    symbol, -- Canonical symbol of the coin
    venue, -- Exchange
    window_start, -- Start of the minute, UTC; the minute is half-open
    side, -- Side of the positions at risk: long (below the price) or short (above it)
    basis, -- How it is known: observed at the venue, or inferred from aggregates
    leverage_band, -- Leverage of the positions, as in heatmap
    bucket, -- Number of each price bucket on the finest level of the grid: of the lowest fine bucket in it
    at_risk_steps, -- at_risk_usd of each bucket in steps: 0 is nothing, n is 0.01 USD times 1.01^(n - 1)
    expected_steps, -- expected_usd of each bucket in steps
    at_risk_micro_usd -- at_risk_usd of each bucket, micro-USD, in rows of model version 1, whose steps are 0; else empty
FROM
(
    SELECT
        symbol, venue, window_start, side, basis, leverage_band,
        arrayMap(number -> toInt32(number * grid_factor), bucket) AS bucket,
        at_risk_steps, expected_steps, CAST([], 'Array(Int64)') AS at_risk_micro_usd
    FROM {database}.heatmap_levels_raw FINAL
    WHERE window_start > (SELECT max(window_start) FROM {database}.heatmap_upgrade_raw)
       OR (symbol, venue) GLOBAL NOT IN (SELECT symbol, venue FROM {database}.heatmap_upgrade_raw)
    UNION ALL
    SELECT
        symbol, venue, window_start, side, basis, leverage_band,
        [{bucket}], [toUInt16(0)], [toUInt16(0)], [at_risk_micro_usd]
    FROM {database}.heatmap_raw FINAL
)
