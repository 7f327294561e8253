-- The last minute of each market in each hour, or so far: prices of weeks, and which markets are current.
SELECT
    symbol, -- Canonical symbol of the coin
    venue, -- Exchange
    hour, -- Start of the hour, UTC
    window_start, -- Start of the market's last minute in the hour, UTC
    if(isNaN(mark_close), NULL, mark_close) AS mark_close, -- Last mark price, USD per coin; NULL where there was none
    if(isNaN(open_interest_usd), NULL, open_interest_usd) AS open_interest_usd, -- Open interest at the mark price, USD
    if(isNaN(turnover_24h_usd), NULL, turnover_24h_usd) AS turnover_24h_usd, -- Quote volume of the last 24 hours, USD
    warming_up, -- Whether the market has too little past for its model
    model_version -- Version of the model that made the row
FROM {database}.market_hours_raw FINAL
