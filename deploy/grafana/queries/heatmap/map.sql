-- One side of the map: one row a time step, one column a price bucket, every step and every bucket once.
-- A level is averaged over the windows of its step (a bucket without a row in a window was empty then), so a
-- wider step never multiplies it. Steps of an hour and more read the hourly rollup.
WITH windows AS (
    SELECT $__timeInterval(window_start) AS step,
           uniqExact(if($__interval_s < 3600, window_start, toStartOfHour(window_start))) AS counted
    FROM market_minutes
    WHERE $__timeFilter(window_start) AND symbol = ${symbol:singlequote}
    GROUP BY step
),
cells AS (
    SELECT $__timeInterval(window_start) AS step, toInt64(floor(price_low / ${price_step} + 1e-6)) AS bucket,
           ifNull(${amount}, 0) AS usd
    FROM heatmap
    WHERE $__interval_s < 3600 AND $__timeFilter(window_start) AND symbol = ${symbol:singlequote} AND side = '{side}'
      AND $__conditionalAll(venue IN (${venue:singlequote}), $venue)
      AND $__conditionalAll(leverage_band IN (${leverage_band:singlequote}), $leverage_band)
      AND $__conditionalAll(basis IN (${basis:singlequote}), $basis)
      AND price_low >= ${price_low} AND price_low < ${price_low} + ${price_step} * ${price_rows}
    UNION ALL
    SELECT $__timeInterval(window_start), toInt64(floor(price_low / ${price_step} + 1e-6)), ifNull(${amount}, 0)
    FROM heatmap_1h
    WHERE $__interval_s >= 3600 AND $__timeFilter(window_start) AND symbol = ${symbol:singlequote} AND side = '{side}'
      AND $__conditionalAll(venue IN (${venue:singlequote}), $venue)
      AND $__conditionalAll(leverage_band IN (${leverage_band:singlequote}), $leverage_band)
      AND $__conditionalAll(basis IN (${basis:singlequote}), $basis)
      AND price_low >= ${price_low} AND price_low < ${price_low} + ${price_step} * ${price_rows}
)
SELECT time, toString(round(bucket * ${price_step}, 12)) AS bucket, sum(usd) AS "Value"
FROM (
    SELECT cells.step + toIntervalSecond($__interval_s) AS time, cells.bucket AS bucket,
           cells.usd / greatest(windows.counted, 1) AS usd
    FROM cells LEFT JOIN windows ON windows.step = cells.step
    UNION ALL
    SELECT toStartOfInterval($__fromTime, INTERVAL $__interval_s second) + toIntervalSecond($__interval_s * (number + 1)),
           toInt64(floor(${price_low} / ${price_step} + 1e-6)), 0.
    FROM numbers(toUInt64(intDiv(dateDiff('second', $__fromTime, $__toTime), $__interval_s) + 1))
    UNION ALL
    SELECT toStartOfInterval($__fromTime, INTERVAL $__interval_s second) + toIntervalSecond($__interval_s),
           toInt64(floor(${price_low} / ${price_step} + 1e-6)) + toInt64(number), 0.
    FROM numbers(toUInt64(${price_rows}))
)
GROUP BY time, bucket
ORDER BY time, toFloat64(bucket)
