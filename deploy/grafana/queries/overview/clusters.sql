-- The clusters alive at each symbol's latest minute, largest first.
SELECT symbol, side, price_low AS "from", price_high AS "to", at_risk_usd AS "at risk", percent_of_adv AS "% of ADV",
       distance AS "distance %", observed_share AS "observed", confidence, round_number AS "round number",
       age_minutes AS "age, min", state
FROM clusters
WHERE window_start > $__toTime - INTERVAL 1 HOUR AND window_start <= $__toTime
  AND (symbol, window_start) IN (
      SELECT symbol, max(window_start) FROM clusters
      WHERE window_start > $__toTime - INTERVAL 1 HOUR AND window_start <= $__toTime
      GROUP BY symbol)
ORDER BY at_risk_usd DESC
LIMIT 100
