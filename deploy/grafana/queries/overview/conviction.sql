SELECT $__timeInterval(window_start) + toIntervalSecond($__interval_s) AS time, symbol,
       argMax(conviction, window_start) AS "conviction"
FROM symbol_signals
WHERE $__timeFilter(window_start)
GROUP BY time, symbol
ORDER BY time, symbol
