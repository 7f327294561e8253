-- Clusters of liquidations, one row a cluster and minute while it lives.
SELECT
    symbol, -- Canonical symbol of the coin
    window_start, -- Start of the minute, UTC
    cluster_id, -- Identity, the same from birth to end and in every replay
    side, -- long (below the price) or short (above it)
    state, -- born, grown, shrunk, steady, swept or gone; the last two end it
    price_low, -- Lower edge, USD per coin
    price_high, -- Upper edge, USD per coin
    nearer_edge, -- Edge that price meets first, USD per coin
    peak_price, -- Middle of the densest bucket, USD per coin
    at_risk_micro_usd / 1e6 AS at_risk_usd, -- Notional that lies in it at the end of the minute, USD
    peak_micro_usd / 1e6 AS peak_usd, -- Notional of its heaviest bucket, USD
    swept_micro_usd / 1e6 AS swept_usd, -- Notional that price has swept of it since birth, USD
    if(isNaN(observed_share), NULL, observed_share) AS observed_share, -- Share of its notional that is observed, the rest is inferred; NULL where unknown
    if(isNaN(share_1_5x), NULL, share_1_5x) AS share_1_5x, -- Share at leverage 1 to 5; NULL where unknown
    if(isNaN(share_5_10x), NULL, share_5_10x) AS share_5_10x, -- Share at leverage 5 to 10; NULL where unknown
    if(isNaN(share_10_25x), NULL, share_10_25x) AS share_10_25x, -- Share at leverage 10 to 25; NULL where unknown
    if(isNaN(share_25_50x), NULL, share_25_50x) AS share_25_50x, -- Share at leverage 25 to 50; NULL where unknown
    if(isNaN(share_50x_up), NULL, share_50x_up) AS share_50x_up, -- Share at leverage 50 and more; NULL where unknown
    if(isNaN(confidence), NULL, confidence) AS confidence, -- Share of its notional expected to be real; NULL where unknown
    if(isNaN(percent_of_adv), NULL, percent_of_adv) AS percent_of_adv, -- Notional in % of the 24 h volume over all venues; NULL where unknown
    if(isNaN(distance), NULL, distance) AS distance, -- From the mark price to the nearer edge, in % of the mark; negative inside; NULL where unknown
    round_number, -- Round-number price nearest to the peak, USD per coin
    if(isNaN(round_number_distance), NULL, round_number_distance) AS round_number_distance, -- From the cluster to that price, in %; 0 inside; NULL where unknown
    born_time, -- Start of the minute in which it was born
    age_minutes -- Minutes since
FROM {database}.clusters_raw FINAL
