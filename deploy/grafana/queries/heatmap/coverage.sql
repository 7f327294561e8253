SELECT $__timeInterval(window_start) + toIntervalSecond($__interval_s) AS time, venue,
       argMax(coverage, window_start) AS "observed share"
FROM market_minutes
WHERE $__timeFilter(window_start) AND symbol = ${symbol:singlequote} AND isFinite(coverage)
  AND $__conditionalAll(venue IN (${venue:singlequote}), $venue)
GROUP BY time, venue
ORDER BY time, venue
