-- Seconds since the end of the newest minute of each venue's market in the middle, of those that wrote within the range:
-- a single market, broken or ahead of the clock, neither raises the alert nor keeps it down.
SELECT venue, toFloat64(quantileExact(0.5)(late)) AS behind
FROM (
    SELECT venue, symbol, dateDiff('second', max(window_start) + INTERVAL 1 MINUTE, now()) AS late
    FROM market_minutes
    WHERE $__timeFilter(window_start) AND window_start <= now() + INTERVAL 2 MINUTE
    GROUP BY venue, symbol
)
GROUP BY venue
ORDER BY venue
