-- Holes noticed in the feeds, filled or not.
SELECT
    symbol, -- Canonical symbol of the coin
    venue, -- Exchange
    instrument, -- The venue's own name of the market
    stream, -- The feed with the hole
    event_time, -- Start of the hole
    end_time, -- End of the hole
    missing, -- Events missing; 0 where the number is unknown
    reason, -- Why, in a sentence
    filled -- Whether REST history has closed it
FROM {database}.gaps_raw FINAL
