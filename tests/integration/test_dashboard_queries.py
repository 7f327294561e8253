"""Every dashboard query on the migrated schema, over data that went through the engine and the writer."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from deploy.grafana.src.build import OUTPUT
from liqheat.domain.events import Batch, Kind
from liqheat.domain.market import Venue
from liqheat.platform.codec import rows_of as as_rows
from liqheat.platform.codec_blocks import blocks_of
from liqheat.platform.errors import Origin
from liqheat.platform.settings import Engine, Settings, Signals
from liqheat.simulator.simulation import SimulationConfig, simulate
from processors.pipeline import Pipeline
from sinks.clickhouse.rows import hours_of_minutes, rows_of
from sinks.clickhouse.tables import STORED
from sinks.clickhouse.writer import ClickHouseWriter
from tests.grafana_frontend.frames import long_to_wide
from tests.grafana_frontend.node import display_names, require_node
from tests.support.evidence import insert_evidence, made_up
from tests.support.grafana_macros import Dashboard, expand
from tests.support.sink_fakes import filled_batch

pytestmark = pytest.mark.clickhouse

START_MS = 1_767_225_600_000
HOURS = 2
SYMBOL = "VIRTUAL"
BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(OUTPUT.glob("*.json"))}
TARGETS = [
    pytest.param(panel, target, id=f"{name}: {panel['title']} {target['refId']}")
    for name, board in BOARDS.items()
    for panel in board["panels"]
    for target in panel["targets"]
]
HEATMAPS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, board in BOARDS.items()
    for panel in board["panels"]
    if panel["type"] == "heatmap"
]
QUIET = {"Gaps", "Dead letters", "Silent markets"}
"""Panels that are rightly empty where nothing went wrong."""


def books() -> dict[Kind, Batch]:
    """A venue's order book every ten seconds, and each minute's cascades; a trigger 3% down from the second hour."""
    sizes = {f"{side}_{band}_usd": 1e6 * band for side in ("bid", "ask") for band in (1, 2, 5)}
    depth = [{"event_time": START_MS + second * 1_000} | sizes for second in range(0, HOURS * 3_600, 10)]
    moves = [0.5, 1.0, 2.0, 3.0, 5.0, 10.0]
    curve = {"mark_price": 2.0, "move_percent": moves, "liquidated_usd": [round(1e12 * move) for move in moves]}
    cascades = [
        curve
        | {"window_start": START_MS + minute * 60_000, "side": side, "absorption_2": 0.25 if side > 0 else 0.75}
        | {"rest_percent": [move if move < 3 else 1.5 * move for move in moves], "beyond_percent": 10.0}
        | ({"trigger_percent": 3.0, "trigger_price": 1.94} if side > 0 and minute >= 60 else {})
        for minute in range(HOURS * 60)
        for side in (1, -1)
    ]
    return {
        Kind.DEPTH: filled_batch(Kind.DEPTH, *depth, symbol=SYMBOL, venue="binance"),
        Kind.CASCADES: filled_batch(Kind.CASCADES, *cascades, symbol=SYMBOL, venue="all"),
    }


@pytest.fixture(scope="module")
def client(module_clickhouse: Client, module_settings: Settings) -> Client:
    """Two simulated hours of two venues, through the engine into the tables."""
    pipeline = Pipeline(Signals())
    state = pipeline.new_state(Engine())
    writer = ClickHouseWriter(module_clickhouse, module_settings.clickhouse)
    config = SimulationConfig(
        symbols=(SYMBOL,),
        venues=(Venue.BINANCE, Venue.BYBIT),
        hours=HOURS,
        start_ms=START_MS,
        step_ms=15_000,
        warm_up_hours=6,
    )
    gathered: dict[str, list[Any]] = {}
    for item in simulate(config):
        if not isinstance(item, list):
            continue
        for batch in item:
            for output in pipeline.apply(state, blocks_of([as_rows(batch)])):
                table = STORED[output.kind].table.name
                rows = rows_of(output, Origin("test", 0, 0))
                gathered.setdefault(table, []).append(rows)
                if output.kind is Kind.MARKET_MINUTES:
                    gathered.setdefault("market_hours_raw", []).append(hours_of_minutes(rows))
    hours = range(HOURS)
    record = {"mark_price": 1.0, "feed": "whole", "model_version": 2, "coverage": 1.0, "place_weight": 5.0}
    amounts = {
        "predicted_long_usd": 5_000_000,
        "executed_long_usd": 4_000_000,
        "place_score": 0.1,
        "kernel_score": 0.05,
    }
    records = [
        record | amounts | {"window_start": START_MS + hour * 3_600_000, "horizon_hours": horizon}
        for hour in hours
        for horizon in (0, 6)
    ]
    judged = filled_batch(Kind.TRACK_RECORD, *records, symbol=SYMBOL, venue="binance")
    gathered["track_record_raw"] = [rows_of(judged, Origin("test", 0, 0))]
    for kind, batch in books().items():
        gathered.setdefault(STORED[kind].table.name, []).append(rows_of(batch, Origin("test", 0, 0)))
    for table, frames in gathered.items():
        writer.insert(table, frames)
    insert_evidence(module_clickhouse, made_up(), SYMBOL, START_MS)
    insert_evidence(module_clickhouse, made_up(cases=9), "all", START_MS)
    insert_evidence(module_clickhouse, made_up(), "OTHER", START_MS)
    return module_clickhouse


@pytest.fixture(scope="module")
def dashboard(client: Client) -> Dashboard:
    """Grafana's variables, worked out by the dashboards' own queries in their order."""
    base = Dashboard(
        START_MS // 1_000,
        START_MS // 1_000 + HOURS * 3_600,
        variables={"symbol": [SYMBOL], "span": ["10"], "amount": ["at_risk_usd"]},
    )
    for variable in BOARDS["liquidation_heatmap"]["templating"]["list"]:
        if variable["type"] == "query" and variable["name"] not in base.variables:
            sql = expand(variable["query"]["rawSql"], base)
            base.variables[variable["name"]] = [str(row[0]) for row in client.query(sql).result_rows]
    return base


def test_the_hidden_variables_make_a_regular_grid_around_the_mark(client: Client, dashboard: Dashboard) -> None:
    mark = client.query("SELECT argMax(mark_close, window_start) FROM market_minutes").result_rows[0][0]
    step, low, rows = (float(dashboard.variables[f"price_{name}"][0]) for name in ("step", "low", "rows"))
    assert step in (0.005, 0.01, 0.02)
    assert low == pytest.approx(round(low / step) * step)
    assert low <= mark * 0.9 < low + step
    assert mark * 1.1 <= low + rows * step <= mark * 1.1 + 2 * step
    assert dashboard.variables["venue"] == ["binance", "bybit"]


@pytest.mark.parametrize(("panel", "target"), TARGETS)
def test_every_query_runs(client: Client, dashboard: Dashboard, panel: dict[str, Any], target: dict[str, Any]) -> None:
    result = client.query(expand(target["rawSql"], dashboard))
    if panel["title"] in QUIET | {"Behind"}:
        return
    # An alert needs a heavy cluster, which two quiet hours need not bring.
    assert result.result_rows or panel["title"] == "Alerts", panel["title"]
    if target["format"] == 0:
        times = [row[0] for row in result.result_rows]
        assert times == sorted(times), "a long series must be sorted by time"


def answer(client: Client, dashboard: Dashboard, board: str, title: str) -> list[dict[str, Any]]:
    (panel,) = (panel for panel in BOARDS[board]["panels"] if panel["title"] == title)
    result = client.query(expand(panel["targets"][0]["rawSql"], dashboard))
    return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]


@pytest.mark.parametrize(
    "annotation", BOARDS["liquidation_heatmap"]["annotations"]["list"], ids=lambda each: each["name"]
)
def test_every_annotation_runs(client: Client, dashboard: Dashboard, annotation: dict[str, Any]) -> None:
    result = client.query(expand(annotation["target"]["rawSql"], dashboard))
    # The embedded engine names no columns of an empty answer.
    assert not result.result_rows or result.column_names == ("time", "title", "text", "tags")
    if annotation["name"] == "Triggers":
        # It lasts for an hour, and is marked once.
        ((time, title, text, _),) = result.result_rows
        assert (time.timestamp(), title) == (START_MS / 1_000 + 3_600, "trigger of longs")
        assert text.startswith("A move to 1.94 (3%)")


def test_order_books_lie_as_the_map_does_and_are_summed_once_per_step(client: Client, dashboard: Dashboard) -> None:
    rows = answer(client, dashboard, "liquidation_heatmap", "Order books")
    assert len(rows) == HOURS * 60
    assert rows[0]["bids within 1%"] == -1e6
    assert rows[-1]["asks within 5%"] == 5e6


def test_cascades_say_where_moves_come_to_rest(client: Client, dashboard: Dashboard) -> None:
    line = answer(client, dashboard, "liquidation_heatmap", "Cascades: where moves come to rest")[-1]
    assert [line[name] for name in ("-1%", "-5%", "-10%", "+2%", "+10%")] == [-1.0, -7.5, -15.0, 2.0, 15.0]
    table = answer(client, dashboard, "liquidation_heatmap", "Cascade now")
    assert [row["move %"] for row in table] == [-10, -5, -3, -2, -1, 1, 2, 3, 5, 10]
    down = next(row for row in table if row["move %"] == -5)
    assert (down["price"], down["rest price"]) == pytest.approx((1.9, 1.85))
    assert (down["amplification"], down["liquidated"], down["held by the books"]) == (1.5, 5e6, "yes")
    assert table[0]["held by the books"] == "no"


def test_the_evidence_is_of_the_symbol_and_of_all_together(client: Client, dashboard: Dashboard) -> None:
    words = answer(client, dashboard, "liquidation_heatmap", "Evidence: do clusters attract price?")
    of = [(row["of"], row["price"], row["clusters"]) for row in words]
    assert of == [
        *((SYMBOL, stage, "attract") for stage in ("came near", "entered", "swept")),
        *(("all symbols", stage, "too few cases") for stage in ("came near", "entered", "swept")),
    ]
    assert words[0]["in words"].startswith("Clusters attract price.")
    figures = answer(client, dashboard, "liquidation_heatmap", "Evidence: what followed clusters")
    assert len(figures) == 2 * 3 * 3 * 4
    first, *_, last = figures
    assert [first[name] for name in ("what followed", "after, min", "difference", "from", "to", "effect")] == [
        *("return towards it, %", 5, 0.25, 0.11, 0.39, "more")
    ]
    assert (last["what followed"], last["after, min"], last["effect"]) == ("liquidations, USD", 240, "too few cases")


def test_the_overview_shows_absorption_and_the_nearest_trigger(client: Client, dashboard: Dashboard) -> None:
    (row,) = answer(client, dashboard, "market_overview", "Symbols")
    assert row["longs over bids 2%"] == 0.25
    assert row["shorts over asks 2%"] == 0.75
    assert row["nearest trigger %"] == -3.0


@pytest.mark.parametrize("interval", [60, 300])
@pytest.mark.parametrize("side", ["long", "short"])
def test_the_map_has_every_time_and_every_bucket(
    client: Client, dashboard: Dashboard, side: str, interval: int
) -> None:
    panel = next(
        panel for panel in BOARDS["liquidation_heatmap"]["panels"] if panel["title"].lower().startswith(f"{side} ")
    )
    at = Dashboard(dashboard.time_from, dashboard.time_to, interval, dashboard.variables)
    rows = client.query(expand(panel["targets"][0]["rawSql"], at)).result_rows
    cells = [(time, bucket) for time, bucket, _ in rows]
    assert len(set(cells)) == len(cells), "LongToWide wants each cell once"
    times, buckets = {time for time, _ in cells}, {float(bucket) for _, bucket in cells}
    assert len(times) >= HOURS * 3_600 // interval
    assert len(buckets) == int(dashboard.variables["price_rows"][0])
    step = float(dashboard.variables["price_step"][0])
    ladder = sorted(buckets)
    assert all(high - low == pytest.approx(step) for low, high in pairwise(ladder))


def test_buckets_come_in_the_order_of_their_prices_across_a_power_of_ten(client: Client, dashboard: Dashboard) -> None:
    panel = next(panel for panel in BOARDS["liquidation_heatmap"]["panels"] if panel["type"] == "heatmap")
    grid = {"price_low": ["9.5"], "price_step": ["0.1"], "price_rows": ["10"]}
    at = Dashboard(dashboard.time_from, dashboard.time_to, 300, dashboard.variables | grid)
    rows = client.query(expand(panel["targets"][0]["rawSql"], at)).result_rows
    assert [float(bucket) for _, bucket, _ in rows[:10]] == pytest.approx([9.5 + 0.1 * row for row in range(10)])


@pytest.mark.parametrize("panel", HEATMAPS)
def test_grafana_reads_a_price_off_every_row_of_a_heatmap(
    client: Client, dashboard: Dashboard, panel: dict[str, Any]
) -> None:
    require_node()
    (target,) = panel["targets"]
    sql = expand(target["rawSql"], dashboard)
    result = client.query(sql)
    frame = long_to_wide(result.column_names, result.result_rows)
    # The same rows under a name of the value that the front end does not leave out of the display name, and with a
    # second label: both are what a change of the query would do.
    renamed = ["value" if name == "Value" else name for name in result.column_names]
    broken = long_to_wide(renamed, result.result_rows)
    labelled = long_to_wide([*result.column_names, "side"], [[*row, "long"] for row in result.result_rows])

    named, *wrong = display_names([frame, broken, labelled])
    assert named["numeric"]
    step, low, rows = (float(dashboard.variables[f"price_{name}"][0]) for name in ("step", "low", "rows"))
    prices = [float(name) for name in named["drawn"]]
    assert prices == pytest.approx([low + step * row for row in range(int(rows))])
    assert not any(answer["numeric"] for answer in wrong)
    assert wrong[0]["names"][0].startswith("value ")


def test_a_cell_of_the_map_is_the_average_level_of_its_minutes(client: Client, dashboard: Dashboard) -> None:
    panel = next(panel for panel in BOARDS["liquidation_heatmap"]["panels"] if panel["type"] == "heatmap")
    at = Dashboard(dashboard.time_from, dashboard.time_to, 300, dashboard.variables)
    rows = client.query(expand(panel["targets"][0]["rawSql"], at)).result_rows
    edge = datetime.fromtimestamp(START_MS // 1_000 + 3_600, tz=UTC).replace(tzinfo=None)
    shown = sum(value for time, _, value in rows if time.replace(tzinfo=None) == edge)
    low, high = (float(dashboard.variables[name][0]) for name in ("price_low", "price_step"))
    top = low + high * float(dashboard.variables["price_rows"][0])
    stored = client.query(
        "SELECT sum(at_risk_usd) / 5 FROM heatmap WHERE side = 'long' AND price_low >= {low:Float64} "
        "AND price_low < {top:Float64} AND window_start >= toDateTime({first:UInt32}) "
        "AND window_start < toDateTime({last:UInt32})",
        parameters={"low": low, "top": top, "first": START_MS // 1_000 + 3_300, "last": START_MS // 1_000 + 3_600},
    ).result_rows[0][0]
    assert shown == pytest.approx(stored, rel=1e-9)


def test_one_venue_with_an_absurd_price_does_not_move_the_map_away_from_the_others(
    client: Client, dashboard: Dashboard, module_settings: Settings
) -> None:
    marks = {"binance": 1.0, "bybit": 1.01, "okx": 5_000.0}
    writer = ClickHouseWriter(client, module_settings.clickhouse)
    for minute, venue in enumerate(marks):
        # The absurd one is the newest.
        start = START_MS + minute * 60_000
        row = {"window_start": start, "mark_close": marks[venue], "model_version": 2}
        batch = filled_batch(Kind.MARKET_MINUTES, row, symbol="ODD", venue=venue)
        writer.insert("market_hours_raw", [hours_of_minutes(rows_of(batch, Origin("test", 0, 0)))])
    own = replace(dashboard, variables={"symbol": ["ODD"], "span": ["10"], "amount": ["at_risk_usd"]})
    for variable in BOARDS["liquidation_heatmap"]["templating"]["list"]:
        if variable["name"] in ("price_step", "price_low", "price_rows"):
            own.variables[variable["name"]] = [
                str(client.query(expand(variable["query"]["rawSql"], own)).result_rows[0][0])
            ]
    assert float(own.variables["price_low"][0]) == pytest.approx(0.9, abs=0.05)
    assert float(own.variables["price_step"][0]) < 0.01
