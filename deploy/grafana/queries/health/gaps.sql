SELECT event_time, end_time, venue, symbol, stream, missing, reason, filled
FROM gaps
WHERE $__timeFilter(event_time)
ORDER BY event_time DESC
LIMIT 500
