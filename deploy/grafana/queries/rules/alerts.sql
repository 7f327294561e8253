-- How many alerts of the kind each symbol and side had: the columns of text become labels, one instance of the rule each.
SELECT symbol, side, toFloat64(count()) AS alerts
FROM alerts
WHERE $__timeFilter(event_time) AND kind = '{kind}'
GROUP BY symbol, side
ORDER BY symbol, side
