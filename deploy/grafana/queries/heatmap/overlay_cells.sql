-- Cells of both sides as points for the XY chart: long below the price positive, short above it negative. Steps of an hour
-- and more read the hourly rollup.
SELECT time, price, sum(if(side = 'long', usd, -usd)) / greatest(uniqExact(window_start), 1) AS "cell"
FROM (
    SELECT $__timeInterval(window_start) + toIntervalSecond(intDiv($__interval_s, 2)) AS time,
           (floor(price_low / ${price_step} + 1e-6) + 0.5) * ${price_step} AS price, side, window_start,
           ifNull(${amount}, 0) AS usd
    FROM heatmap
    WHERE $__interval_s < 3600 AND $__timeFilter(window_start) AND symbol = ${symbol:singlequote}
      AND $__conditionalAll(venue IN (${venue:singlequote}), $venue)
      AND $__conditionalAll(leverage_band IN (${leverage_band:singlequote}), $leverage_band)
      AND $__conditionalAll(basis IN (${basis:singlequote}), $basis)
      AND price_low >= ${price_low} AND price_low < ${price_low} + ${price_step} * ${price_rows}
    UNION ALL
    SELECT $__timeInterval(window_start) + toIntervalSecond(intDiv($__interval_s, 2)),
           (floor(price_low / ${price_step} + 1e-6) + 0.5) * ${price_step}, side, window_start, ifNull(${amount}, 0)
    FROM heatmap_1h
    WHERE $__interval_s >= 3600 AND $__timeFilter(window_start) AND symbol = ${symbol:singlequote}
      AND $__conditionalAll(venue IN (${venue:singlequote}), $venue)
      AND $__conditionalAll(leverage_band IN (${leverage_band:singlequote}), $leverage_band)
      AND $__conditionalAll(basis IN (${basis:singlequote}), $basis)
      AND price_low >= ${price_low} AND price_low < ${price_low} + ${price_step} * ${price_rows}
)
GROUP BY time, price
HAVING abs("cell") > 0
ORDER BY time, price
