SELECT $__timeInterval(window_start) + toIntervalSecond($__interval_s) AS time, venue,
       argMax(open_interest_usd, window_start) AS "open interest"
FROM market_minutes
WHERE $__timeFilter(window_start) AND symbol = ${symbol:singlequote} AND open_interest_usd > 0
  AND $__conditionalAll(venue IN (${venue:singlequote}), $venue)
GROUP BY time, venue
ORDER BY time, venue
