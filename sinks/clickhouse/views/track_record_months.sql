-- The record per symbol, month, horizon and model, over the venues that publish liquidations: how well the map said how much, and where.
SELECT
    symbol, -- Canonical symbol of the coin
    toStartOfMonth(stretch) AS month, -- First day of the month, UTC
    horizon_hours, -- 0: hours of the map as it was renewed each minute; else stretches of that many hours of a frozen map
    model_version, -- Version of the model that predicted
    countIf(executed > 0) AS judged, -- Stretches and sides with executed liquidations
    judged >= 50 AS proven, -- Whether that is enough to judge the map of this symbol by: at least 50
    sum(predicted) AS predicted_usd, -- Predicted liquidations, USD
    sum(executed) AS executed_usd, -- Executed liquidations, USD
    if(executed_usd > 0, predicted_usd / executed_usd, NULL) AS ratio, -- Predicted over executed; 1 is right; NULL where nothing was executed
    if(executed_usd > 0, sum(rival) / executed_usd, NULL) AS rival_ratio, -- The same of one line: trailing liquidations per squared move, times the squared move
    if(judged < 3 OR isNaN(rankCorr(predicted, executed)), NULL, rankCorr(predicted, executed)) AS rank_correlation, -- Spearman correlation of predicted and executed; 1 is a perfect order; NULL below 3 judged
    if(judged < 3 OR isNaN(rankCorr(rival, executed)), NULL, rankCorr(rival, executed)) AS rival_rank_correlation, -- The same of one line
    if(judged < 3 OR isNaN(rankCorr(move, executed)), NULL, rankCorr(move, executed)) AS move_rank_correlation, -- The same of the size of the move alone
    avg(abs(log10(predicted + 10000) - log10(executed + 10000))) AS log_error, -- Mean absolute error of log10(USD + 10,000)
    avg(abs(log10(rival + 10000) - log10(executed + 10000))) AS rival_log_error, -- The same of one line
    if(sum(weight) > 0, sum(place) / sum(weight), NULL) AS place_score, -- Mean nats over a uniform density; above 0 it says where; NULL where nothing was executed
    if(sum(weight) > 0, sum(kernel) / sum(weight), NULL) AS kernel_score, -- The same of a density that knows the distance from the price alone
    avg(covered) AS coverage -- Share of the minutes in which the feeds were read, 0 to 1
FROM
(
    SELECT symbol, horizon_hours, model_version, window_start AS stretch, side,
        sum(if(side = 'long', predicted_long_usd, predicted_short_usd)) AS predicted,
        sum(if(side = 'long', executed_long_usd, executed_short_usd)) AS executed,
        sum(if(side = 'long', rival_long_usd, rival_short_usd)) AS rival,
        max(if(side = 'long', move_down, move_up)) AS move,
        sumIf(place_weight, side = 'long' AND place_score IS NOT NULL) AS weight,
        sumIf(place_weight * place_score, side = 'long') AS place,
        sumIf(place_weight * kernel_score, side = 'long' AND place_score IS NOT NULL) AS kernel,
        avg(coverage) AS covered
    FROM {database}.track_record
    ARRAY JOIN ['long', 'short'] AS side
    WHERE feed != 'none' AND NOT warming_up
    GROUP BY symbol, horizon_hours, model_version, stretch, side
)
GROUP BY symbol, month, horizon_hours, model_version
