"""Views on a real (embedded) ClickHouse: applied when they changed, and what the map's view computes of its arrays."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from clickhouse_connect.driver.client import Client

from liqheat.domain.events import Batch, Kind
from liqheat.domain.price_grid import lower_edge, upper_edge
from liqheat.domain.steps import FLOW_RATIO, LEVEL_RATIO, level_micro_usd
from liqheat.platform.errors import FatalError, Origin
from liqheat.platform.settings import Settings
from sinks.clickhouse.export import stored_span
from sinks.clickhouse.migrate import migrate, placeholders
from sinks.clickhouse.price_sql import bucket_sql, lower_edge_sql
from sinks.clickhouse.rows import hours_of_minutes, rows_of
from sinks.clickhouse.steps import steps_of, usd_of_steps
from sinks.clickhouse.tables import STORED
from sinks.clickhouse.views import apply_views, read_views
from sinks.clickhouse.writer import ClickHouseWriter
from tests.support.sink_fakes import MIDNIGHT, filled_batch, heatmap_batch

pytestmark = pytest.mark.clickhouse


def apply(client: Client, settings: Settings, folder: Path) -> list[str]:
    return apply_views(client, settings, placeholders(settings), read_views(folder))


def test_views_are_applied_once_and_again_only_where_they_changed(clickhouse: Client, settings: Settings) -> None:
    assert apply_views(clickhouse, settings, placeholders(settings)) == []
    clickhouse.command("DROP VIEW gaps")
    assert apply_views(clickhouse, settings, placeholders(settings)) == ["gaps"]


def test_a_new_column_is_one_alteration_and_one_line(clickhouse: Client, settings: Settings, tmp_path: Path) -> None:
    """The view's type of it comes from the table; a view that reads the view is applied again by itself."""
    (tmp_path / "one.sql").write_text("-- One.\nSELECT\n    symbol -- Its name\nFROM {database}.gaps_raw\n")
    assert "one" in apply(clickhouse, settings, tmp_path)
    clickhouse.command("ALTER TABLE gaps_raw ADD COLUMN witness LowCardinality(String)")
    (tmp_path / "one.sql").write_text(
        "-- One.\nSELECT\n    symbol, -- Its name\n    witness -- It's who saw\nFROM {database}.gaps_raw\n"
    )
    assert apply(clickhouse, settings, tmp_path) == ["one"]
    columns = clickhouse.query(
        "SELECT name, type, comment FROM system.columns WHERE database = currentDatabase() AND table = 'one'"
    ).result_rows
    assert columns[1] == ("witness", "LowCardinality(String)", "It's who saw")


def test_a_view_without_a_file_is_dropped(clickhouse: Client, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "one.sql").write_text("-- One.\nSELECT\n    1 AS x -- X\nFROM system.one\n")
    assert {"one", "gaps", "heatmap"} <= set(apply(clickhouse, settings, tmp_path))
    assert clickhouse.query("SHOW TABLES LIKE 'gaps'").result_rows == []
    migrate(clickhouse, settings)
    assert clickhouse.query("SHOW TABLES LIKE 'one'").result_rows == []
    assert clickhouse.query("SELECT count() FROM gaps").result_rows == [(0,)]


def test_a_line_with_two_columns_is_refused(clickhouse: Client, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "one.sql").write_text("-- One.\nSELECT\n    1 AS x, 2 AS y -- Both\nFROM system.one\n")
    with pytest.raises(FatalError, match="one has 2 columns but 1 lines with a meaning"):
        apply(clickhouse, settings, tmp_path)


def test_edges_in_sql_are_those_of_the_grid_bit_for_bit(clickhouse: Client) -> None:
    numbers = np.arange(-45_500, 42_000)
    rows = clickhouse.query(
        f"SELECT {lower_edge_sql('toInt32(number) - 45500')} FROM numbers({numbers.size}) ORDER BY number"
    ).result_rows
    found = np.array([edge for (edge,) in rows])
    np.testing.assert_array_equal(found, lower_edge(numbers))


def test_the_bucket_in_sql_is_that_of_the_grid(clickhouse: Client) -> None:
    numbers = np.arange(-42_000, 31_500)
    edges = lower_edge(numbers)
    prices = np.concatenate([edges * (1 + 1e-9), (edges + upper_edge(numbers)) / 2, upper_edge(numbers) * (1 - 1e-9)])
    (found,) = clickhouse.query(
        f"SELECT arrayMap(price -> {bucket_sql('price')}, {{prices:Array(Float64)}})",
        parameters={"prices": prices.tolist()},
    ).result_rows[0]
    np.testing.assert_array_equal(found, np.tile(numbers, 3))


def test_the_amount_of_every_step_is_what_sql_makes_of_it(clickhouse: Client) -> None:
    steps = np.arange(3_000)
    (found,) = clickhouse.query(
        f"SELECT arrayMap(step -> toInt64(round({usd_of_steps('step', LEVEL_RATIO)} * 1e6)), {{steps:Array(UInt16)}})",
        parameters={"steps": steps.tolist()},
    ).result_rows[0]
    # Up to a million dollars all micro-USD are the same, beyond that the last digits of the logarithm differ.
    np.testing.assert_allclose(level_micro_usd()[:3_000], found, rtol=1e-14)
    np.testing.assert_array_equal(level_micro_usd()[:1_800], found[:1_800])


