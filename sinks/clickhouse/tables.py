"""The registry of tables: for each its key, its time column and how long it is kept, and who may do what with it.

Retention, users and rollups, the mapping from kinds to tables, and the check that the database holds exactly these
tables all follow from the records here. `migrate` refuses a table without a record.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

from liqheat.domain.events import Kind
from liqheat.domain.steps import FLOW_RATIO, LEVEL_RATIO
from liqheat.platform.settings import Sink
from liqheat.platform.topics import Topic


class Writer(StrEnum):
    """Who puts rows into a table.

    `SINK` inserts what it reads from a topic. `ROLLUP` is the sink too, with what it makes of other tables' rows.
    `MIGRATION` is the administrator who runs `liqheat migrate`; the sink may not write there.
    """

    SINK = "sink"
    ROLLUP = "rollup"
    MIGRATION = "migration"


Kept = Literal["retention_days", "hour_retention_days", "day_retention_days", "record_retention_days"]
"""A setting of `sink` that counts days."""


@dataclass(frozen=True, slots=True)
class Retention:
    """Rows are dropped once `column` is `days(settings)` days old."""

    column: str
    setting: Kept

    def days(self, sink: Sink) -> int:
        """Return how many days rows are kept."""
        days: int = getattr(sink, self.setting)
        return days


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Attributes:
        name: without its database.
        key: the sorting key, as the database shows it; rows that are equal in it replace each other.
        version: the column whose highest value wins among them; None where the last one inserted does.
        retention: how long rows are kept; None keeps them for ever, for tables that do not grow with time.
        writer: who puts rows in.
        read_back: whether the sink itself reads the table.
    """

    name: str
    key: str
    version: str | None
    retention: Retention | None
    writer: Writer = Writer.SINK
    read_back: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """How a kind lands in its table.

    Attributes:
        table: where.
        topic: the topic that the kind comes by; the same kind elsewhere is poison.
        instrument: whether the venue's own name of the market is a column.
        occurrence: whether equal rows of one message are numbered, so that a key made of content keeps them apart.
        rolled_up: whether hours and days are made of it (see `sinks.clickhouse.rollup`).
        steps: list columns of micro-USD that are stored in logarithmic steps, with the ratio of each.
    """

    table: Table
    topic: Topic
    instrument: bool = True
    occurrence: bool = False
    rolled_up: bool = False
    steps: MappingProxyType[str, float] = field(default_factory=lambda: MappingProxyType({}))


_MINUTES = Retention("window_start", "retention_days")
_HOURS = Retention("window_start", "hour_retention_days")
_DAYS = Retention("window_start", "day_retention_days")
_RECORDS = Retention("event_time", "record_retention_days")
_BUCKET_KEY = "symbol, window_start, venue, side, basis, leverage_band, price_low"

LEVELS = Table(
    "heatmap_levels_raw",
    "symbol, toStartOfHour(window_start), venue, side, basis, leverage_band, window_start",
    "revision",
    _MINUTES,
    read_back=True,
)
LEVELS_HOURS = Table(
    "heatmap_levels_1h_raw",
    "symbol, toDate(window_start), venue, side, basis, leverage_band, grid_factor, window_start",
    "version",
    _HOURS,
    Writer.ROLLUP,
    read_back=True,
)
LEVELS_DAYS = Table(
    "heatmap_levels_1d_raw",
    "symbol, toStartOfMonth(window_start), venue, side, basis, leverage_band, grid_factor, window_start",
    "version",
    _DAYS,
    Writer.ROLLUP,
)
MARKET_HOURS = Table(
    "market_hours_raw",
    "hour, symbol, venue",
    "version",
    Retention("hour", "hour_retention_days"),
    Writer.ROLLUP,
    read_back=True,
)
EVIDENCE = Table(
    "evidence_raw",
    "symbol, stage, measure, horizon_minutes",
    "end_time",
    Retention("end_time", "record_retention_days"),
    Writer.ROLLUP,
    read_back=True,
)
DEAD_LETTERS = Table(
    "dead_letters_raw",
    "origin_topic, origin_partition, origin_offset, stage, sequence",
    "_offset",
    Retention("received_at", "record_retention_days"),
)

_BY_VERSION_1 = (
    Table("heatmap_raw", _BUCKET_KEY, "revision", _MINUTES, Writer.MIGRATION),
    Table("heatmap_1h_raw", _BUCKET_KEY, "version", _HOURS, Writer.MIGRATION),
    Table("heatmap_1d_raw", _BUCKET_KEY, "version", _DAYS, Writer.MIGRATION),
    Table("heatmap_upgrade_raw", "symbol, venue", None, None, Writer.MIGRATION),
)
"""Tables that version 1 wrote; they are read until their rows are as old as they are kept."""

