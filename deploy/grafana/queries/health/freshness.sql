-- Seconds since the end of the newest minute of each venue; a healthy venue stays near its minute.
SELECT venue, dateDiff('second', max(window_start) + INTERVAL 1 MINUTE, now()) AS "behind"
FROM market_minutes
WHERE window_start > now() - INTERVAL 1 DAY
GROUP BY venue
ORDER BY venue