@pytest.mark.parametrize(("ratio", "error"), [(LEVEL_RATIO, 0.005), (FLOW_RATIO, 0.05)])
def test_an_amount_in_steps_comes_back_within_half_a_step(clickhouse: Client, ratio: float, error: float) -> None:
    generator = np.random.default_rng(1)
    usd = np.concatenate([[0.0, 0.009, 0.01, 1.0, 1e11], np.exp(generator.uniform(np.log(0.01), np.log(1e11), 5_000))])
    micro = np.rint(usd * 1e6).astype(np.int64)
    frame = pl.DataFrame({"a": [micro.tolist()]}, schema={"a": pl.List(pl.Int64)})
    (steps,) = frame.select(steps_of("a", ratio))["a"].to_list()
    (back,) = clickhouse.query(
        f"SELECT arrayMap(step -> {usd_of_steps('step', ratio)}, {{steps:Array(UInt16)}})", parameters={"steps": steps}
    ).result_rows[0]
    assert back[:3] == [0.0, 0.0, 0.01]
    np.testing.assert_allclose(back[3:], micro[3:] / 1e6, rtol=error * 1.001)


def test_the_map_is_one_row_per_bucket_with_edges_and_amounts(clickhouse: Client, settings: Settings) -> None:
    batch = heatmap_batch(buckets=(0, 5), at_risk=2_000_000_000, opened=1_500_000)
    exact = pl.Series("liquidated_usd", [[1, 7_654_321]], dtype=pl.List(pl.Int64))
    frame = batch.frame.with_columns(exact)
    writer = ClickHouseWriter(clickhouse, settings.clickhouse)
    rows = rows_of(Batch(batch.kind, batch.venue, frame), Origin("log", 0, 1))
    writer.insert(STORED[Kind.HEATMAP_LEVELS].table.name, [rows])
    found = clickhouse.query(
        "SELECT side, price_low, price_high, at_risk_usd, expected_usd, opened_usd, closed_usd, liquidated_usd, "
        "confidence, model_version FROM heatmap ORDER BY price_low"
    ).result_rows
    assert [row[:3] for row in found] == [("long", 100.0, 101.0), ("long", 105.0, 106.0)]
    for row in found:
        assert row[3:6] == (
            pytest.approx(2_000, rel=0.005),
            pytest.approx(200, rel=0.005),
            pytest.approx(1.5, rel=0.05),
        )
        assert (row[6], row[8], row[9]) == (0.0, 0.5, 2)
    assert [row[7] for row in found] == [1e-6, 7.654321]


def test_a_revision_with_fewer_buckets_leaves_none_of_the_others(clickhouse: Client, settings: Settings) -> None:
    writer = ClickHouseWriter(clickhouse, settings.clickhouse)
    for revision, buckets in ((1, (0, 1, 2)), (3, (1,)), (2, (0, 1))):
        rows = rows_of(heatmap_batch(buckets=buckets, revision=revision), Origin("log", 0, revision))
        writer.insert("heatmap_levels_raw", [rows])
    assert clickhouse.query("SELECT price_low FROM heatmap").result_rows == [(101.0,)]
    writer.insert("heatmap_levels_raw", [rows_of(heatmap_batch(buckets=(), revision=4), Origin("log", 0, 4))])
    assert clickhouse.query("SELECT price_low FROM heatmap").result_rows == []


def test_a_newer_model_replaces_an_older_ones_minute_whatever_the_revision(
    clickhouse: Client, settings: Settings
) -> None:
    writer = ClickHouseWriter(clickhouse, settings.clickhouse)
    for version, revision in ((3, 1), (2, 900_000)):
        rows = rows_of(heatmap_batch(model_version=version, revision=revision), Origin("log", 0, revision))
        writer.insert("heatmap_levels_raw", [rows])
    assert clickhouse.query("SELECT model_version FROM heatmap").result_rows == [(3,)]


def record(hour: int, **values: object) -> dict[str, object]:
    blank = {"window_start": MIDNIGHT + hour * 3_600_000, "mark_price": 1.0, "feed": "whole", "model_version": 2}
    return blank | {"coverage": 1.0, "place_weight": 0.0} | values


def test_the_record_keeps_its_first_word(clickhouse: Client, settings: Settings) -> None:
    writer = ClickHouseWriter(clickhouse, settings.clickhouse)
    for revision, executed in ((7, 1_000_000), (9, 5_000_000), (7, 1_000_000)):
        row = record(0, executed_long_usd=executed, revision=revision)
        rows = rows_of(filled_batch(Kind.TRACK_RECORD, row), Origin("log", 0, revision))
        writer.insert("track_record_raw", [rows])
    assert clickhouse.query("SELECT executed_long_usd FROM track_record").result_rows == [(1.0,)]


