-- Margin-tier tables as last read: one row a tier.
SELECT
    symbol, -- Canonical symbol of the coin
    venue, -- Exchange
    instrument, -- The venue's own name of the market
    event_time, -- When the table was last read
    tier, -- Number of the tier, from 1
    notional_floor, -- Position size from which it holds, USD
    notional_cap, -- Position size up to which it holds, USD
    maximum_leverage, -- Highest leverage, times
    maintenance_margin_rate, -- Maintenance margin, fraction of notional
    maintenance_amount -- Deduction from the maintenance margin, USD
FROM
(
    SELECT *, max(event_time) OVER (PARTITION BY symbol, venue, instrument) AS newest
    FROM {database}.margin_tiers_raw FINAL
)
WHERE event_time = newest
