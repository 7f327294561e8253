SELECT $__timeInterval(window_start) + toIntervalSecond($__interval_s) AS time, venue,
       toFloat64(sum(late_rows)) AS "late rows"
FROM market_minutes
WHERE $__timeFilter(window_start)
GROUP BY time, venue
ORDER BY time, venue
