-- What each exchange holds of a cluster, one row per cluster, minute and exchange.
SELECT
    symbol, -- Canonical symbol of the coin
    venue, -- Exchange; one that holds nothing of the cluster has no row
    window_start, -- Start of the minute, UTC
    cluster_id, -- Identity of the cluster, as in the view clusters
    side, -- long (below the price) or short (above it)
    at_risk_micro_usd / 1e6 AS at_risk_usd, -- Notional of the cluster on this exchange, USD
    share -- Share of the cluster's notional, of 1
FROM {database}.cluster_shares_raw FINAL
