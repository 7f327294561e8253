-- What the map predicted of each hour, as it was renewed minute by minute, beside what was executed; the first word counts.
SELECT window_start + INTERVAL 1 HOUR AS time,
       -sum(predicted_long_usd) AS "longs predicted", -sum(executed_long_usd) AS "longs executed",
       sum(predicted_short_usd) AS "shorts predicted", sum(executed_short_usd) AS "shorts executed"
FROM track_record
WHERE $__timeFilter(window_start) AND symbol = ${symbol:singlequote} AND horizon_hours = 0 AND feed != 'none'
  AND $__conditionalAll(venue IN (${venue:singlequote}), $venue)
GROUP BY time
ORDER BY time
