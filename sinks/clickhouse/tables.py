"""Which kind lands in which table, and how a batch becomes rows: the one mapping between log and database.

A table's columns are the kind's own, in its order, with four rules: a side is text, a time is a timestamp,
micro-USD says so in its name, and the batch's venue and symbol are columns. Nothing is dropped or rounded.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import polars as pl

from liqheat.domain.events import Batch, Column, Kind, schema_of
from liqheat.domain.market import Side
from liqheat.platform.errors import Origin
from liqheat.platform.topics import Topic

_MICRO_USD = "micro-USD"


@dataclass(frozen=True, slots=True)
class Table:
    """Where a kind is stored.

    Attributes:
        name: the table, without its database.
        topic: the topic that the kind comes by; the same kind elsewhere is poison or none of the sink's business.
        instrument: whether the venue's own name of the market is a column.
        occurrence: whether equal rows of one message are numbered, so that a key made of content keeps them apart.
        rolled_up: whether hours and days are made of it (see `sinks.clickhouse.rollup`).
    """

    name: str
    topic: Topic
    instrument: bool = True
    occurrence: bool = False
    rolled_up: bool = False


TABLES: dict[Kind, Table] = {
    Kind.HEATMAP_BUCKETS: Table("heatmap_raw", Topic.HEATMAP_BUCKETS, instrument=False, rolled_up=True),
    Kind.MARKET_MINUTES: Table("market_minutes_raw", Topic.MARKET_MINUTES, instrument=False),
    Kind.LIQUIDATIONS: Table("liquidations_raw", Topic.POSITION_EVENTS, occurrence=True),
    Kind.POSITIONS: Table("positions_observed_raw", Topic.POSITION_EVENTS),
    Kind.CONTRACTS: Table("contracts_raw", Topic.POSITION_EVENTS),
    Kind.MARGIN_TIERS: Table("margin_tiers_raw", Topic.POSITION_EVENTS),
    Kind.GAPS: Table("gaps_raw", Topic.GAPS),
    Kind.DEPTH: Table("depth_raw", Topic.POSITION_EVENTS),
    Kind.CLUSTERS: Table("clusters_raw", Topic.CLUSTERS, instrument=False),
    Kind.CLUSTER_SHARES: Table("cluster_shares_raw", Topic.CLUSTERS, instrument=False),
    Kind.ALERTS: Table("alerts_raw", Topic.ALERTS, instrument=False),
    Kind.SYMBOL_SIGNALS: Table("symbol_signals_raw", Topic.SIGNALS, instrument=False),
    Kind.MARKET_SIGNALS: Table("market_signals_raw", Topic.SIGNALS, instrument=False),
    Kind.CATALYSTS: Table("catalysts_raw", Topic.CATALYSTS, instrument=False),
}
"""Every kind that is stored. A new output kind needs a line here and a migration."""

DEAD_LETTERS_TABLE = "dead_letters_raw"

TOPICS: tuple[Topic, ...] = tuple(dict.fromkeys([*(table.topic for table in TABLES.values()), Topic.DEAD_LETTERS]))
"""The topics that the sink reads."""


def rows_of(batch: Batch, origin: Origin) -> pl.DataFrame:
    """Return the rows that `batch`, read from `origin`, adds to its table; columns are named as the table's."""
    return rows_of_all([(batch, origin)])


def rows_of_all(read: Sequence[tuple[Batch, Origin]]) -> pl.DataFrame:
    """Return the rows of batches of one kind, in order: as `rows_of`, but in one go, for messages are small."""
    kind = read[0][0].kind
    table, schema = TABLES[kind], schema_of(kind)
    of_message = {
        "venue": pl.Series([batch.venue for batch, _ in read], dtype=pl.String),
        "_partition": pl.Series([origin.partition for _, origin in read], dtype=pl.UInt16),
        "_offset": pl.Series([origin.offset for _, origin in read], dtype=pl.Int64),
    }
    heights = np.array([batch.frame.height for batch, _ in read])
    messages = pl.DataFrame(of_message)[np.repeat(np.arange(len(read)), heights)]
    rows = pl.concat([batch.frame for batch, _ in read]).hstack(messages)
    columns = [pl.col("symbol"), pl.col("venue"), *([pl.col("instrument")] if table.instrument else [])]
    columns += [_stored(column) for column in schema.columns]
    if table.occurrence:
        content = [*schema.wire, *of_message]
        columns.append(pl.int_range(pl.len(), dtype=pl.UInt32).over(content).alias("occurrence"))
    return rows.select(*columns, "_partition", "_offset")


def _stored(column: Column) -> pl.Expr:
    value = pl.col(column.name)
    if column.name == "side":
        long = pl.lit(Side.LONG.label)
        return pl.when(value == Side.LONG).then(long).otherwise(pl.lit(Side.SHORT.label)).alias(column.name)
    if column.name == "window_start" or column.name.endswith("_time"):
        return value.cast(pl.Datetime("ms", "UTC"))
    if column.unit.name == _MICRO_USD:
        return value.alias(column.name.removesuffix("_usd") + "_micro_usd")
    return value


def dead_letter_rows(headers: Iterable[tuple[str, bytes]], value: bytes, origin: Origin, time_ms: int) -> pl.DataFrame:
    """Return the row of one message of the dead-letter topic.

    It takes whatever is there: a dead letter that cannot be read must not become another.

    Args:
        headers: as `liqheat.platform.kafka.dead_letter_headers` writes them.
        value: the original message.
        origin: where the dead letter itself was read.
        time_ms: the broker's time of the dead letter.
    """
    texts = {name: (content or b"").decode(errors="replace") for name, content in headers}
    origin_offset = _integer(texts.get("origin_offset"))
    prefix = "original."
    original = {name.removeprefix(prefix): text for name, text in texts.items() if name.startswith(prefix)}
    row = {
        "received_at": datetime.fromtimestamp(time_ms / 1_000, UTC),
        "stage": texts.get("stage", "unknown"),
        "reason": texts.get("reason", "none given"),
        "origin_topic": texts.get("origin_topic", "unknown"),
        "origin_partition": _integer(texts.get("origin_partition")),
        "origin_offset": origin_offset,
        "sequence": -1 if origin_offset >= 0 else origin.offset,
        "headers": json.dumps(original, ensure_ascii=False),
        "value": value,
        "_partition": origin.partition,
        "_offset": origin.offset,
    }
    return pl.DataFrame([row], schema=_DEAD_LETTER_SCHEMA)


def _integer(text: str | None) -> int:
    try:
        return int(text or -1)
    except ValueError:
        return -1


_DEAD_LETTER_SCHEMA = {
    "received_at": pl.Datetime("ms", "UTC"),
    "stage": pl.String(),
    "reason": pl.String(),
    "origin_topic": pl.String(),
    "origin_partition": pl.Int32(),
    "origin_offset": pl.Int64(),
    "sequence": pl.Int64(),
    "headers": pl.String(),
    "value": pl.Binary(),
    "_partition": pl.UInt16(),
    "_offset": pl.Int64(),
}
