-- Seconds since the end of the newest minute of any venue; without any row that is the age of 1970, and fires. A minute
-- ahead of the clock does not count.
SELECT toFloat64(dateDiff('second', max(window_start) + INTERVAL 1 MINUTE, now())) AS behind
FROM market_hours
WHERE $__timeFilter(window_start) AND window_start <= now() + INTERVAL 2 MINUTE