STORED: dict[Kind, Stored] = {
    Kind.HEATMAP_LEVELS: Stored(
        LEVELS,
        Topic.HEATMAP_BUCKETS,
        instrument=False,
        rolled_up=True,
        steps=MappingProxyType(
            {
                "at_risk_usd": LEVEL_RATIO,
                "expected_usd": LEVEL_RATIO,
                "opened_usd": FLOW_RATIO,
                "closed_usd": FLOW_RATIO,
            }
        ),
    ),
    Kind.MARKET_MINUTES: Stored(
        Table("market_minutes_raw", "symbol, window_start, venue", "revision", _MINUTES, read_back=True),
        Topic.MARKET_MINUTES,
        instrument=False,
    ),
    Kind.TRACK_RECORD: Stored(
        Table(
            "track_record_raw",
            "symbol, venue, horizon_hours, model_version, window_start",
            "precedence",
            Retention("window_start", "record_retention_days"),
        ),
        Topic.TRACK_RECORD,
        instrument=False,
    ),
    Kind.LIQUIDATIONS: Stored(
        Table("liquidations_raw", "symbol, event_time, venue, side, price, quantity, occurrence", None, _RECORDS),
        Topic.POSITION_EVENTS,
        occurrence=True,
    ),
    Kind.POSITIONS: Stored(
        Table(
            "positions_observed_raw",
            "symbol, venue, account, event_time",
            "_offset",
            Retention("event_time", "retention_days"),
        ),
        Topic.POSITION_EVENTS,
    ),
    # One row per contract and tier: these grow with the number of listings only.
    Kind.CONTRACTS: Stored(
        Table("contracts_raw", "symbol, venue, instrument", "event_time", None), Topic.POSITION_EVENTS
    ),
    Kind.MARGIN_TIERS: Stored(
        Table("margin_tiers_raw", "symbol, venue, instrument, tier", "event_time", None), Topic.POSITION_EVENTS
    ),
    Kind.GAPS: Stored(Table("gaps_raw", "symbol, venue, stream, event_time", "_offset", _RECORDS), Topic.GAPS),
    Kind.CLUSTERS: Stored(
        Table("clusters_raw", "symbol, window_start, cluster_id", "revision", _MINUTES, read_back=True),
        Topic.CLUSTERS,
        instrument=False,
    ),
    Kind.CLUSTER_SHARES: Stored(
        Table("cluster_shares_raw", "symbol, window_start, cluster_id, venue", "revision", _MINUTES),
        Topic.CLUSTERS,
        instrument=False,
    ),
    Kind.DEPTH: Stored(
        Table("depth_raw", "symbol, event_time, venue, instrument", None, Retention("event_time", "retention_days")),
        Topic.POSITION_EVENTS,
    ),
    Kind.ALERTS: Stored(
        Table("alerts_raw", "symbol, event_time, alert_id", "revision", _RECORDS), Topic.ALERTS, instrument=False
    ),
    Kind.SYMBOL_SIGNALS: Stored(
        Table("symbol_signals_raw", "symbol, window_start", "revision", _MINUTES, read_back=True),
        Topic.SIGNALS,
        instrument=False,
    ),
    Kind.MARKET_SIGNALS: Stored(
        Table("market_signals_raw", "symbol, window_start, venue", "revision", _MINUTES),
        Topic.SIGNALS,
        instrument=False,
    ),
    Kind.CASCADES: Stored(
        Table("cascades_raw", "symbol, window_start, side", "revision", _MINUTES), Topic.SIGNALS, instrument=False
    ),
    Kind.CATALYSTS: Stored(
        Table("catalysts_raw", "symbol, event_time, catalyst_id", "_offset", _RECORDS),
        Topic.CATALYSTS,
        instrument=False,
    ),
}
"""Every kind that is stored. A new output kind needs a line here, a migration and a view."""

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        *(stored.table for stored in STORED.values()),
        LEVELS_HOURS,
        LEVELS_DAYS,
        MARKET_HOURS,
        EVIDENCE,
        DEAD_LETTERS,
        *_BY_VERSION_1,
    )
}
"""Every table by name, except the two that `sinks.clickhouse.migrate` keeps its own books in."""

VIEWS_READ_BACK = ("market_minutes", "symbol_signals", "clusters")
"""Views that the sink itself reads: `EVIDENCE` is made of them."""

TOPICS: tuple[Topic, ...] = tuple(dict.fromkeys([*(stored.topic for stored in STORED.values()), Topic.DEAD_LETTERS]))
"""The topics that the sink reads."""

RETIRED_KINDS = frozenset({b"heatmap_buckets", b"leverage_mix"})
"""Kinds that version 1 wrote and nothing reads any more: what is left of them on a topic is passed over."""
