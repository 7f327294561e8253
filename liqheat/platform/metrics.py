"""Every metric as a closed set, served for Prometheus by `liqheat.platform.health`.

A name that is not in this module is a type error; dashboards test against the same names.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()
_PREFIX = "liqheat"


def _counter(name: str, meaning: str, *labels: str) -> Counter:
    return Counter(name, meaning, labels, namespace=_PREFIX, registry=REGISTRY)


def _gauge(name: str, meaning: str, *labels: str) -> Gauge:
    return Gauge(name, meaning, labels, namespace=_PREFIX, registry=REGISTRY)


def _histogram(name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(name, meaning, labels, namespace=_PREFIX, registry=REGISTRY, buckets=buckets)


_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0)

FRAMES_RECEIVED = _counter("frames_received", "Raw venue frames received", "venue", "stream")
EVENTS_PUBLISHED = _counter("events_published", "Rows published to position-events", "venue", "kind")
MESSAGES_PUBLISHED = _counter("messages_published", "Messages published", "topic")
MESSAGES_CONSUMED = _counter("messages_consumed", "Messages consumed", "topic")
ROWS_CONSUMED = _counter("rows_consumed", "Rows consumed from messages", "kind")
ENGINE_COUNTS = _gauge("engine_counts", "Rows held as implausible, watermarks healed, since the start", "what")
DEAD_LETTERS = _counter("dead_letters", "Messages given up as poison", "stage")
DUPLICATES_DROPPED = _counter("duplicates_dropped", "Events dropped as already seen", "venue", "stream")
INSTRUMENTS_IGNORED = _counter("instruments_ignored", "Listed instruments left out on purpose", "venue", "reason")
ROWS_REFUSED = _counter("rows_refused", "Rows left out of frames that were read", "venue", "instrument")
NOTICES = _counter("notices", "Frames that are no events: greetings, maintenance, new types", "venue", "type")
GAPS_SEEN = _counter("gaps_seen", "Holes noticed in a feed", "venue", "stream")
GAPS_FILLED = _counter("gaps_filled", "Holes closed from REST history", "venue", "stream")
RECONNECTS = _counter("reconnects", "WebSocket connections opened again", "venue", "reason")
RATE_LIMITED = _counter("rate_limited", "Answers of a venue that limit or ban our requests", "venue")
REQUEST_WEIGHT = _gauge("request_weight", "Weight used in the venue's current rate-limit window", "venue")
FEED_LAG_SECONDS = _gauge("feed_lag_seconds", "Receive time less event time of the latest event", "venue", "stream")
QUEUE_ROWS = _gauge("queue_rows", "Rows waiting in a bounded queue", "queue")
SYMBOLS_ACTIVE = _gauge("symbols_active", "Symbols with state in this process", "stage")
CHECKPOINTS_WRITTEN = _counter("checkpoints_written", "Engine states written to the changelog")
CHECKPOINT_BYTES = _gauge("checkpoint_bytes", "Size of the latest engine state written", "symbol")
BATCH_SECONDS = _histogram("batch_seconds", "Time to apply one batch", _SECONDS, "stage")
ROWS_INSERTED = _counter("rows_inserted", "Rows inserted into ClickHouse", "table")
INSERT_SECONDS = _histogram("insert_seconds", "Time of one ClickHouse insert", _SECONDS, "table")
INSERT_RETRIES = _counter("insert_retries", "ClickHouse inserts tried again", "table")
WEBHOOK_ALERTS = _counter("webhook_alerts", "Alerts by what became of them at the webhook", "outcome")
CATALYSTS_PUBLISHED = _counter("catalysts_published", "News items and events published", "source")
CONDITION_FAILING = _gauge("condition_failing", "1 while a condition of the health endpoint fails", "condition")
CLOCK_OFFSET_SECONDS = _gauge("clock_offset_seconds", "The venue's clock less this machine's", "venue")
COVERAGE = _gauge("coverage", "Observed notional over open interest", "venue", "symbol")
LIQUIDATION_PRICE_DIFFERENCE = _histogram(
    "liquidation_price_difference",
    "Relative difference of our liquidation price from the venue's own",
    (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0),
    "venue",
)
