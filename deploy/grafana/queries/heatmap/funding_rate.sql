SELECT $__timeInterval(window_start) + toIntervalSecond($__interval_s) AS time, venue,
       argMax(funding_rate, window_start) AS "funding rate"
FROM market_minutes
WHERE $__timeFilter(window_start) AND symbol = ${symbol:singlequote} AND isFinite(funding_rate)
  AND $__conditionalAll(venue IN (${venue:singlequote}), $venue)
GROUP BY time, venue
ORDER BY time, venue
