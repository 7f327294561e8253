-- The newest curve of each direction, one row per move.
SELECT if(side = 'long', -move, move) AS "move %",
       mark_price * (1 + if(side = 'long', -move, move) / 100) AS "price",
       if(side = 'long', -rest, rest) AS "comes to rest %",
       mark_price * (1 + if(side = 'long', -rest, rest) / 100) AS "rest price",
       rest / move AS "amplification",
       liquidated AS "liquidated",
       if(move >= beyond_percent, 'no', 'yes') AS "held by the books",
       100 * book_coverage AS "books, % of open interest",
       window_start AS "as of"
FROM (
    SELECT * FROM cascades
    WHERE symbol = ${symbol:singlequote} AND window_start <= $__toTime AND window_start > $__toTime - INTERVAL 1 HOUR
    ORDER BY window_start DESC
    LIMIT 1 BY side
)
ARRAY JOIN move_percent AS move, rest_percent AS rest, liquidated_usd AS liquidated
WHERE move IN (1, 2, 3, 5, 10)
ORDER BY "move %"
