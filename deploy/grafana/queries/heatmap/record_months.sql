SELECT month, horizon_hours AS "horizon, h", model_version AS "model", judged, if(proven, 'yes', 'unproven') AS "proven",
       ratio AS "predicted / executed", rank_correlation AS "rank correlation",
       rival_rank_correlation AS "one line's", log_error AS "log error", rival_log_error AS "one line's error",
       place_score AS "place, nats", kernel_score AS "distance alone, nats", coverage
FROM track_record_months
WHERE symbol = ${symbol:singlequote}
ORDER BY month DESC, horizon_hours
LIMIT 100
