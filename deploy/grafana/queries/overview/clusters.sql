-- The clusters alive at each symbol's latest minute, where that is current, largest first.
SELECT symbol, side, price_low AS "from", price_high AS "to", at_risk_usd AS "at risk", percent_of_adv AS "% of ADV",
       distance AS "distance %", observed_share AS "observed", confidence, round_number AS "round number",
       age_minutes AS "age, min", state
FROM clusters
WHERE window_start > least($__toTime, now()) - INTERVAL 10 MINUTE AND window_start <= $__toTime
  AND window_start <= now() + INTERVAL 2 MINUTE
QUALIFY window_start = max(window_start) OVER (PARTITION BY symbol)
ORDER BY at_risk_usd DESC
LIMIT 100
