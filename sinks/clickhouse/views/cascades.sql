-- Where moves of a symbol come to rest, per minute and direction; the lists are parallel (ARRAY JOIN them for a row per move).
SELECT
    symbol, -- Canonical symbol of the coin
    window_start, -- Start of the minute, UTC
    side, -- long: a fall; short: a rise
    mark_price, -- Median mark price over the live venues, USD per coin
    move_percent, -- Moves of the mark, %
    rest_percent, -- Where each of them comes to rest, %
    arrayMap(amount -> amount / 1e6, liquidated_micro_usd) AS liquidated_usd, -- What is executed by then, USD
    if(isNaN(beyond_percent), NULL, beyond_percent) AS beyond_percent, -- Move from which the known books do not hold the chain, %; NULL where they always do
    if(isNaN(trigger_percent), NULL, trigger_percent) AS trigger_percent, -- Nearest move that is carried at least half as far again, %; NULL where none is
    if(isNaN(trigger_price), NULL, trigger_price) AS trigger_price, -- Price of that move, USD per coin; NULL where none is
    if(isFinite(trigger_rest_percent), trigger_rest_percent, NULL) AS trigger_rest_percent, -- Where that move comes to rest, %, NULL where the known books do not hold it; NULL where none is
    trigger_liquidated_micro_usd / 1e6 AS trigger_liquidated_usd, -- What is executed by then, USD
    at_risk_1_micro_usd / 1e6 AS at_risk_1_usd, -- Positions whose liquidation price is within 1 % of the mark, USD
    at_risk_2_micro_usd / 1e6 AS at_risk_2_usd, -- Positions whose liquidation price is within 2 % of the mark, USD
    at_risk_5_micro_usd / 1e6 AS at_risk_5_usd, -- Positions whose liquidation price is within 5 % of the mark, USD
    expected_1_micro_usd / 1e6 AS expected_1_usd, -- Liquidations expected within 1 % of the mark, USD
    expected_2_micro_usd / 1e6 AS expected_2_usd, -- Liquidations expected within 2 % of the mark, USD
    expected_5_micro_usd / 1e6 AS expected_5_usd, -- Liquidations expected within 5 % of the mark, USD
    depth_1_micro_usd / 1e6 AS depth_1_usd, -- Resting orders of all known books within 1 % of the mark, USD
    depth_2_micro_usd / 1e6 AS depth_2_usd, -- Resting orders of all known books within 2 % of the mark, USD
    depth_5_micro_usd / 1e6 AS depth_5_usd, -- Resting orders of all known books within 5 % of the mark, USD
    if(isNaN(absorption_1), NULL, absorption_1) AS absorption_1, -- At risk over depth within 1 %; NULL without depth
    if(isNaN(absorption_2), NULL, absorption_2) AS absorption_2, -- At risk over depth within 2 %; NULL without depth
    if(isNaN(absorption_5), NULL, absorption_5) AS absorption_5, -- At risk over depth within 5 %; NULL without depth
    book_reach_percent, -- How far the shortest of the venues' books reaches, %
    if(isNaN(book_coverage), NULL, book_coverage) AS book_coverage, -- Share of open interest on venues whose book is known; NULL where unknown
    refill -- Share of absorbed depth that is taken to be offered again
FROM {database}.cascades_raw FINAL
