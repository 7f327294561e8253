WITH (SELECT argMax(mark_close, window_start) FROM market_minutes
      WHERE symbol = ${symbol:singlequote} AND mark_close > 0) AS mark
SELECT toString(round(floor(mark * (1 - ${span} / 100) / ${price_step}) * ${price_step}, 12)) AS price_low
