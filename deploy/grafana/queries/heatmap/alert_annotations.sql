SELECT event_time AS time, concat(kind, ' ', side) AS title, message AS text, kind AS tags
FROM alerts
WHERE $__timeFilter(event_time) AND symbol = ${symbol:singlequote}
ORDER BY time
LIMIT 500
