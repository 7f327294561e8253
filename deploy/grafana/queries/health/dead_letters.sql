SELECT stage, reason, count() AS letters, max(received_at) AS latest
FROM dead_letters
WHERE $__timeFilter(received_at)
GROUP BY stage, reason
ORDER BY letters DESC
LIMIT 200
