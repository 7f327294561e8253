"""Every Kafka topic in one enum: key, partitions, retention, compaction.

Topics are created from here (`liqheat topics create`, and by `demo`), never by the broker on its own.
"""

from dataclasses import dataclass
from enum import Enum

from liqheat.domain.windows import DAY_MS, HOUR_MS

MAXIMUM_STATE_BYTES = 8_000_000
"""The largest checkpoint of one symbol, compressed."""
COMPRESSION = "lz4"
"""How all messages lie in the log. A broker packs what comes in another way again before it judges the size, so that no
message unpacks to more than 255 times its limit; the Kafka clients set none, and zstd packs gigabytes into 1 MB.
"""


@dataclass(frozen=True, slots=True)
class TopicPolicy:
    """What a topic is: its name, what keys its messages, how long it is kept.

    `partitions` None means "as many as the setting `kafka.partitions` says"; topics that share a key share it.
    `maximum_message_bytes` None leaves the broker's own limit (1 MB). With `broker_time` a message's timestamp is the
    time at which the broker took it, whatever its producer says.
    """

    name: str
    key: str
    retention_ms: int
    partitions: int | None = None
    compacted: bool = False
    maximum_message_bytes: int | None = None
    broker_time: bool = False


class Topic(Enum):
    """The topics of the pipeline."""

    POSITION_EVENTS = TopicPolicy("position-events", "symbol", 7 * DAY_MS, broker_time=True)
    HEATMAP_BUCKETS = TopicPolicy("heatmap-buckets", "symbol", DAY_MS)
    MARKET_MINUTES = TopicPolicy("market-minutes", "symbol", DAY_MS)
    CLUSTERS = TopicPolicy("clusters", "symbol", DAY_MS)
    ALERTS = TopicPolicy("alerts", "symbol", 7 * DAY_MS)
    SIGNALS = TopicPolicy("signals", "symbol", DAY_MS)
    TRACK_RECORD = TopicPolicy("track-record", "symbol", 7 * DAY_MS)
    CATALYSTS = TopicPolicy("catalysts", "symbol", 30 * DAY_MS, partitions=1)
    GAPS = TopicPolicy("gaps", "symbol", 7 * DAY_MS, partitions=1)
    # A dead letter is the whole message and its reason, so it must hold more than any message.
    DEAD_LETTERS = TopicPolicy("dead-letters", "none", 14 * DAY_MS, partitions=1, maximum_message_bytes=2_000_000)
    # The processors' checkpoints: (applied offset, state) a symbol, read back after a restart or rebalance.
    ENGINE_STATE = TopicPolicy(
        "liqheat-processors-engine-state-changelog",
        "symbol",
        HOUR_MS,
        compacted=True,
        maximum_message_bytes=MAXIMUM_STATE_BYTES,
    )

    @property
    def label(self) -> str:
        """The topic's own name; on the broker `Kafka.topic` of the settings puts the prefix before it."""
        return self.value.name

    def partitions(self, default: int) -> int:
        """Return the partition count, `default` being the setting `kafka.partitions`."""
        return self.value.partitions or default

    def configuration(self) -> dict[str, str]:
        """Return the broker-side topic settings."""
        policy = self.value
        configuration = {"compression.type": COMPRESSION}
        if policy.compacted:
            configuration["cleanup.policy"] = "compact"
        else:
            configuration |= {"cleanup.policy": "delete", "retention.ms": str(policy.retention_ms)}
        if policy.broker_time:
            configuration["message.timestamp.type"] = "LogAppendTime"
        if policy.maximum_message_bytes is not None:
            configuration["max.message.bytes"] = str(policy.maximum_message_bytes)
        return configuration
