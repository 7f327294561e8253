-- Every known perpetual and its rules.
SELECT
    symbol, -- Canonical symbol of the coin
    venue, -- Exchange
    instrument, -- The venue's own name of the market
    event_time, -- When it was last read
    status, -- The venue's word for its state
    if(isNaN(tick_size), NULL, tick_size) AS tick_size, -- Smallest price step, USD per coin
    if(isNaN(quantity_step), NULL, quantity_step) AS quantity_step, -- Smallest quantity step, coins
    if(isNaN(contract_value), NULL, contract_value) AS contract_value, -- Coins a contract
    if(funding_interval = 0, NULL, funding_interval / 3600000) AS funding_interval_hours -- Hours between funding settlements; NULL where unknown
FROM {database}.contracts_raw FINAL
