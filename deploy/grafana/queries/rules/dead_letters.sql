SELECT stage, toFloat64(count()) AS letters
FROM dead_letters
WHERE $__timeFilter(received_at)
GROUP BY stage
ORDER BY stage
