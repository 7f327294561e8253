"""Signals in the database: what the pipeline says is what the views, the page's answer and the terminal show."""

import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from rich.console import Console
from typer.testing import CliRunner

from ingest.catalysts.items import Tagged, event, to_batches
from liqheat.cli.main import app, load_commands
from liqheat.cli.watch_screen import screen
from liqheat.domain.events import Batch, Kind
from liqheat.domain.windows import DAY_MS, HOUR_MS, MINUTE_MS
from liqheat.platform.errors import Origin
from liqheat.platform.settings import Settings, Signals
from liqheat.viewer.signals import signals_picture, signals_pictures
from processors.signals.state import SignalState
from sinks.clickhouse.rows import rows_of
from sinks.clickhouse.tables import STORED
from sinks.clickhouse.writer import ClickHouseWriter
from tests.support.signal_cases import START, heatmap_frame, market, said_of

pytestmark = pytest.mark.clickhouse

LONGS, SHORTS = {0.85: 3e6, 0.86: 3e6}, {0.99: 7e6}


def story_batches() -> list[Batch]:
    """Price comes down from $0.95, enters the long cluster at $0.87, and stays; one venue."""
    state, outputs = SignalState("VIRTUAL"), []
    for number, mark in enumerate((0.95, 0.90, 0.868)):
        window = START + number * MINUTE_MS
        settles = START + 8 * HOUR_MS
        frame = heatmap_frame(window, LONGS, SHORTS)
        said = market(window, mark, frame, funding_rate=0.0001, next_funding_time=settles, open_interest=1e6)
        outputs += said_of(state, said, Signals())
    news = event("2026-01-01T00:02:30", "Listing", "calendar", importance="high")
    return [*outputs, *to_batches([Tagged("VIRTUAL", news)])]


@pytest.fixture
def stored(clickhouse: Client, settings: Settings) -> Client:
    """The story, written twice as after a crash of the sink."""
    writer = ClickHouseWriter(clickhouse, settings.clickhouse)
    for offset, batch in enumerate(story_batches() * 2):
        writer.insert(STORED[batch.kind].table.name, [rows_of(batch, Origin(batch.kind.value, 0, offset))])
    return clickhouse


def rows(client: Client, query: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in client.query(query).result_rows]


def test_what_is_written_twice_is_stored_once(stored: Client) -> None:
    counted = (
        "SELECT (SELECT count() FROM clusters), (SELECT count() FROM alerts), (SELECT count() FROM symbol_signals)"
    )
    assert rows(stored, counted) == [(6, 3, 3)]


def test_a_cluster_reads_in_usd_and_text(stored: Client) -> None:
    query = (
        "SELECT side, state, price_low, price_high, at_risk_usd, percent_of_adv, age_minutes "
        "FROM clusters WHERE window_start = toDateTime('2026-01-01 00:02:00', 'UTC') ORDER BY side"
    )
    assert rows(stored, query) == [
        ("long", "steady", 0.85, 0.87, 6e6, 6.0, 2),
        ("short", "steady", 0.99, 1.0, 7e6, 7.0, 2),
    ]


def test_what_each_venue_holds_of_a_cluster_is_a_row(stored: Client) -> None:
    query = (
        "SELECT venue, side, at_risk_usd, share FROM cluster_shares "
        "WHERE window_start = toDateTime('2026-01-01 00:02:00', 'UTC') ORDER BY side"
    )
    assert rows(stored, query) == [("binance", "long", 6e6, 1.0), ("binance", "short", 7e6, 1.0)]


def test_alerts_read_with_their_kind_and_sentence(stored: Client) -> None:
    query = "SELECT toString(event_time), kind, side, notional_usd, message FROM alerts ORDER BY event_time"
    alerts = rows(stored, query)
    assert [alert[:4] for alert in alerts] == [
        ("2026-01-01 00:01:00.000", "approaching", "short", 7e6),
        ("2026-01-01 00:02:00.000", "approaching", "long", 6e6),
        ("2026-01-01 00:03:00.000", "entered", "long", 6e6),
    ]
    assert "rule of thumb: reduce exposure by 38%" in str(alerts[-1][4])


def test_the_parts_of_the_conviction_add_up_and_the_unknown_is_null(stored: Client) -> None:
    query = (
        "SELECT conviction, conviction_cluster + conviction_imbalance + conviction_funding + "
        "conviction_open_interest + conviction_round_number, direction, open_interest_change_1h "
        "FROM symbol_signals ORDER BY window_start DESC LIMIT 1"
    )
    ((score, parts, direction, unknown),) = rows(stored, query)
    assert score == parts
    assert direction == -1
    assert unknown is None


