"""Batches to rows of their table.

A table's columns are the kind's own, in its order, with five rules: a side is text, a time is a timestamp, micro-USD
says so in its name, some lists of micro-USD become logarithmic steps, and the batch's venue is a column. Where a kind
names the model's version, it counts before the revision: rows of a newer model replace an older one's.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from liqheat.domain.events import Batch, Column, schema_of
from liqheat.domain.market import Side
from liqheat.platform.errors import Origin
from sinks.clickhouse.steps import steps_of
from sinks.clickhouse.tables import STORED

_MICRO_USD = "micro-USD"
_REVISION_BITS = 48
"""Revisions count rows of a symbol's log: 48 bits last for ten thousand years of a thousand per second."""


def rows_of(batch: Batch, origin: Origin) -> pl.DataFrame:
    """Return the rows that `batch`, read from `origin`, adds to its table; columns are named as the table's."""
    return rows_of_all([(batch, origin)])


def rows_of_all(read: Sequence[tuple[Batch, Origin]]) -> pl.DataFrame:
    """Return the rows of batches of one kind, in order: as `rows_of`, but in one go, for messages are small."""
    kind = read[0][0].kind
    stored, schema = STORED[kind], schema_of(kind)
    heights = np.array([batch.frame.height for batch, _ in read])
    of_message = {
        "venue": pl.Series([batch.venue for batch, _ in read], dtype=pl.String),
        "_partition": pl.Series([origin.partition for _, origin in read], dtype=pl.UInt16),
        "_offset": pl.Series([origin.offset for _, origin in read], dtype=pl.Int64),
    }
    messages = pl.DataFrame(of_message)[np.repeat(np.arange(len(read)), heights)]
    rows = pl.concat([batch.frame for batch, _ in read]).hstack(messages)
    names = [column.name for column in schema.columns]
    columns = [pl.col("symbol"), pl.col("venue"), *([pl.col("instrument")] if stored.instrument else [])]
    columns += [
        _stored(column, stored.steps.get(column.name)) for column in schema.columns if column.name != "revision"
    ]
    if "revision" in names:
        version = pl.col("model_version") * 2**_REVISION_BITS if "model_version" in names else 0
        columns.append((pl.col("revision") + version).alias("revision"))
    if stored.occurrence:
        columns.append(
            pl.int_range(pl.len(), dtype=pl.UInt32)
            .over(["symbol", "instrument", *names, *of_message])
            .alias("occurrence")
        )
    return rows.select(*columns, "_partition", "_offset")


def hours_of_minutes(minutes: pl.DataFrame) -> pl.DataFrame:
    """Return rows of `market_hours_raw` out of rows of `market_minutes_raw`: each market's last minute in each hour."""
    moment = pl.col("window_start").dt.timestamp("ms") // 1_000
    version = moment.cast(pl.Int128) * 2**64 + pl.col("revision").cast(pl.Int128)
    hour = pl.col("window_start").dt.truncate("1h").alias("hour")
    last = minutes.with_columns(hour, version=version).sort("version")
    names = ["symbol", "venue", "hour"]
    last = last.unique(names, keep="last", maintain_order=True)
    # Arrow's stream has no 128-bit integers that ClickHouse reads: the number travels as text.
    return last.select(
        *names,
        *("window_start", "mark_close", "open_interest_usd", "turnover_24h_usd", "warming_up", "model_version"),
        pl.col("version").cast(pl.String),
    )


def _stored(column: Column, ratio: float | None) -> pl.Expr:
    value = pl.col(column.name)
    if column.name == "side":
        long = pl.lit(Side.LONG.label)
        return pl.when(value == Side.LONG).then(long).otherwise(pl.lit(Side.SHORT.label)).alias(column.name)
    if column.name == "window_start" or column.name.endswith("_time"):
        return value.cast(pl.Datetime("ms", "UTC"))
    if ratio is not None:
        return steps_of(column.name, ratio).alias(column.name.removesuffix("_usd") + "_steps")
    if column.unit.name == _MICRO_USD:
        return value.alias(column.name.removesuffix("_usd") + "_micro_usd")
    return value


def dead_letter_rows(
    headers: Iterable[tuple[str, bytes]], value: bytes, origin: Origin, time_ms: int, now_ms: int
) -> pl.DataFrame:
    """Return the row of one message of the dead-letter topic.

    It takes whatever is there: a dead letter that cannot be read must not become another. What is no number of its
    column is not known.

    Args:
        headers: as `liqheat.platform.kafka.dead_letter_headers` writes them.
        value: the original message.
        origin: where the dead letter itself was read.
        time_ms: the broker's time of the dead letter, which its producer may have set.
        now_ms: the time that counts where that one has not come or is none.
    """
    texts = {name: (content or b"").decode(errors="replace") for name, content in headers}
    origin_offset = _integer(texts.get("origin_offset"), 64)
    received_at = time_ms if 0 < time_ms <= now_ms else now_ms
    prefix = "original."
    original = {name.removeprefix(prefix): text for name, text in texts.items() if name.startswith(prefix)}
    row = {
        "received_at": datetime.fromtimestamp(received_at / 1_000, UTC),
        "stage": texts.get("stage", "unknown"),
        "reason": texts.get("reason", "none given"),
        "origin_topic": texts.get("origin_topic", "unknown"),
        "origin_partition": _integer(texts.get("origin_partition"), 32),
        "origin_offset": origin_offset,
        "sequence": -1 if origin_offset >= 0 else origin.offset,
        "headers": json.dumps(original, ensure_ascii=False),
        "value": value,
        "_partition": origin.partition,
        "_offset": origin.offset,
    }
    return pl.DataFrame([row], schema=_DEAD_LETTER_SCHEMA)


def _integer(text: str | None, bits: int) -> int:
    """Return a number that fits into a column of `bits`, -1 where it is none."""
    try:
        number = int(text or -1)
    except ValueError:
        return -1
    return number if -1 <= number < 1 << (bits - 1) else -1


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


def evidence_rows(records: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Return rows of `evidence_raw` out of records that name its columns."""
    return pl.DataFrame(list(records), schema=_EVIDENCE_SCHEMA)


_EVIDENCE_SCHEMA = {
    **dict.fromkeys(("symbol", "stage", "measure"), pl.String()),
    "horizon_minutes": pl.UInt16(),
    **dict.fromkeys(("cases", "unmatched", "blocks"), pl.UInt32()),
    "block_hours": pl.UInt8(),
    "is_enough": pl.Boolean(),
    **dict.fromkeys(("case_mean", "control_mean", "difference", "difference_low", "difference_high"), pl.Float64()),
    **dict.fromkeys(("verdict", "words"), pl.String()),
    **dict.fromkeys(("percent_of_adv", "near_percent"), pl.Float64()),
    "symbols": pl.UInt32(),
    "minutes": pl.UInt64(),
    **dict.fromkeys(("start_time", "end_time"), pl.Datetime("ms", "UTC")),
}
