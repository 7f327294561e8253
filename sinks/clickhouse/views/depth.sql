-- Resting orders near mid, one row per reading of an order book.
SELECT
    symbol, -- Canonical symbol of the coin
    venue, -- Exchange
    instrument, -- The venue's own name of the market
    event_time, -- When the book stood so, UTC
    mid_price, -- Middle of best bid and best ask, USD per coin
    best_bid, -- Highest bid, USD per coin
    best_ask, -- Lowest ask, USD per coin
    bid_reach, -- How far below mid bids were read, %; 100 where all were
    ask_reach, -- How far above mid asks were read, %; 100 where all were
    bid_0_1_usd, -- Bids within 0.1% of mid, USD; a lower bound beyond bid_reach
    bid_0_25_usd, -- Bids within 0.25% of mid, USD; a lower bound beyond bid_reach
    bid_0_5_usd, -- Bids within 0.5% of mid, USD; a lower bound beyond bid_reach
    bid_1_usd, -- Bids within 1% of mid, USD; a lower bound beyond bid_reach
    bid_2_usd, -- Bids within 2% of mid, USD; a lower bound beyond bid_reach
    bid_5_usd, -- Bids within 5% of mid, USD; a lower bound beyond bid_reach
    bid_10_usd, -- Bids within 10% of mid, USD; a lower bound beyond bid_reach
    ask_0_1_usd, -- Asks within 0.1% of mid, USD; a lower bound beyond ask_reach
    ask_0_25_usd, -- Asks within 0.25% of mid, USD; a lower bound beyond ask_reach
    ask_0_5_usd, -- Asks within 0.5% of mid, USD; a lower bound beyond ask_reach
    ask_1_usd, -- Asks within 1% of mid, USD; a lower bound beyond ask_reach
    ask_2_usd, -- Asks within 2% of mid, USD; a lower bound beyond ask_reach
    ask_5_usd, -- Asks within 5% of mid, USD; a lower bound beyond ask_reach
    ask_10_usd -- Asks within 10% of mid, USD; a lower bound beyond ask_reach
FROM {database}.depth_raw FINAL
