-- At risk over what rests in the known books, over all venues, at the end of each step.
SELECT $__timeInterval(window_start) + toIntervalSecond($__interval_s) AS time,
       argMaxIf(absorption_1, window_start, side = 'long') AS "longs within 1%",
       argMaxIf(absorption_2, window_start, side = 'long') AS "longs within 2%",
       argMaxIf(absorption_5, window_start, side = 'long') AS "longs within 5%",
       argMaxIf(absorption_1, window_start, side = 'short') AS "shorts within 1%",
       argMaxIf(absorption_2, window_start, side = 'short') AS "shorts within 2%",
       argMaxIf(absorption_5, window_start, side = 'short') AS "shorts within 5%"
FROM cascades
WHERE $__timeFilter(window_start) AND symbol = ${symbol:singlequote}
GROUP BY time
ORDER BY time
