-- Every symbol at its latest judged minute, with its newest cascades of the ten minutes before.
SELECT symbol,
       mark_price AS "mark",
       nearest_long_distance AS "nearest long %",
       nearest_short_distance AS "nearest short %",
       near_long_usd AS "longs within 5%",
       near_short_usd AS "shorts within 5%",
       imbalance AS "imbalance %",
       100 * (near_long_usd + near_short_usd) / adv_usd AS "% of ADV",
       long_absorption AS "longs over bids 2%",
       short_absorption AS "shorts over asks 2%",
       nearest_trigger AS "nearest trigger %",
       open_interest_change_4h AS "open interest 4h %",
       funding_rate_4h AS "funding 4h",
       conviction AS "conviction",
       multiIf(direction > 0, 'up', direction < 0, 'down', '') AS "points",
       coiled_spring AS "coiled spring",
       window_start AS "as of",
       if(window_start < least($__toTime, now()) - INTERVAL 10 MINUTE, 'silent', '') AS "state"
FROM symbol_signals
LEFT JOIN (
    SELECT symbol, anyIf(absorption_2, side = 'long') AS long_absorption,
           anyIf(absorption_2, side = 'short') AS short_absorption,
           argMin(if(side = 'long', -trigger_percent, trigger_percent), trigger_percent) AS nearest_trigger
    FROM (
        SELECT symbol, side, absorption_2, trigger_percent FROM cascades
        WHERE window_start > least($__toTime, now()) - INTERVAL 10 MINUTE
          AND window_start <= least($__toTime, now() + INTERVAL 2 MINUTE)
        ORDER BY window_start DESC
        LIMIT 1 BY symbol, side)
    GROUP BY symbol) AS cascade USING (symbol)
WHERE window_start > $__toTime - INTERVAL 1 HOUR AND window_start <= least($__toTime, now() + INTERVAL 2 MINUTE)
ORDER BY symbol, window_start DESC
LIMIT 1 BY symbol
