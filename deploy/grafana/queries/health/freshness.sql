-- Seconds since the end of the newest minute of each venue's market in the middle, of those that wrote within a day. Market
-- by market, and no minute ahead of the clock counts: none hides another.
SELECT venue, toUInt64(quantileExact(0.5)(late)) AS "behind"
FROM (
    SELECT venue, symbol, greatest(dateDiff('second', max(window_start) + INTERVAL 1 MINUTE, now()), 0) AS late
    FROM market_hours
    WHERE hour > now() - INTERVAL 1 DAY AND window_start <= now() + INTERVAL 2 MINUTE
    GROUP BY venue, symbol
)
GROUP BY venue
ORDER BY venue
