"""The view `evidence` over embedded ClickHouse: its rows are what `liqheat study` says, each time, and hour by hour."""

import json
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from typer.testing import CliRunner

from liqheat.cli.evidence import StoredEvidence, studies
from liqheat.cli.main import app, load_commands
from liqheat.domain.events import Kind
from liqheat.domain.windows import DAY_MS, HOUR_MS
from liqheat.platform.clock import ManualClock
from liqheat.platform.errors import ConfigurationError, Origin
from liqheat.platform.settings import Settings, Study
from liqheat.viewer.evidence import followed
from sinks.clickhouse.rows import hours_of_minutes, rows_of
from sinks.clickhouse.tables import MARKET_HOURS
from sinks.clickhouse.writer import ClickHouseWriter
from sinks.studies import Studies
from tests.support.sink_fakes import filled_batch
from tests.support.study_series import series
from tests.support.study_tables import START_MS, write_history

pytestmark = pytest.mark.clickhouse

DAYS = 12
NOW = START_MS + DAYS * DAY_MS + 5 * 60_000
ROWS = "SELECT * FROM evidence_raw FINAL ORDER BY symbol, stage, measure, horizon_minutes"


@pytest.fixture(scope="module")
def client(module_clickhouse: Client, module_settings: Settings) -> Client:
    write_history(series(1, days=DAYS, pull=0.15, liquidated_usd=1e6), module_settings, module_clickhouse)
    return module_clickhouse


@pytest.fixture(autouse=True)
def nothing_judged(client: Client) -> None:
    client.command("TRUNCATE TABLE evidence_raw")


