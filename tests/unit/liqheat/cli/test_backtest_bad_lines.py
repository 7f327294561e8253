"""`liqheat backtest` goes on over lines that cannot be read: each is said, the others count, the lost is unknown."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from liqheat.cli.bad_lines import BadLines
from liqheat.cli.bar_files import read_csv
from liqheat.cli.main import app, load_commands
from liqheat.cli.minute_bars import read_events_file
from liqheat.platform.errors import ConfigurationError
from liqheat.scoring.bars import Bars, Executed, hours_of
from tests.unit.liqheat.cli.test_backtest import write_files
from tests.unit.liqheat.cli.test_bar_files import (
    BARS,
    FIVE,
    HOUR,
    LIQUIDATIONS,
    START,
    bar_rows,
    liquidation_rows,
)


def read(
    folder: Path, bars: list[str], liquidations: list[str], liquidation_header: str = LIQUIDATIONS, strict: bool = False
) -> tuple[Bars, Executed, int]:
    first, second = folder / "bars.csv", folder / "liquidations.csv"
    first.write_text("\n".join([BARS, *bars]))
    second.write_text("\n".join([liquidation_header, *liquidations]))
    bad_lines = BadLines(strict)
    return *read_csv(first, second, None, bad_lines), bad_lines.count


def with_field(row: str, place: int, value: str) -> str:
    fields = row.split(",")
    fields[place] = value
    return ",".join(fields)


ODD_BARS: dict[str, tuple[Callable[[str], str], str]] = {
    "text": (lambda row: with_field(row, 4, "n/a"), "expected a finite number in 'close'"),
    "empty": (lambda row: with_field(row, 1, ""), "expected a price above 0 in 'open'"),
    "infinite": (lambda row: with_field(row, 2, "inf"), "expected a finite number in 'high'"),
    "zero": (lambda row: with_field(row, 3, "0"), "expected a price above 0 in 'low'"),
    "negative": (lambda row: with_field(row, 5, "-1"), "expected a number of at least 0 in 'volume'"),
    "no time": (lambda row: with_field(row, 0, ""), "expected a time from 2010 to 2100"),
    "a word for a time": (lambda row: with_field(row, 0, "yesterday"), "expected a time from 2010 to 2100"),
    "a time of 1970": (lambda row: with_field(row, 0, "86400"), "expected a time from 2010 to 2100"),
    "a time beside the grid": (lambda row: with_field(row, 0, str(START + 60_000)), "expected bars that start at"),
    "too many fields": (lambda row: f"{row},7,8", "expected at most 6 fields, were 8"),
    "a quote that does not end": (lambda row: f'"{row}', "expected fields whose quotes end on their line"),
    "a quote within a field": (
        lambda row: with_field(row, 2, '"1"2'),
        "expected fields whose quotes end on their line",
    ),
    "too few fields": (lambda row: row.rsplit(",", 2)[0], "expected a price above 0 in 'close'"),
}


@pytest.mark.parametrize("kind", ODD_BARS)
def test_an_odd_bar_is_said_and_costs_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    spoil, reason = ODD_BARS[kind]
    rows = bar_rows()
    rows[4] = spoil(rows[4])
    bars, _, count = read(tmp_path, rows, liquidation_rows())
    assert count == 1
    assert f"bars.csv, line 6: {reason}" in capsys.readouterr().err
    assert bars.start.tolist() == [START + FIVE * one for one in range(36) if one != 4]
    assert set(bars.close.tolist()) == {0.01}


def test_a_bar_that_is_there_twice_counts_once_and_contradicting_ones_not_at_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = bar_rows()
    bars, _, count = read(tmp_path, [*rows, rows[3], with_field(rows[5], 5, "9")], liquidation_rows())
    # A repeat is one bad line; of two that contradict each other neither counts.
    assert count == 3
    assert "lines 5 and 38" in capsys.readouterr().err
    assert bars.start.tolist() == [START + FIVE * one for one in range(36) if one != 5]


@pytest.mark.parametrize("value", ["n/a", "-5", "inf"])
def test_liquidations_that_cannot_be_read_are_unknown_not_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    rows = liquidation_rows()
    rows[1] = with_field(rows[1], 2, value)
    bars, executed, count = read(tmp_path, bar_rows(), rows)
    assert count == 1
    assert "liquidations.csv, line 3: expected" in capsys.readouterr().err
    assert executed.start.tolist() == [START, START + 2 * HOUR]
    assert hours_of(bars, executed).is_known.tolist() == [True, False, True]


@pytest.mark.parametrize("bad", [f"{START + HOUR},x,6", "yesterday,5,6"])
def test_without_lengths_a_lost_line_leaves_its_neighbours_unknown(tmp_path: Path, bad: str) -> None:
    rows = [f"{START + HOUR * one},5,6" for one in range(6)]
    rows[1] = bad
    bars, executed, _ = read(tmp_path, bar_rows(72), rows, "t_start,long_usd,short_usd")
    # Nothing says when the interval before the lost one ended, and in an unsorted file it may be the other neighbour.
    assert hours_of(bars, executed).is_known.tolist() == [False, False, False, True, True, True]


def test_times_may_change_their_unit_within_a_file(tmp_path: Path) -> None:
    rows = bar_rows()
    rows[18:] = [with_field(row, 0, row.split(",")[0] + "000") for row in rows[18:]]
    bars, _, count = read(tmp_path, rows, liquidation_rows())
    assert count == 0
    assert np.diff(bars.start).tolist() == [FIVE] * 35


def test_a_file_of_mostly_bad_lines_is_refused_as_a_whole(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="line 2: expected a finite number in 'close'"):
        read(tmp_path, [with_field(row, 4, "n/a") for row in bar_rows()], liquidation_rows())


def test_strict_stops_at_the_first_bad_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = bar_rows()
    rows[4], rows[9] = with_field(rows[4], 4, "n/a"), with_field(rows[9], 4, "n/a")
    with pytest.raises(typer.Exit):
        read(tmp_path, rows, liquidation_rows(), strict=True)
    assert "line 11" not in capsys.readouterr().err


def test_events_go_on_over_bad_lines_and_a_damaged_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def mark(minute: int, price: object) -> str:
        time = START + 60_000 * minute
        return json.dumps({"kind": "marks", "venue": "okx", "symbol": "X", "event_time": time, "mark_price": price})

    lines = [mark(0, 10), "{broken", mark(1, "x"), mark(1, 11), mark(2, 12), *(mark(3 + one, 13) for one in range(500))]
    file = tmp_path / "events.jsonl.gz"
    file.write_bytes(gzip.compress("\n".join(lines).encode())[:-40])
    bad_lines = BadLines()
    bars, _, name = read_events_file(file, "", None, bad_lines)
    assert (name, bad_lines.count) == ("okx:X", 3)
    assert bars.close.tolist()[:3] == [10, 11, 12]
    said = capsys.readouterr().err
    assert "line 2: Expected a JSON object" in said
    assert "line 3: Expected mark_price as float" in said
    assert "The packed data are damaged from here on" in said


def test_the_command_goes_on_and_ends_with_a_count_and_status_one(tmp_path: Path) -> None:
    load_commands()
    bars, liquidations = write_files(tmp_path)
    good = ["backtest", "--bars", str(bars), "--liquidations", str(liquidations), "--draws", "0", "--json"]
    lines = gzip.decompress(bars.read_bytes()).decode().splitlines()
    lines.insert(30, "broken")
    bars.write_text("\n".join(lines))
    result = CliRunner().invoke(app, [*good, "--no-rivals"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["market"] == "combined:BARS"
    assert "line 31: expected" in result.stderr
    assert result.stderr.splitlines()[-1] == "1 line or part of a line could not be read"
    strict = CliRunner().invoke(app, [*good, "--strict"])
    assert strict.exit_code == 1
    assert not strict.stdout


@pytest.mark.parametrize(
    ("fields", "unknown", "count"),
    [
        ({"event_time": START + 120_000, "end_time": START + 240_000}, [2, 3], 0),
        ({"event_time": str(START + 120_000), "end_time": float(START + 240_000)}, [2, 3], 0),
        ({"venue": "OKX", "symbol": " x", "event_time": START + 120_000, "end_time": START + 240_000}, [2, 3], 0),
        ({"event_time": START + 120_000, "end_time": None}, [], 1),
        ({"event_time": "abc", "end_time": START}, [], 1),
    ],
)
def test_a_recorded_gap_is_read_like_any_event(
    tmp_path: Path, fields: dict[str, object], unknown: list[int], count: int
) -> None:
    where = {"venue": "okx", "symbol": "X"}
    lines: list[dict[str, object]] = [
        {"kind": "marks", **where, "event_time": START + 60_000 * minute, "mark_price": 1.0} for minute in range(6)
    ]
    lines.append({"kind": "gaps", **where, "stream": "liquidations", **fields})
    file, bad_lines = tmp_path / "events.jsonl", BadLines()
    file.write_text("\n".join(map(json.dumps, lines)))
    _, executed, _ = read_events_file(file, "", None, bad_lines)
    known = {(start - START) // 60_000 for start in executed.start.tolist()}
    assert sorted(set(range(6)) - known) == unknown
    assert bad_lines.count == count
