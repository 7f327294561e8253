-- A trigger within 5 % where none was in the quarter of an hour before.
SELECT window_start AS time, concat('trigger of ', side, 's') AS title,
       concat('A move to ', toString(round(assumeNotNull(trigger_price), 6)), ' (',
              toString(round(assumeNotNull(trigger_percent), 2)), '%) would be carried at least half as far again')
           AS text,
       'trigger' AS tags
FROM (
    SELECT window_start, side, trigger_price, trigger_percent,
           countIf(trigger_percent <= 5) OVER (
               PARTITION BY side ORDER BY window_start ROWS BETWEEN 15 PRECEDING AND 1 PRECEDING) AS before
    FROM cascades
    WHERE $__timeFilter(window_start) AND symbol = ${symbol:singlequote}
)
WHERE trigger_percent <= 5 AND before = 0
ORDER BY time
LIMIT 500
