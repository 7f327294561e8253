-- Mark price, the median over the chosen venues at the end of each step.
SELECT time, median(mark) AS "mark price"
FROM (
    SELECT $__timeInterval(window_start) + toIntervalSecond($__interval_s) AS time, venue,
           argMax(mark_close, window_start) AS mark
    FROM market_minutes
    WHERE $__timeFilter(window_start) AND symbol = ${symbol:singlequote} AND mark_close > 0
      AND $__conditionalAll(venue IN (${venue:singlequote}), $venue)
    GROUP BY time, venue
)
GROUP BY time
ORDER BY time