def read_until(client: Client, settings: Settings, time_ms: int, symbol: str = "TAO") -> None:
    """Note the hour of `time_ms` as one of which minutes are stored."""
    minute = filled_batch(Kind.MARKET_MINUTES, {"window_start": time_ms // HOUR_MS * HOUR_MS}, symbol=symbol)
    hours = hours_of_minutes(rows_of(minute, Origin("test", 0, 0)))
    ClickHouseWriter(client, settings.clickhouse).insert(MARKET_HOURS.name, [hours])


def judge(client: Client, settings: Settings, clock: ManualClock, study: Study | None = None) -> None:
    """Let a sink that leads its group judge for some minutes, once the hour has been read."""
    read_until(client, settings, clock.now_ms())
    evidence = StoredEvidence(client, settings.clickhouse, study or Study(percent=8.0))
    pace = Studies(evidence, ClickHouseWriter(client, settings.clickhouse), clock, 0.5)
    end = clock.monotonic() + 180
    while clock.monotonic() < end:
        clock.advance(max(0.1, pace.step(leads=True)))


def plain(row: dict[str, Any]) -> dict[str, Any]:
    names = {"case": "case_mean", "control": "control_mean", "difference": "difference"}
    return {
        ours: row[column] for ours, column in (names | {"low": "difference_low", "high": "difference_high"}).items()
    }


def test_the_rows_are_what_the_command_says_over_the_same_data(
    client: Client, module_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(client, module_settings, ManualClock(NOW))
    load_commands()
    monkeypatch.setenv("LIQHEAT_CLICKHOUSE__DATABASE", module_settings.clickhouse.database)
    directory = Path(str(module_settings.clickhouse.data_directory)).parent
    said = CliRunner().invoke(app, ["study", "--data-dir", str(directory), "--json", "--percent", "8"])
    spoken = json.loads(said.stdout)
    result = client.query("SELECT * FROM evidence")
    rows = [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]
    assert len(rows) == 2 * 3 * 3 * 4
    assert {row["symbol"] for row in rows} == {"TAO", "all"}
    for row in rows:
        stage = spoken["stages"][row["stage"]]
        assert plain(row) == stage["outcomes"][row["measure"]][str(row["horizon_minutes"])]
        for name in ("cases", "unmatched", "blocks", "is_enough"):
            assert row[name] == stage[name]
        assert row["verdict"] == spoken["verdict"]
        assert (row["symbols"], row["minutes"]) == (spoken["symbols"], spoken["minutes"]) == (1, DAYS * 1_440)
        assert (row["percent_of_adv"], row["near_percent"], row["block_hours"]) == (8, 1, spoken["block_hours"])
        assert row["start_time"].timestamp() * 1_000 == START_MS
        assert row["end_time"].timestamp() * 1_000 == NOW // HOUR_MS * HOUR_MS
    assert spoken["stages"]["neared"]["cases"] > 5
    words = {row["stage"]: row["words"] for row in rows}
    assert " ".join(words[stage] for stage in ("neared", "entered", "swept")) == " ".join(spoken["words"])


def test_the_page_is_given_the_symbols_own_and_all_together(client: Client, module_settings: Settings) -> None:
    assert followed(client, ["TAO"])["TAO"] == {"own": None, "all": None}
    judge(client, module_settings, ManualClock(NOW))
    found = followed(client, ["TAO"])["TAO"]
    assert found["own"] == found["all"]
    assert (found["own"]["symbols"], found["own"]["end"]) == (1, NOW // HOUR_MS * HOUR_MS)
    neared = found["own"]["stages"]["neared"]
    assert neared["words"].startswith("Too few cases")
    assert [row[0] for row in neared["outcomes"]["towards"]] == [5, 15, 60, 240]
    assert {row[-1] for row in neared["outcomes"]["executed"]} == {"too few cases"}
    assert followed(client, ["WLD"])["WLD"] == {"own": None, "all": found["all"]}


def test_judging_the_same_data_again_leaves_the_same_rows(client: Client, module_settings: Settings) -> None:
    judge(client, module_settings, ManualClock(NOW))
    before = client.query(ROWS).result_rows
    client.command("TRUNCATE TABLE evidence_raw")
    judge(client, module_settings, ManualClock(NOW + 20 * 60_000))
    assert client.query(ROWS).result_rows == before


def test_each_hour_is_judged_once_and_replaces_the_one_before(client: Client, module_settings: Settings) -> None:
    evidence = StoredEvidence(client, module_settings.clickhouse, Study())
    judge(client, module_settings, ManualClock(NOW))
    assert evidence.begin(NOW - HOUR_MS) == evidence.begin(NOW + 30 * 60_000) == []
    assert evidence.begin(NOW + HOUR_MS) == []
    read_until(client, module_settings, NOW + HOUR_MS)
    assert evidence.begin(NOW + HOUR_MS) == ["OLD", "TAO"]
    judge(client, module_settings, ManualClock(NOW + HOUR_MS), Study(percent=50.0))
    assert client.query("SELECT DISTINCT symbol, cases, percent_of_adv FROM evidence ORDER BY symbol").result_rows == [
        ("TAO", 0, 50.0),
        ("all", 0, 50.0),
    ]
    assert evidence.begin(NOW + HOUR_MS) == []


def test_only_the_last_days_count(client: Client, module_settings: Settings) -> None:
    evidence = StoredEvidence(client, module_settings.clickhouse, Study(days=2))
    read_until(client, module_settings, NOW + 2 * HOUR_MS)
    assert evidence.begin(NOW + 2 * HOUR_MS) == ["TAO"]
    assert {row["minutes"] for row in evidence.judge("TAO")} == {(2 * 24 - 2) * 60}


def test_an_hour_is_judged_once_half_of_the_symbols_have_been_read_past_it(
    clickhouse: Client, settings: Settings
) -> None:
    evidence = StoredEvidence(clickhouse, settings.clickhouse, Study())
    assert evidence.begin(NOW) == []
    for symbol in ("FET", "TAO", "WLD"):
        read_until(clickhouse, settings, NOW - 3 * HOUR_MS, symbol)
    read_until(clickhouse, settings, NOW, "FET")
    assert evidence.begin(NOW) == []
    read_until(clickhouse, settings, NOW, "TAO")
    assert evidence.begin(NOW) == ["FET", "TAO", "WLD"]


def test_a_sink_without_time_for_it_judges_nothing(module_settings: Settings) -> None:
    assert studies(module_settings.model_copy(update={"study": Study(time_share=0)})) is None
    assert isinstance(studies(module_settings), Studies)


def test_a_database_without_the_table_says_what_to_do(empty_clickhouse: Client, settings: Settings) -> None:
    empty_clickhouse.command(f"CREATE DATABASE {settings.clickhouse.database}", use_database=False)
    with pytest.raises(ConfigurationError, match="liqheat migrate"):
        StoredEvidence(empty_clickhouse, settings.clickhouse, Study()).begin(NOW)