def ranks(values: np.ndarray) -> np.ndarray:
    """Return average ranks."""
    order = np.array([[(values < value).sum() + ((values == value).sum() + 1) / 2] for value in values])
    return order[:, 0]


def test_a_month_of_the_record_is_judged_as_by_hand(clickhouse: Client, settings: Settings) -> None:
    generator = np.random.default_rng(3)
    executed = np.rint(np.exp(generator.normal(12, 1.5, 60)) * 1e6).astype(np.int64)
    predicted = np.rint(executed * np.exp(generator.normal(0, 0.7, 60))).astype(np.int64)
    rows = [
        record(
            hour,
            predicted_long_usd=int(predicted[2 * hour]),
            predicted_short_usd=int(predicted[2 * hour + 1]),
            executed_long_usd=int(executed[2 * hour]),
            executed_short_usd=int(executed[2 * hour + 1]),
            place_score=0.1 if hour else 0.4,
            kernel_score=0.05,
            place_weight=2.0 if hour else 58.0,
            move_down=1.0,
            move_up=float(hour),
        )
        for hour in range(30)
    ]
    # Neither of these takes part.
    rows += [
        record(40, executed_long_usd=9 * 10**12, feed="none"),
        record(41, executed_long_usd=10**12, warming_up=True),
    ]
    batch = filled_batch(Kind.TRACK_RECORD, *rows)
    ClickHouseWriter(clickhouse, settings.clickhouse).insert(
        "track_record_raw", [rows_of(batch, Origin("track-record", 0, 1))]
    )
    (month,) = clickhouse.query("SELECT * FROM track_record_months").named_results()
    usd, said = executed / 1e6, predicted / 1e6
    assert (month["judged"], month["proven"]) == (60, True)
    assert month["ratio"] == pytest.approx(said.sum() / usd.sum())
    assert month["rank_correlation"] == pytest.approx(np.corrcoef(ranks(said), ranks(usd))[0, 1])
    assert month["log_error"] == pytest.approx(np.abs(np.log10(said + 1e4) - np.log10(usd + 1e4)).mean())
    assert month["place_score"] == pytest.approx((0.4 * 58 + 0.1 * 2 * 29) / (58 + 2 * 29))
    assert month["kernel_score"] == pytest.approx(0.05)


def test_an_hour_of_a_market_is_its_last_minute_at_its_newest_revision(clickhouse: Client, settings: Settings) -> None:
    writer = ClickHouseWriter(clickhouse, settings.clickhouse)
    for minute, revision, price in ((58, 5, 1.0), (59, 7, 3.0), (59, 6, 2.0), (60, 8, 4.0), (57, 9, 9.0), (59, 7, 3.0)):
        row = {"window_start": MIDNIGHT + minute * 60_000, "mark_close": price, "revision": revision}
        minutes = rows_of(filled_batch(Kind.MARKET_MINUTES, row), Origin("market-minutes", 0, revision))
        writer.insert("market_hours_raw", [hours_of_minutes(minutes)])
    rows = clickhouse.query(
        "SELECT toUnixTimestamp(hour), toMinute(window_start), mark_close FROM market_hours"
    ).result_rows
    assert sorted(map(tuple, rows)) == [(MIDNIGHT // 1_000, 59, 3.0), (MIDNIGHT // 1_000 + 3_600, 0, 4.0)]


def test_the_hours_of_many_minutes_in_one_batch_are_the_last_of_each(clickhouse: Client, settings: Settings) -> None:
    rows = [{"window_start": MIDNIGHT + minute * 60_000, "mark_close": minute, "revision": 1} for minute in range(150)]
    minutes = rows_of(filled_batch(Kind.MARKET_MINUTES, *rows), Origin("market-minutes", 0, 1))
    assert hours_of_minutes(minutes)["mark_close"].to_list() == [59.0, 119.0, 149.0]
    ClickHouseWriter(clickhouse, settings.clickhouse).insert("market_hours_raw", [hours_of_minutes(minutes)])
    assert clickhouse.query("SELECT count() FROM market_hours").result_rows == [(3,)]


def test_a_minute_of_next_year_is_not_the_newest_of_an_export(clickhouse: Client, settings: Settings) -> None:
    writer = ClickHouseWriter(clickhouse, settings.clickhouse)
    year = 365 * 86_400_000
    for venue, start in (("binance", MIDNIGHT), ("okx", MIDNIGHT + year)):
        batch = filled_batch(Kind.MARKET_MINUTES, {"window_start": start, "mark_close": 1.0}, venue=venue)
        writer.insert("market_minutes_raw", [rows_of(batch, Origin("log", 0, 0))])
    assert stored_span(clickhouse, "TAO", MIDNIGHT + 3_600_000) == (MIDNIGHT, MIDNIGHT + 60_000)
    # Of rows that are all to come, as of a simulated market, the latest is the newest.
    assert stored_span(clickhouse, "TAO", MIDNIGHT - year)[1] == MIDNIGHT + year + 60_000
