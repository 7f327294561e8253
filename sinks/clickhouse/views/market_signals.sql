-- Funding and open interest of each venue's market, one row per minute.
SELECT
    symbol, -- Canonical symbol of the coin
    venue, -- Exchange
    window_start, -- Start of the minute, UTC
    if(isNaN(funding_rate), NULL, funding_rate) AS funding_rate, -- Funding rate of the running interval, fraction; NULL where unknown
    if(isNaN(funding_rate_4h), NULL, funding_rate_4h) AS funding_rate_4h, -- Mean of the last 4 h as a rate of 8 h; NULL where unknown
    funding_direction, -- 1 longs pay, -1 shorts pay, 0 neither
    if(toUnixTimestamp64Milli(next_funding_time) = 0, NULL, next_funding_time) AS next_funding_time, -- Next settlement; NULL where unknown
    if(isNaN(settlement_seconds), NULL, settlement_seconds) AS settlement_seconds, -- Seconds to it from the end of the minute; NULL where unknown
    if(isNaN(open_interest_change_1h), NULL, open_interest_change_1h) AS open_interest_change_1h, -- Change of open interest in coins over 1 h, in %; NULL where unknown
    if(isNaN(open_interest_change_4h), NULL, open_interest_change_4h) AS open_interest_change_4h -- The same over 4 h; NULL where unknown
FROM {database}.market_signals_raw FINAL
