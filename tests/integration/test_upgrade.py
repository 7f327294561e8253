"""From version 1 (commit 9c6a4a1) to this one, on rows that it wrote: nothing is lost, nothing is shown twice."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from clickhouse_connect.driver.client import Client

from liqheat.domain.events import Kind
from liqheat.domain.price_grid import bucket_of
from liqheat.domain.steps import level_micro_usd
from liqheat.platform.errors import Origin
from liqheat.platform.settings import Settings
from sinks.clickhouse.migrate import migrate, read_migrations
from sinks.clickhouse.rollup import hours_of
from sinks.clickhouse.rows import rows_of
from sinks.clickhouse.writer import ClickHouseWriter
from tests.support.sink_fakes import MIDNIGHT, filled_batch, heatmap_batch

pytestmark = pytest.mark.clickhouse

OLD = Path(__file__).parents[1] / "data" / "upgrade"
LAST_OLD_NUMBER = 14
LAST_OLD_MINUTE_MS = 1_767_225_600_000 + 62 * 60_000
VIEWS = ("heatmap", "heatmap_1h", "heatmap_1d", "market_minutes")
RETIRED = {"scale_long", "scale_short", "reach_share_long", "reach_share_short"}


def rows(client: Client, view: str) -> list[dict[str, Any]]:
    return list(client.query(f"SELECT * FROM {view} ORDER BY ALL").named_results())


@pytest.fixture
def old(empty_clickhouse: Client, settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """The database as version 1 left it; returns what its views showed."""
    migrate(empty_clickhouse, settings, [each for each in read_migrations() if each.number <= LAST_OLD_NUMBER])
    for path in OLD.glob("*_raw.parquet"):
        empty_clickhouse.raw_insert(path.stem, insert_block=path.read_bytes(), fmt="Parquet")
    return {view: rows(empty_clickhouse, view) for view in VIEWS}


KEY = ("symbol", "venue", "window_start", "side", "basis", "leverage_band")


def as_cells(heatmap: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return market, minute, side, basis, band, bucket, and at risk and expected (micro-USD) of rows of `heatmap`."""
    buckets = bucket_of([row["price_low"] * (1 + 1e-9) for row in heatmap])
    amounts = [tuple(round((row[name] or 0) * 1e6) for name in ("at_risk_usd", "expected_usd")) for row in heatmap]
    keys = [tuple(row[name] for name in KEY) for row in heatmap]
    return sorted((*key, bucket, *both) for key, bucket, both in zip(keys, buckets.tolist(), amounts, strict=True))


