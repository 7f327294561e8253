-- Markets that wrote within a day and have been silent for ten minutes: they are left out of what is called now.
SELECT venue, symbol, max(window_start) AS "last minute",
       dateDiff('second', max(window_start) + INTERVAL 1 MINUTE, now()) AS "silent for, s"
FROM market_hours
WHERE hour > now() - INTERVAL 1 DAY AND window_start <= now() + INTERVAL 2 MINUTE
GROUP BY venue, symbol
HAVING "silent for, s" > 600
ORDER BY "silent for, s" DESC
LIMIT 200
