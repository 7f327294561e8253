-- Public positions as last observed, one row per account and market; ended ones are left out.
SELECT
    symbol, -- Canonical symbol of the coin
    venue, -- Exchange
    instrument, -- The venue's own name of the market
    account, -- Public account address
    event_time, -- When it was last observed
    side, -- long or short
    quantity, -- Coins, above 0
    entry_price, -- USD per coin
    leverage, -- Times
    is_cross, -- Cross margin, else isolated
    liquidation_price, -- The venue's own liquidation price; NULL where it gives none
    margin, -- Margin held for the position, USD
    account_value -- Account value, USD
FROM
(
    SELECT * FROM {database}.positions_observed_history
    ORDER BY symbol, venue, account, event_time DESC
    LIMIT 1 BY symbol, venue, account
)
WHERE quantity > 0
