SELECT $__timeInterval(window_start) + toIntervalSecond($__interval_s) AS time, venue,
       argMax(at_risk_scale_long, window_start) AS "longs at risk", argMax(at_risk_scale_short, window_start) AS "shorts at risk",
       argMax(expected_scale_long, window_start) AS "longs expected",
       argMax(expected_scale_short, window_start) AS "shorts expected"
FROM market_minutes
WHERE $__timeFilter(window_start) AND symbol = ${symbol:singlequote}
  AND $__conditionalAll(venue IN (${venue:singlequote}), $venue)
GROUP BY time, venue
ORDER BY time, venue
