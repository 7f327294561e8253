-- Cells of both sides as points for the XY chart: long below the price positive, short above it negative.
SELECT $__timeInterval(window_start) + toIntervalSecond(intDiv($__interval_s, 2)) AS time,
       (floor(price_low / ${price_step} + 1e-6) + 0.5) * ${price_step} AS price,
       sum(if(side = 'long', at_risk_usd, -at_risk_usd)) / greatest(uniqExact(window_start), 1) AS at_risk_usd
FROM heatmap
WHERE $__timeFilter(window_start) AND symbol = ${symbol:singlequote}
  AND $__conditionalAll(venue IN (${venue:singlequote}), $venue)
  AND $__conditionalAll(leverage_band IN (${leverage_band:singlequote}), $leverage_band)
  AND $__conditionalAll(basis IN (${basis:singlequote}), $basis)
  AND price_low >= ${price_low} AND price_low < ${price_low} + ${price_step} * ${price_rows}
GROUP BY time, price
HAVING abs(at_risk_usd) > 0
ORDER BY time, price
