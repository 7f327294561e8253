-- Seconds since the end of the newest minute of each venue, of its market in the middle, and how many of its markets are
-- silent for ten minutes. Market by market, and no minute ahead of the clock counts: none hides another.
SELECT venue, min(behind) AS "behind", toUInt64(quantileExact(0.5)(behind)) AS "market in the middle",
       countIf(behind > 600) AS "silent markets"
FROM (
    SELECT venue, symbol, dateDiff('second', max(window_start) + INTERVAL 1 MINUTE, now()) AS behind
    FROM market_hours
    WHERE hour > now() - INTERVAL 1 DAY AND window_start <= now() + INTERVAL 2 MINUTE
    GROUP BY venue, symbol
)
GROUP BY venue
ORDER BY venue
