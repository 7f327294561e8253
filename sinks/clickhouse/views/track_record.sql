-- What the map predicted, beside what was executed, per market and stretch of time. The first row of a stretch counts for ever.
SELECT
    symbol, -- Canonical symbol of the coin
    venue, -- Exchange
    window_start, -- Begin of the stretch, UTC
    horizon_hours, -- 0: one hour, of the map as it was renewed each minute; else that many hours, of the map frozen at the begin
    predicted_long_micro_usd / 1e6 AS predicted_long_usd, -- Expected notional of longs in the way of the price, USD
    predicted_short_micro_usd / 1e6 AS predicted_short_usd, -- Expected notional of shorts in the way of the price, USD
    executed_long_micro_usd / 1e6 AS executed_long_usd, -- Executed liquidations of longs as the venue published them, USD
    executed_short_micro_usd / 1e6 AS executed_short_usd, -- Executed liquidations of shorts, USD
    rival_long_micro_usd / 1e6 AS rival_long_usd, -- What one line predicts of longs: trailing liquidations per squared move, times the squared move, USD
    rival_short_micro_usd / 1e6 AS rival_short_usd, -- What one line predicts of shorts, USD
    if(isNaN(move_down), NULL, move_down) AS move_down, -- Largest fall of the mark price from the begin, %
    if(isNaN(move_up), NULL, move_up) AS move_up, -- Largest rise of the mark price from the begin, %
    if(isNaN(place_score), NULL, place_score) AS place_score, -- How well it said where: nats over a uniform density; above 0 is better than knowing nothing; NULL where nothing was executed
    if(isNaN(kernel_score), NULL, kernel_score) AS kernel_score, -- The same of a density that knows the distance from the price alone
    place_weight, -- Weight of both scores in a mean: square root of the executed USD
    mark_price, -- Mark price at the begin, USD per coin
    feed, -- Liquidations that the venue publishes: whole, sampled or none
    coverage, -- Share of the minutes in which that feed was read, 0 to 1
    warming_up, -- Whether the market had too little past for its model
    model_version -- Version of the model that predicted
FROM {database}.track_record_raw FINAL
