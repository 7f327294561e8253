"""Every Kafka topic in one enum: key, partitions, retention, compaction.

Topics are created from here (`liqheat topics create`, and by `demo`), never by the broker on its own.
"""

from dataclasses import dataclass
from enum import Enum

from liqheat.domain.windows import DAY_MS, HOUR_MS


@dataclass(frozen=True, slots=True)
class TopicPolicy:
    """What a topic is: its name, what keys its messages, how long it is kept.

    `partitions` None means "as many as the setting `kafka.partitions` says"; topics that share a key share it.
    """

    name: str
    key: str
    retention_ms: int
    partitions: int | None = None
    compacted: bool = False


class Topic(Enum):
    """The topics of the pipeline."""

    POSITION_EVENTS = TopicPolicy("position-events", "symbol", 7 * DAY_MS)
    HEATMAP_BUCKETS = TopicPolicy("heatmap-buckets", "symbol", DAY_MS)
    MARKET_MINUTES = TopicPolicy("market-minutes", "symbol", DAY_MS)
    CLUSTERS = TopicPolicy("clusters", "symbol", DAY_MS)
    ALERTS = TopicPolicy("alerts", "symbol", 7 * DAY_MS)
    GAPS = TopicPolicy("gaps", "symbol", 7 * DAY_MS, partitions=1)
    DEAD_LETTERS = TopicPolicy("dead-letters", "none", 14 * DAY_MS, partitions=1)
    # The processors' checkpoints: (applied offset, state) a symbol, read back after a restart or rebalance.
    ENGINE_STATE = TopicPolicy("liqheat-processors-engine-state-changelog", "symbol", HOUR_MS, compacted=True)

    @property
    def label(self) -> str:
        """The topic's name on the broker."""
        return self.value.name

    def partitions(self, default: int) -> int:
        """Return the partition count, `default` being the setting `kafka.partitions`."""
        return self.value.partitions or default

    def configuration(self) -> dict[str, str]:
        """Return the broker-side topic settings."""
        policy = self.value
        if policy.compacted:
            return {"cleanup.policy": "compact"}
        return {"cleanup.policy": "delete", "retention.ms": str(policy.retention_ms)}
