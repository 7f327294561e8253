-- Every symbol at its latest judged minute.
SELECT symbol,
       mark_price AS "mark",
       nearest_long_distance AS "nearest long %",
       nearest_short_distance AS "nearest short %",
       near_long_usd AS "longs within 5%",
       near_short_usd AS "shorts within 5%",
       imbalance AS "imbalance %",
       100 * (near_long_usd + near_short_usd) / adv_usd AS "% of ADV",
       open_interest_change_4h AS "open interest 4h %",
       funding_rate_4h AS "funding 4h",
       conviction AS "conviction",
       multiIf(direction > 0, 'up', direction < 0, 'down', '') AS "points",
       coiled_spring AS "coiled spring",
       window_start AS "as of",
       if(window_start < least($__toTime, now()) - INTERVAL 10 MINUTE, 'silent', '') AS "state"
FROM symbol_signals
WHERE window_start > $__toTime - INTERVAL 1 HOUR AND window_start <= least($__toTime, now() + INTERVAL 2 MINUTE)
ORDER BY symbol, window_start DESC
LIMIT 1 BY symbol
