-- Resting orders of the chosen venues near mid at the end of each step: bids below zero and asks above, as on the map.
SELECT time,
       -sum(bids_1) AS "bids within 1%", -sum(bids_2) AS "bids within 2%", -sum(bids_5) AS "bids within 5%",
       sum(asks_1) AS "asks within 1%", sum(asks_2) AS "asks within 2%", sum(asks_5) AS "asks within 5%"
FROM (
    SELECT $__timeInterval(event_time) + toIntervalSecond($__interval_s) AS time, venue, instrument,
           argMax(bid_1_usd, event_time) AS bids_1, argMax(bid_2_usd, event_time) AS bids_2,
           argMax(bid_5_usd, event_time) AS bids_5, argMax(ask_1_usd, event_time) AS asks_1,
           argMax(ask_2_usd, event_time) AS asks_2, argMax(ask_5_usd, event_time) AS asks_5
    FROM depth
    WHERE $__timeFilter(event_time) AND symbol = ${symbol:singlequote}
      AND $__conditionalAll(venue IN (${venue:singlequote}), $venue)
    GROUP BY time, venue, instrument
)
GROUP BY time
ORDER BY time
