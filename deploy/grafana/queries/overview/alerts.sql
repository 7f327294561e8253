SELECT event_time, symbol, kind, side, notional_usd AS "notional", percent_of_adv AS "% of ADV", distance AS "distance %",
       message
FROM alerts
WHERE $__timeFilter(event_time)
ORDER BY event_time DESC
LIMIT 200
