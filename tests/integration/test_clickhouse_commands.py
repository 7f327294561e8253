"""`liqheat sql`, `export`, `migrate` and `sink`, run against embedded ClickHouse as a person would."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from typer.testing import CliRunner, Result

from liqheat.cli.main import app, load_commands
from liqheat.cli.stored_bars import read_stored
from liqheat.domain.events import Kind
from liqheat.domain.windows import DAY_MS, HOUR_MS, MINUTE_MS
from liqheat.platform.clickhouse import open_clickhouse
from liqheat.platform.errors import ConfigurationError, FatalError, Origin
from liqheat.platform.settings import Settings
from sinks.clickhouse.export import Step, step_for
from sinks.clickhouse.rollup import hours_of
from sinks.clickhouse.rows import rows_of
from sinks.clickhouse.tables import STORED
from sinks.clickhouse.writer import ClickHouseWriter
from tests.support.sink_fakes import MIDNIGHT, filled_batch, heatmap_batch
from tests.support.waiting import eventually

pytestmark = pytest.mark.clickhouse

MILLION = 1_000_000


@pytest.fixture(scope="module", autouse=True)
def filled(module_clickhouse: Client, module_settings: Settings) -> None:
    """Two minutes of two venues: longs at 95 and 94, marks about 100; the map of minute 1 lacks the bucket at 94."""
    writer = ClickHouseWriter(module_clickhouse, module_settings.clickhouse)
    for venue, volume in (("binance", 3), ("okx", 1)):
        for minute, buckets in ((0, (-5, -6)), (1, (-5,))):
            batch = heatmap_batch(minute, symbol="VIRTUAL", venue=venue, buckets=buckets, at_risk=2 * MILLION * MILLION)
            writer.insert("heatmap_levels_raw", [rows_of(batch, Origin("log", 0, minute))])
            writer.roll_up(hours_of(batch))
            row = {
                "window_start": MIDNIGHT + minute * MINUTE_MS,
                "mark_open": 100.0,
                "mark_high": 102.5,
                "mark_low": 98.0,
                "mark_close": 99.0 + minute,
                "taker_buy_usd": volume * MILLION,
            }
            market = filled_batch(Kind.MARKET_MINUTES, row, symbol="VIRTUAL", venue=venue)
            writer.insert(STORED[market.kind].table.name, [rows_of(market, Origin("log", 0, minute))])


@pytest.fixture
def run(module_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> "Command":
    return Command(module_settings, monkeypatch)


class Command:
    """Runs the command line in this process, on the module's database."""

    def __init__(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        directory = settings.clickhouse.data_directory
        assert directory is not None
        self.data_directory = directory.parent
        monkeypatch.setenv("LIQHEAT_CLICKHOUSE__DATABASE", settings.clickhouse.database)
        load_commands()

    def __call__(self, *arguments: str) -> Result:
        result = CliRunner().invoke(app, [*arguments, "--data-dir", str(self.data_directory)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result


def test_sql_prints_a_table(run: Command) -> None:
    answer = run("sql", "SELECT side, round(sum(at_risk_usd), -5) AS usd FROM heatmap GROUP BY side").stdout
    assert [word for word in answer.split() if word.isascii()] == ["side", "usd", "long", "12000000.0", "1", "row"]


def test_sql_prints_json_csv_and_parquet(run: Command) -> None:
    query = "SELECT venue, count() AS rows FROM heatmap GROUP BY venue ORDER BY venue"
    expected = [{"venue": "binance", "rows": 3}, {"venue": "okx", "rows": 3}]
    lines = run("sql", query, "--format", "json").stdout.splitlines()
    assert [json.loads(line) for line in lines] == expected
    table = list(csv.DictReader(io.StringIO(run("sql", query, "--format", "csv").stdout)))
    assert [{"venue": row["venue"], "rows": int(row["rows"])} for row in table] == expected
    parquet = run("sql", query, "--format", "parquet").stdout_bytes
    assert pl.read_parquet(io.BytesIO(parquet)).to_dicts() == expected


@pytest.mark.parametrize(
    "query",
    [
        "TRUNCATE TABLE heatmap_levels_raw",
        "INSERT INTO migrations (number) VALUES (99)",
        "SELECT * FROM file('/etc/hostname', 'LineAsString')",
        "SET readonly = 0",
        "SELECT 1 INTO OUTFILE '{folder}/made'",
        "SELECT * FROM sqlite('{folder}/made', 'made')",
        "KILL QUERY WHERE 1",
    ],
)
def test_sql_neither_writes_nor_leaves_the_database(run: Command, query: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"allowed here|outside the database|writes a file"):
        run("sql", query.replace("{folder}", str(tmp_path)))
    assert list(tmp_path.iterdir()) == []


def test_a_reader_of_embedded_clickhouse_is_read_only_even_past_the_check(module_settings: Settings) -> None:
    reader = open_clickhouse(module_settings.clickhouse, readonly=True)
    try:
        for statement in ("TRUNCATE TABLE gaps_raw", "SELECT 1 SETTINGS max_memory_usage = 0", "SET readonly = 0"):
            with pytest.raises(DatabaseError, match=r"READONLY|readonly"):
                reader.command(statement)
        with pytest.raises(DatabaseError, match=r"MEMORY_LIMIT|memory limit"):
            reader.query("SELECT groupArray(number) FROM numbers(1000000000)")
    finally:
        reader.close()


def test_sql_says_what_is_wrong_with_a_query_and_a_folder(run: Command, tmp_path: Path) -> None:
    with pytest.raises(FatalError, match="Syntax error"):
        run("sql", "SELECT FROM WHERE")
    run.data_directory = tmp_path
    with pytest.raises(ConfigurationError, match="No ClickHouse data in"):
        run("sql", "SELECT 1")


def test_data_held_by_another_process_is_a_clear_error(run: Command) -> None:
    """This process holds the engine, so the command in one of its own must refuse."""
    command = [sys.executable, "-m", "liqheat", "sql", "SELECT 1", "--data-dir", str(run.data_directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=dict(os.environ))
    assert done.returncode == 2
    assert "another process holds it" in done.stderr
    assert "Traceback" not in done.stderr


def test_export_in_the_shape_of_coinglass(run: Command) -> None:
    answer = json.loads(run("export", "--symbol", "VIRTUAL").stdout)
    for cell in answer["liquidation_leverage_data"]:
        cell[2] = round(cell[2], -5)
    start = MIDNIGHT // 1_000
    assert answer == {
        "y_axis": [94.0, 95.0],
        "liquidation_leverage_data": [[0, 0, 4e6], [0, 1, 4e6], [1, 1, 4e6]],
        "price_candlesticks": [
            [start, "100", "102.5", "98", "99", "4.0000"],
            [start + 60, "100", "102.5", "98", "100", "4.0000"],
        ],
    }


def test_export_of_one_venue_a_stretch_of_time_and_another_step(run: Command) -> None:
    def rows(*options: str) -> list[dict[str, str]]:
        text = run("export", "--symbol", "VIRTUAL", "--format", "csv", *options).stdout
        return list(csv.DictReader(io.StringIO(text)))

    assert len(rows()) == 6
    assert len(rows("--venue", "okx")) == 3
    assert len(rows("--from", "2027-01-15T00:01")) == 2
    assert len(rows("--from", str(MIDNIGHT + 60_000))) == len(rows("--from", str(MIDNIGHT // 1_000 + 60))) == 2
    assert len(rows("--from", "2027-01-15", "--to", "2027-01-15T00:01:00+00:00")) == 4
    hours = rows("--step", "1h", "--venue", "okx")
    assert [(row["price_low"], round(float(row["at_risk_usd"]), -5)) for row in hours] == [("94", 0.0), ("95", 2e6)]


def test_export_to_a_parquet_file(run: Command, tmp_path: Path) -> None:
    file = tmp_path / "map.parquet"
    run("export", "--symbol", "VIRTUAL", "--format", "parquet", "--output", str(file))
    frame = pl.read_parquet(file)
    assert frame.height == 6
    assert frame.schema["window_start"] == pl.Datetime("ms", "UTC")


def test_export_refuses_what_it_does_not_know(run: Command) -> None:
    with pytest.raises(FatalError, match="no minutes of NOSUCH"):
        run("export", "--symbol", "NOSUCH")
    with pytest.raises(FatalError, match=r"known are .*VIRTUAL"):
        run("export", "--symbol", "NOSUCH")
    with pytest.raises(ConfigurationError, match=r"Expected --from in s or ms since 1970 or as .*'yesterday'"):
        run("export", "--symbol", "VIRTUAL", "--from", "yesterday")
    refused = run("export", "--symbol", "VIRTUAL", "--venue", "kraken")
    assert refused.exit_code == 2
    assert "'kraken' is not one of" in refused.stderr


def test_export_says_that_there_are_no_rows_and_what_is_stored(run: Command) -> None:
    nothing = run("export", "--symbol", "virtual", "--format", "csv", "--from", "2030-01-01", "--venue", "OKX")
    assert nothing.exit_code == 0
    assert len(nothing.stdout.splitlines()) == 1
    assert nothing.stderr == (
        "No rows of VIRTUAL on okx from 2030-01-01T00:00 to 2027-01-15T00:02; "
        "its minutes are stored from 2027-01-15T00:00 to 2027-01-15T00:02\n"
    )
    assert run("export", "--symbol", "virtual").stderr == ""


def test_an_interrupt_ends_a_long_query_of_embedded_clickhouse(tmp_path: Path) -> None:
    (tmp_path / "clickhouse").mkdir()
    command = [sys.executable, "-m", "liqheat", "sql", "--data-dir", str(tmp_path)]
    environment = {**os.environ, "LIQHEAT_CLICKHOUSE__DATABASE": "default"}
    long = [*command, "SELECT count() FROM numbers(100000000000) WHERE NOT ignore(number)"]
    with subprocess.Popen(long, stderr=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stderr is not None
        eventually(lambda: any((tmp_path / "clickhouse").iterdir()))
        # Until it has opened the data and the query runs.
        time.sleep(3)
        assert child.poll() is None
        begun = time.monotonic()
        child.send_signal(signal.SIGINT)
        assert child.stderr.read() == ""
    assert child.returncode == 130
    assert time.monotonic() - begun < 10
    again = subprocess.run([*command, "SELECT 42"], capture_output=True, text=True, env=environment)
    assert "42" in again.stdout


def test_long_stretches_take_wider_columns() -> None:
    assert step_for(0, DAY_MS) is Step.MINUTE
    assert step_for(0, 30 * DAY_MS) is Step.HOUR
    assert step_for(0, 400 * DAY_MS) is Step.DAY
    assert step_for(0, HOUR_MS) is Step.MINUTE


def test_migrate_and_sink_in_processes_of_their_own(tmp_path: Path) -> None:
    environment = dict(os.environ) | {
        "LIQHEAT_CLICKHOUSE__INTERFACE": "chdb",
        "LIQHEAT_CLICKHOUSE__DATA_DIRECTORY": str(tmp_path),
        "LIQHEAT_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9",
    }

    def liqheat(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "liqheat", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)

    before = liqheat("sink")
    assert (before.returncode, "run `liqheat migrate`" in before.stderr) == (2, True)
    assert "applied 0001_heatmap" in liqheat("migrate").stdout
    users = liqheat("migrate", "--users")
    assert "is up to date" in users.stdout
    assert (users.returncode, "Embedded ClickHouse has no users" in users.stderr) == (2, True)


def test_backtest_reads_stored_minutes_and_names_the_markets_there_are(run: "Command", filled: None) -> None:
    bars, executed, name = read_stored(run.data_directory, "okx:VIRTUAL", None)
    assert name == "okx:VIRTUAL"
    assert bars.start.tolist() == [MIDNIGHT, MIDNIGHT + MINUTE_MS]
    assert bars.open.tolist() == [100, 100]
    assert bars.high.tolist() == [102.5, 102.5]
    assert bars.low.tolist() == [98, 98]
    assert bars.close.tolist() == [99, 100]
    assert bars.buy_usd.tolist() == [1, 1]
    assert executed.usd.shape == (2, 2)
    assert executed.known_from == MIDNIGHT
    with pytest.raises(ConfigurationError, match="binance:VIRTUAL, okx:VIRTUAL"):
        run("backtest", "--market", "okx:NONE")


def test_backtest_knows_no_liquidations_of_gaps_and_of_hours_that_were_hardly_read(
    module_clickhouse: Client, module_settings: Settings, run: "Command", capsys: pytest.CaptureFixture[str]
) -> None:
    writer = ClickHouseWriter(module_clickhouse, module_settings.clickhouse)
    begin = MIDNIGHT + DAY_MS

    def store(kind: Kind, *rows: dict[str, object]) -> None:
        batch = filled_batch(kind, *rows, symbol="HOLES", venue="okx")
        writer.insert(STORED[kind].table.name, [rows_of(batch, Origin("log", 0, 0))])

    prices: dict[str, object] = {"mark_open": 100.0, "mark_high": 101.0, "mark_low": 99.0, "mark_close": 100.0}
    store(Kind.MARKET_MINUTES, *({"window_start": begin + one * MINUTE_MS, **prices} for one in range(180)))
    away, jump = {"stream": "trades", "filled": True}, {"stream": "aggTrade"}
    store(
        Kind.GAPS,
        {"event_time": begin + 70 * MINUTE_MS, "end_time": begin + 72 * MINUTE_MS, **away},
        {"event_time": begin + 80 * MINUTE_MS, "end_time": begin + 80 * MINUTE_MS + 900, **jump},
    )
    store(
        Kind.TRACK_RECORD,
        {"window_start": begin, "horizon_hours": 0, "coverage": 0.1},
        {"window_start": begin + HOUR_MS, "horizon_hours": 0, "coverage": 0.97},
    )
    bars, executed, _ = read_stored(run.data_directory, "okx:HOLES", None)
    _, known = executed.by_bar(bars)
    assert (~known).nonzero()[0].tolist() == [*range(60), 70, 71]
    assert "62 of 180 minutes lie in gaps or in history" in capsys.readouterr().err
