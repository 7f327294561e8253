-- Executed liquidations as the venues publish them. Binance publishes a sample, at most about one per second and market.
SELECT
    symbol, -- Canonical symbol of the coin
    venue, -- Exchange
    instrument, -- The venue's own name of the market
    event_time, -- When the venue says it happened
    side, -- Side of the position that died: long or short
    price, -- Average fill price where the venue gives it, else its bankruptcy price, USD per coin
    quantity, -- Coins
    price * quantity AS notional_usd, -- price x quantity, USD
    if(isNaN(bankruptcy_price), NULL, bankruptcy_price) AS bankruptcy_price -- Bankruptcy price, USD per coin; NULL where the venue publishes none
FROM {database}.liquidations_raw FINAL
