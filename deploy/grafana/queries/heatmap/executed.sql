-- Executed liquidations per step: longs down, shorts up, so that the picture agrees with the map.
SELECT $__timeInterval(window_start) + toIntervalSecond($__interval_s) AS time,
       -sum(liquidated_long_usd) AS "longs liquidated", sum(liquidated_short_usd) AS "shorts liquidated"
FROM market_minutes
WHERE $__timeFilter(window_start) AND symbol = ${symbol:singlequote}
  AND $__conditionalAll(venue IN (${venue:singlequote}), $venue)
GROUP BY time
ORDER BY time
