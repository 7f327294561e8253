-- Messages that could not be read. A message read twice is one row by its origin; a raw frame has no offset, so the
-- offset of its dead letter (`sequence`) tells it from its equals.
CREATE TABLE IF NOT EXISTS {database}.dead_letters_raw {on_cluster}
(
    received_at DateTime64(3, 'UTC') COMMENT 'When the dead letter was written',
    stage LowCardinality(String) COMMENT 'Who gave it up',
    reason String COMMENT 'Why, in a sentence' CODEC(ZSTD(1)),
    origin_topic LowCardinality(String) COMMENT 'Topic or stream that it came from',
    origin_partition Int32 COMMENT 'Partition there, -1 for a raw frame',
    origin_offset Int64 COMMENT 'Offset there, -1 for a raw frame',
    sequence Int64 COMMENT 'Offset of the dead letter where it has no origin offset, else -1',
    headers String COMMENT 'Headers of the original message, a JSON object' CODEC(ZSTD(1)),
    value String COMMENT 'The original message, byte for byte' CODEC(ZSTD(3)),
    _partition UInt16 COMMENT 'Partition of dead-letters that the row came by',
    _offset Int64 COMMENT 'Offset in that partition'
)
ENGINE = {replicated}ReplacingMergeTree(_offset)
PARTITION BY toStartOfMonth(received_at)
ORDER BY (origin_topic, origin_partition, origin_offset, stage, sequence)
SETTINGS ttl_only_drop_parts = 1;

CREATE OR REPLACE VIEW {database}.dead_letters {on_cluster}
(
    received_at DateTime64(3, 'UTC') COMMENT 'When the dead letter was written',
    stage LowCardinality(String) COMMENT 'Who gave it up: ingest, processors, sink',
    reason String COMMENT 'Why, in a sentence',
    origin_topic LowCardinality(String) COMMENT 'Topic, or name of the stream for a raw frame',
    origin_partition Int32 COMMENT 'Partition there; -1 for a raw frame',
    origin_offset Int64 COMMENT 'Offset there; -1 for a raw frame',
    headers String COMMENT 'Headers of the original message, a JSON object',
    value String COMMENT 'The original message, byte for byte'
)
AS SELECT received_at, stage, reason, origin_topic, origin_partition, origin_offset, headers, value
FROM {database}.dead_letters_raw FINAL
COMMENT 'Messages given up as unreadable, with reason, origin and original bytes.';
