WITH (SELECT argMax(mark_close, window_start) FROM market_minutes
      WHERE symbol = ${symbol:singlequote} AND mark_close > 0) AS mark
SELECT toString(toUInt32(ceil(2 * mark * ${span} / 100 / ${price_step})) + 1) AS price_rows
