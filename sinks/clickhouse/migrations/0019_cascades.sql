-- Where moves of a symbol come to rest: the map's expected liquidations against the venues' order books.
CREATE TABLE IF NOT EXISTS {database}.cascades_raw {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Always all: it is about all venues',
    window_start DateTime('UTC') COMMENT 'Start of the minute, UTC' CODEC(DoubleDelta, ZSTD(1)),
    side LowCardinality(String) COMMENT 'long: a fall; short: a rise',
    mark_price Float64 COMMENT 'Median mark price over the live venues, USD per coin' CODEC(ZSTD(1)),
    move_percent Array(Float64) COMMENT 'Moves of the mark, %' CODEC(ZSTD(1)),
    rest_percent Array(Float64) COMMENT 'Where each of them comes to rest, %' CODEC(ZSTD(1)),
    liquidated_micro_usd Array(Int64) COMMENT 'What is executed by then, micro-USD' CODEC(T64, ZSTD(1)),
    beyond_percent Float64 COMMENT 'Move from which the known books do not hold the chain, %, NaN where they always do' CODEC(ZSTD(1)),
    trigger_percent Float64 COMMENT 'Nearest move that is carried at least half as far again, %, NaN where none is' CODEC(ZSTD(1)),
    trigger_price Float64 COMMENT 'Price of that move, USD per coin, NaN where none is' CODEC(ZSTD(1)),
    trigger_rest_percent Float64 COMMENT 'Where that move comes to rest, %, infinite where the known books do not hold it, NaN where none is' CODEC(ZSTD(1)),
    trigger_liquidated_micro_usd Int64 COMMENT 'What is executed by then, micro-USD' CODEC(T64, ZSTD(1)),
    at_risk_1_micro_usd Int64 COMMENT 'Positions whose liquidation price is within 1 % of the mark, micro-USD' CODEC(T64, ZSTD(1)),
    at_risk_2_micro_usd Int64 COMMENT 'Positions whose liquidation price is within 2 % of the mark, micro-USD' CODEC(T64, ZSTD(1)),
    at_risk_5_micro_usd Int64 COMMENT 'Positions whose liquidation price is within 5 % of the mark, micro-USD' CODEC(T64, ZSTD(1)),
    expected_1_micro_usd Int64 COMMENT 'Liquidations expected within 1 % of the mark, micro-USD' CODEC(T64, ZSTD(1)),
    expected_2_micro_usd Int64 COMMENT 'Liquidations expected within 2 % of the mark, micro-USD' CODEC(T64, ZSTD(1)),
    expected_5_micro_usd Int64 COMMENT 'Liquidations expected within 5 % of the mark, micro-USD' CODEC(T64, ZSTD(1)),
    depth_1_micro_usd Int64 COMMENT 'Resting orders of all known books within 1 % of the mark, micro-USD' CODEC(T64, ZSTD(1)),
    depth_2_micro_usd Int64 COMMENT 'Resting orders of all known books within 2 % of the mark, micro-USD' CODEC(T64, ZSTD(1)),
    depth_5_micro_usd Int64 COMMENT 'Resting orders of all known books within 5 % of the mark, micro-USD' CODEC(T64, ZSTD(1)),
    absorption_1 Float64 COMMENT 'At risk over depth within 1 %, NaN without depth' CODEC(ZSTD(1)),
    absorption_2 Float64 COMMENT 'At risk over depth within 2 %, NaN without depth' CODEC(ZSTD(1)),
    absorption_5 Float64 COMMENT 'At risk over depth within 5 %, NaN without depth' CODEC(ZSTD(1)),
    book_reach_percent Float64 COMMENT 'How far the shortest of the venues'' books reaches, %' CODEC(ZSTD(1)),
    book_coverage Float64 COMMENT 'Share of open interest on venues whose book is known, NaN where unknown' CODEC(ZSTD(1)),
    refill Float64 COMMENT 'Share of absorbed depth that is taken to be offered again' CODEC(ZSTD(1)),
    revision UInt64 COMMENT 'Rows of the symbol''s log applied; the highest wins' CODEC(Delta, ZSTD(1)),
    _partition UInt16 COMMENT 'Partition of signals that the row came by' CODEC(ZSTD(1)),
    _offset Int64 COMMENT 'Offset in that partition' CODEC(Delta, ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(revision)
PARTITION BY toMonday(window_start)
ORDER BY (symbol, window_start, side)
SETTINGS ttl_only_drop_parts = 1;
