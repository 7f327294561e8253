-- Where moves of 1, 2, 5 and 10 % come to rest, in % of the mark at the end of each step: falls below zero, rises above.
SELECT $__timeInterval(window_start) + toIntervalSecond($__interval_s) AS time,
       -argMaxIf(rest_percent[indexOf(move_percent, 1)], window_start, side = 'long') AS "-1%",
       -argMaxIf(rest_percent[indexOf(move_percent, 2)], window_start, side = 'long') AS "-2%",
       -argMaxIf(rest_percent[indexOf(move_percent, 5)], window_start, side = 'long') AS "-5%",
       -argMaxIf(rest_percent[indexOf(move_percent, 10)], window_start, side = 'long') AS "-10%",
       argMaxIf(rest_percent[indexOf(move_percent, 1)], window_start, side = 'short') AS "+1%",
       argMaxIf(rest_percent[indexOf(move_percent, 2)], window_start, side = 'short') AS "+2%",
       argMaxIf(rest_percent[indexOf(move_percent, 5)], window_start, side = 'short') AS "+5%",
       argMaxIf(rest_percent[indexOf(move_percent, 10)], window_start, side = 'short') AS "+10%"
FROM cascades
WHERE $__timeFilter(window_start) AND symbol = ${symbol:singlequote}
GROUP BY time
ORDER BY time