def test_a_catalyst_is_counted_and_joined_to_the_clusters_before_it(stored: Client) -> None:
    assert rows(stored, "SELECT symbol, mentions, sources FROM catalyst_mentions") == [("VIRTUAL", 1, 1)]
    joined = rows(stored, "SELECT title, side, at_risk_usd, window_start FROM catalyst_clusters ORDER BY side")
    assert [row[:3] for row in joined] == [("Listing", "long", 6e6), ("Listing", "short", 7e6)]


@pytest.mark.parametrize("after", [HOUR_MS, DAY_MS])
def test_the_page_gets_the_latest_minute_as_json(stored: Client, after: int) -> None:
    answer = signals_picture(stored, "VIRTUAL", 0, START + after)
    json.dumps(answer, allow_nan=False)
    assert answer["reading"]["window_start"] == START + 2 * MINUTE_MS
    assert answer["reading"]["exposure_reduction"] == pytest.approx(0.3 + 0.2 * 6 / 15)
    assert [row["side"] for row in answer["clusters"]] == ["long", "short"]
    assert [row["kind"] for row in answer["alerts"]] == ["entered", "approaching", "approaching"]
    assert answer["catalysts"][0]["event_time"] == START + 150_000
    assert answer["venues"][0]["settlement_seconds"] == 8 * 3_600 - 180
    assert signals_picture(stored, "NOTHING", 0, START + after)["reading"] is None


def test_signals_of_several_symbols_are_those_of_each(stored: Client) -> None:
    end = START + HOUR_MS
    together = signals_pictures(stored, ["VIRTUAL", "NOTHING"], 0, end)
    assert together == {symbol: signals_picture(stored, symbol, 0, end) for symbol in ("VIRTUAL", "NOTHING")}


def test_the_terminal_shows_price_clusters_funding_conviction_and_alerts(stored: Client) -> None:
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(screen(signals_picture(stored, "VIRTUAL", 0, START + HOUR_MS), START + 3 * MINUTE_MS + 5_000))
    text = console.export_text()
    for expected in (
        "VIRTUAL  0.868",
        "closed 5 s ago, 1 venues",
        "0.85 - 0.87",
        "$6.0M",
        "+0.0100 % of 8 h, longs pay; next settlement in 7 h 57 min",
        "reduce exposure by 38%",
        "01-01 00:03  VIRTUAL entered",
        "Listing",
    ):
        assert expected in text, text
    # As on the map: shorts above the price, longs below.
    assert text.index("0.99 - 1") < text.index("mark") < text.index("0.85 - 0.87")


def test_in_a_narrow_terminal_no_column_is_cut(stored: Client) -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(screen(signals_picture(stored, "VIRTUAL", 0, START + HOUR_MS), START + 3 * MINUTE_MS, width=80))
    table = console.export_text().partition("Clusters")[2].partition("Latest alerts")[0]
    assert "\N{HORIZONTAL ELLIPSIS}" not in table
    assert "observed" not in table


def test_an_empty_symbol_is_a_sentence() -> None:
    empty: dict[str, Any] = {
        "symbol": "X",
        "reading": None,
        "clusters": [],
        "venues": [],
        "alerts": [],
        "catalysts": [],
    }
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(screen(empty, START))
    assert "No minute of X is stored yet" in console.export_text()


def test_liqheat_clusters_prints_json(
    stored: Client, settings: Settings, clickhouse_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIQHEAT_CLICKHOUSE__DATABASE", settings.clickhouse.database)
    load_commands()
    result = CliRunner().invoke(
        app, ["clusters", "virtual", "--json", "--data-dir", str(clickhouse_directory.parent)], catch_exceptions=False
    )
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(line["symbol"], line["side"], line["at_risk_usd"]) for line in lines] == [
        ("VIRTUAL", "long", 6e6),
        ("VIRTUAL", "short", 7e6),
    ]
    assert not any(isinstance(value, float) and math.isnan(value) for line in lines for value in line.values())


def test_every_kind_of_signal_has_a_table() -> None:
    assert {Kind.CLUSTERS, Kind.ALERTS, Kind.SYMBOL_SIGNALS, Kind.MARKET_SIGNALS, Kind.CATALYSTS} <= set(STORED)
