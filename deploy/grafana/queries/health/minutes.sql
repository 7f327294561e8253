SELECT $__timeInterval(window_start) + toIntervalSecond($__interval_s) AS time, venue,
       toFloat64(count()) / uniqExact(symbol) / ($__interval_s / 60) AS "minutes per minute"
FROM market_minutes
WHERE $__timeFilter(window_start)
GROUP BY time, venue
ORDER BY time, venue
