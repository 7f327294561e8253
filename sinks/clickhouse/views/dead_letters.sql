-- Messages given up as unreadable, with reason, origin and original bytes.
SELECT
    received_at, -- When the dead letter was written
    stage, -- Who gave it up: ingest, processors, sink
    reason, -- Why, in a sentence
    origin_topic, -- Topic, or name of the stream for a raw frame
    origin_partition, -- Partition there; -1 for a raw frame
    origin_offset, -- Offset there; -1 for a raw frame
    headers, -- Headers of the original message, a JSON object
    value -- The original message, byte for byte; where only some of its rows were refused, those rows in the same form
FROM {database}.dead_letters_raw FINAL
