-- Seconds since the end of the newest minute of each venue that wrote within the range.
SELECT venue, toFloat64(dateDiff('second', max(window_start) + INTERVAL 1 MINUTE, now())) AS behind
FROM market_minutes
WHERE $__timeFilter(window_start)
GROUP BY venue
ORDER BY venue
