-- Every observation of a public position, absolute, ends included.
SELECT
    symbol, -- Canonical symbol of the coin
    venue, -- Exchange
    instrument, -- The venue's own name of the market
    account, -- Public account address
    event_time, -- When it was so
    side, -- long or short
    quantity, -- Coins; 0 says that the position ended
    if(isNaN(entry_price), NULL, entry_price) AS entry_price, -- USD per coin
    if(isNaN(leverage), NULL, leverage) AS leverage, -- Times
    is_cross, -- Cross margin, else isolated
    if(isNaN(liquidation_price), NULL, liquidation_price) AS liquidation_price, -- The venue's own liquidation price; NULL where it gives none
    if(isNaN(margin), NULL, margin) AS margin, -- Margin held for the position, USD
    if(isNaN(account_value), NULL, account_value) AS account_value -- Account value, USD
FROM {database}.positions_observed_raw FINAL
