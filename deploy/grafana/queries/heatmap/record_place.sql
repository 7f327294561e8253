-- How well frozen maps said where, by horizon: nats over a uniform density, weighted over a day.
SELECT toStartOfDay(window_start) + INTERVAL 1 DAY AS time, concat(toString(horizon_hours), ' h') AS horizon,
       sum(place_score * place_weight) / sum(place_weight) AS "map",
       sum(kernel_score * place_weight) / sum(place_weight) AS "distance alone"
FROM track_record
WHERE $__timeFilter(window_start) AND symbol = ${symbol:singlequote} AND horizon_hours > 0 AND place_score IS NOT NULL
  AND $__conditionalAll(venue IN (${venue:singlequote}), $venue)
GROUP BY time, horizon
HAVING isFinite("map")
ORDER BY time, horizon
