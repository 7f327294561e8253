-- Height of a price row: about 120 rows within the span, never finer than the stored buckets, and a 1-2-5 number,
-- so that buckets of the grid nest in it.
WITH (SELECT medianExactLow(mark) FROM (
          SELECT argMax(mark_close, window_start) AS mark, max(window_start) AS newest FROM market_hours
          WHERE symbol = ${symbol:singlequote} AND mark_close > 0 AND window_start <= now() + INTERVAL 2 MINUTE
          GROUP BY venue
          QUALIFY newest > max(newest) OVER () - INTERVAL 10 MINUTE)) AS mark,
     (SELECT max(window_start) FROM market_hours
      WHERE symbol = ${symbol:singlequote} AND window_start <= now() + INTERVAL 2 MINUTE) AS latest,
     (SELECT max(price_high - price_low) FROM heatmap
      WHERE symbol = ${symbol:singlequote} AND window_start > latest - INTERVAL 3 MINUTE AND window_start <= latest
        AND price_low > mark * (1 - ${span} / 100) AND price_high < mark * (1 + ${span} / 100)) AS stored,
     greatest(mark * ${span} / 100 / 60, stored * 0.999) AS wanted,
     exp10(floor(log10(wanted))) AS unit
SELECT toString(round(multiIf(wanted <= unit, unit, wanted <= 2 * unit, 2 * unit, wanted <= 5 * unit, 5 * unit,
                              10 * unit), 12)) AS price_step
