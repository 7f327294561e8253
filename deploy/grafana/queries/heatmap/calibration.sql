SELECT $__timeInterval(window_start) + toIntervalSecond($__interval_s) AS time, venue,
       argMax(scale_long, window_start) AS "long scale", argMax(scale_short, window_start) AS "short scale",
       argMax(reach_share_long, window_start) AS "long reach", argMax(reach_share_short, window_start) AS "short reach"
FROM market_minutes
WHERE $__timeFilter(window_start) AND symbol = ${symbol:singlequote}
  AND $__conditionalAll(venue IN (${venue:singlequote}), $venue)
GROUP BY time, venue
ORDER BY time, venue
