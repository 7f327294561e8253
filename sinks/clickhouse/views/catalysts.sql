-- News and events by symbol.
SELECT
    symbol, -- Canonical symbol of the coin
    event_time, -- When it happens or was published, UTC
    catalyst_id, -- The same whenever the item is read again
    source, -- Feed or file that it came by
    title, -- Headline
    link, -- Address, or empty
    importance -- low, normal or high
FROM {database}.catalysts_raw FINAL
