-- Mentions per symbol and hour, as social volume.
SELECT
    symbol, -- Canonical symbol of the coin
    toStartOfHour(event_time) AS hour, -- Start of the hour, UTC
    count() AS mentions, -- News and events in that hour
    uniqExact(source) AS sources -- Feeds or files that they came by
FROM {database}.catalysts
GROUP BY symbol, hour