def unpacked(series: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return the same of rows of `heatmap_levels`."""
    amounts, found = level_micro_usd(), []
    for row in series:
        exact = row["at_risk_micro_usd"] or [0] * len(row["bucket"])
        values = zip(row["bucket"], row["at_risk_steps"], row["expected_steps"], exact, strict=True)
        for bucket, at_risk, expected, more in values:
            found.append((*(row[name] for name in KEY), bucket, int(amounts[at_risk]) + more, int(amounts[expected])))
    return sorted(found)


def test_the_migrations_of_version_1_are_as_they_were_applied() -> None:
    """A database of version 1 records their checksums: a changed file would be refused there."""
    recorded = {row["number"]: row["checksum"] for row in pl.read_parquet(OLD / "migrations.parquet").to_dicts()}
    assert {each.number: each.checksum for each in read_migrations() if each.number <= LAST_OLD_NUMBER} == recorded


def test_what_version_1_wrote_reads_as_before_and_says_so(
    empty_clickhouse: Client, settings: Settings, old: dict[str, list[dict[str, Any]]]
) -> None:
    assert len(old["heatmap"]) > 1_000
    migrate(empty_clickhouse, settings)
    for view in VIEWS:
        new = rows(empty_clickhouse, view)
        assert {row["model_version"] for row in new} <= {1}, view
        assert all(row.get("expected_usd") is None and row.get("expected_long_usd") is None for row in new), view
        kept = [name for name in old[view][0] if name not in RETIRED]
        old_rows = [[row[name] for name in kept] for row in old[view]]
        # Hours and days of version 1 count before the hour and day in which it ended: those go on in the new rows.
        ends = {"heatmap_1h": timedelta(hours=1), "heatmap_1d": timedelta(days=1)}.get(view)
        if ends is not None:
            last = max(row["window_start"] for row in old[view])
            old_rows = [row for row in old_rows if row[kept.index("window_start")] < last]
        new_rows = [[row[name] for name in kept] for row in new]
        # As text: unknown numbers are equal to each other there.
        different = set(map(str, new_rows)) ^ set(map(str, old_rows))
        assert (len(new_rows), sorted(different)[:2]) == (len(old_rows), []), view
    assert empty_clickhouse.query("SHOW TABLES LIKE 'leverage_mix%'").result_rows == []
    hours = rows(empty_clickhouse, "market_hours")
    assert {(row["venue"], row["window_start"].minute) for row in hours} == {
        (venue, minute) for venue in ("binance", "bybit") for minute in (59, 2)
    }


def test_a_minute_is_shown_by_one_version_only(
    empty_clickhouse: Client, settings: Settings, old: dict[str, list[dict[str, Any]]]
) -> None:
    """The new version makes old minutes again from history; they stay as they were written, and later ones are new."""
    migrate(empty_clickhouse, settings)
    writer = ClickHouseWriter(empty_clickhouse, settings.clickhouse)

    def write(symbol: str, minutes_after: int) -> None:
        start = LAST_OLD_MINUTE_MS + minutes_after * 60_000
        batch = heatmap_batch((start - MIDNIGHT) // 60_000, symbol=symbol, venue="binance")
        writer.insert("heatmap_levels_raw", [rows_of(batch, Origin("heatmap-buckets", 0, 1))])
        writer.roll_up(hours_of(batch))

    for minutes_after in (-1, 0, 1):
        write("VIRTUAL", minutes_after)
    write("TAO", -1)
    new = [row for row in rows(empty_clickhouse, "heatmap") if row["model_version"] == 2]
    end = datetime.fromtimestamp(LAST_OLD_MINUTE_MS / 1_000, tz=new[0]["window_start"].tzinfo)
    assert {(row["symbol"], row["window_start"]) for row in new} == {
        ("VIRTUAL", end + timedelta(minutes=1)),
        ("TAO", end - timedelta(minutes=1)),
    }
    assert len(rows(empty_clickhouse, "heatmap")) == len(old["heatmap"]) + len(new)
    assert as_cells(rows(empty_clickhouse, "heatmap")) == unpacked(rows(empty_clickhouse, "heatmap_levels"))
    hours = {
        (row["symbol"], row["window_start"].hour, row["model_version"]) for row in rows(empty_clickhouse, "heatmap_1h")
    }
    assert hours == {("VIRTUAL", 0, 1), ("VIRTUAL", 1, 2), ("TAO", 1, 2)}


def test_the_new_model_replaces_a_market_minute_of_the_old_one(
    empty_clickhouse: Client, settings: Settings, old: dict[str, list[dict[str, Any]]]
) -> None:
    migrate(empty_clickhouse, settings)
    row = {"window_start": LAST_OLD_MINUTE_MS, "expected_long_usd": 5_000_000, "revision": 1, "model_version": 2}
    minute = filled_batch(Kind.MARKET_MINUTES, row, symbol="VIRTUAL", venue="binance")
    ClickHouseWriter(empty_clickhouse, settings.clickhouse).insert(
        "market_minutes_raw", [rows_of(minute, Origin("market-minutes", 0, 1))]
    )
    found = rows(empty_clickhouse, "market_minutes")
    assert len(found) == len(old["market_minutes"])
    assert [row["expected_long_usd"] for row in found if row["model_version"] == 2] == [5.0]
