WITH (SELECT medianExactLow(mark) FROM (
          SELECT argMax(mark_close, window_start) AS mark, max(window_start) AS newest FROM market_hours
          WHERE symbol = ${symbol:singlequote} AND mark_close > 0 AND window_start <= now() + INTERVAL 2 MINUTE
          GROUP BY venue
          QUALIFY newest > max(newest) OVER () - INTERVAL 10 MINUTE)) AS mark
SELECT toString(toUInt32(ceil(2 * mark * ${span} / 100 / ${price_step})) + 1) AS price_rows
