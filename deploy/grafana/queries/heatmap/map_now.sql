-- The map at each venue's latest minute, where that is current: notional at each price, by side, and what a move there would liquidate in all.
WITH latest AS (
    SELECT venue, max(window_start) AS newest
    FROM market_minutes
    WHERE symbol = ${symbol:singlequote} AND window_start > $__toTime - INTERVAL 10 MINUTE AND window_start <= $__toTime
    GROUP BY venue
),
levels AS (
    SELECT (floor(price_low / ${price_step} + 1e-6)) * ${price_step} AS price,
           sumIf(ifNull(${amount}, 0), side = 'long') AS long_usd,
           sumIf(ifNull(${amount}, 0), side = 'short') AS short_usd
    FROM heatmap
    WHERE symbol = ${symbol:singlequote} AND window_start > $__toTime - INTERVAL 10 MINUTE AND window_start <= $__toTime
      AND (venue, window_start) IN (SELECT venue, newest FROM latest)
      AND $__conditionalAll(venue IN (${venue:singlequote}), $venue)
      AND $__conditionalAll(leverage_band IN (${leverage_band:singlequote}), $leverage_band)
      AND $__conditionalAll(basis IN (${basis:singlequote}), $basis)
      AND price_low >= ${price_low} AND price_low < ${price_low} + ${price_step} * ${price_rows}
    GROUP BY price
)
SELECT price,
       long_usd AS "long",
       short_usd AS "short",
       sum(long_usd) OVER (ORDER BY price DESC ROWS UNBOUNDED PRECEDING) AS "long, cumulative",
       sum(short_usd) OVER (ORDER BY price ASC ROWS UNBOUNDED PRECEDING) AS "short, cumulative"
FROM levels
ORDER BY price
