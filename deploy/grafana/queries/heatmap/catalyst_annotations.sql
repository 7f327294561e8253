SELECT event_time AS time, title, source AS text, 'catalyst' AS tags
FROM catalysts
WHERE $__timeFilter(event_time) AND symbol = ${symbol:singlequote}
ORDER BY time
LIMIT 500
