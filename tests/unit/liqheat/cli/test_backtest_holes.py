"""`liqheat backtest` on histories with holes and strays, and what the command says in JSON, table and page."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from liqheat.cli.main import app, load_commands
from liqheat.cli.minute_bars import read_events_file
from liqheat.cli.walk_forward import OURS
from liqheat.platform.errors import ConfigurationError
from liqheat.scoring.backtest_report import _figure, _usd
from liqheat.scoring.bars import Executed, hours_of
from liqheat.scoring.places import place_cases
from tests.unit.liqheat.cli.test_backtest import START, some_history, write_files


def event(kind: str, time: int, **fields: object) -> str:
    return json.dumps({"kind": kind, "venue": "okx", "symbol": "X", "event_time": START + time, **fields})


def recording(minutes: list[int]) -> list[str]:
    return [event("marks", 60_000 * minute, mark_price=10.0 + 0.001 * minute) for minute in minutes]


def test_a_hole_in_a_recording_has_no_bars_and_no_known_liquidations(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    minutes = [*range(60), *range(90, 180)]
    file = tmp_path / "events.jsonl"
    lost = event("gaps", 125 * 60_000, end_time=START + 127 * 60_000, stream="tickers", missing=0, reason="away")
    liquidation = event("liquidations", 100 * 60_000, side="long", price=10.0, quantity=1.0)
    file.write_text("\n".join([*recording(minutes), lost, liquidation]))
    bars, executed, _ = read_events_file(file, "", None)
    assert ((bars.start - START) // 60_000).tolist() == minutes
    shown, known = executed.by_bar(bars)
    unknown = [minute for minute, is_known in zip(minutes, known.tolist(), strict=True) if not is_known]
    assert unknown == [90, 125, 126]
    assert shown.sum() == 10
    assert hours_of(bars, executed).is_known.tolist() == [True, False, False]
    said = capsys.readouterr().err
    assert "holes in the recording: 1" in said
    assert "2 minutes lie in recorded gaps" in said


def test_quiet_minutes_are_no_holes(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    generator = np.random.default_rng(3)
    file.write_text("\n".join(recording(sorted(set(generator.integers(0, 3_000, 600).tolist())))))
    bars, _, _ = read_events_file(file, "", None)
    assert len(np.unique(np.diff(bars.start))) == 1


def test_strays_and_tables_without_a_time_do_not_stretch_the_history(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "events.jsonl"
    tiers = json.dumps({"kind": "margin_tiers", "venue": "okx", "symbol": "X", "tiers": [[0, 1e6, 50, 0.01, 0]]})
    stray = event("marks", -6 * 365 * 86_400_000, mark_price=10.0)
    file.write_text("\n".join([tiers, stray, *recording(list(range(1_500)))]))
    bars, _, _ = read_events_file(file, "", None)
    assert len(bars) == 1_500
    assert "1 of 1501 events, from 2020-01-03T00:00" in capsys.readouterr().err


def test_json_has_no_nan_and_the_table_has_intervals(tmp_path: Path) -> None:
    load_commands()
    bars, liquidations = write_files(tmp_path, days=3)
    arguments = ["backtest", "--bars", str(bars), "--liquidations", str(liquidations), "--no-rivals"]
    result = CliRunner().invoke(app, [*arguments, "--draws", "0", "--json"], catch_exceptions=False)
    assert json.loads(result.stdout, parse_constant=pytest.fail)["streamed"][OURS]["interval"]["ratio"] == [None, None]
    assert "liqheat: walked through 2026-01, 100% of the bars" in result.stderr
    report = tmp_path / "page.html"
    drawn = [*arguments, "--draws", "5", "--report", str(report)]
    table = CliRunner().invoke(app, drawn, catch_exceptions=False).stdout
    row = next(line for line in table.splitlines() if OURS in line)
    assert row.count(" to ") == 5
    text = re.sub("<script.*?</script>", "", report.read_text(), flags=re.DOTALL)
    assert text.count(" to ") >= 10
    assert not re.search(r"<small>[^<]*\d-\d", text)


def test_the_page_says_small_sums_in_usd_and_no_nan() -> None:
    assert _usd(538_200) == "538,200 USD"
    assert _usd(4_142_315_178) == "4,142.3 million USD"
    assert _figure(float("nan"), ".3g") == "none"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--bars", "X"], "--bars also needs --liquidations"),
        (["--liquidations", "X"], "--liquidations also needs --bars"),
        (["/no/such/file"], "There is no file /no/such/file"),
        (["/"], "/ is a directory"),
        (["/no", "--from", "99999999999999999999"], "Expected --from|no file"),
    ],
)
def test_what_is_wrong_with_the_sources_is_said(arguments: list[str], complaint: str) -> None:
    load_commands()
    result = CliRunner().invoke(app, ["backtest", *arguments])
    assert isinstance(result.exception, ConfigurationError)
    assert re.search(complaint, str(result.exception))


def test_nothing_to_judge_is_said_with_the_reach_of_the_liquidations(tmp_path: Path) -> None:
    load_commands()
    bars, liquidations = write_files(tmp_path)
    arguments = ["backtest", "--bars", str(bars), "--liquidations", str(liquidations), "--from", "1769904000"]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, ConfigurationError)
    assert "between 2026-02-01T00:00 and 2026-01-13T00:00" in str(result.exception)
    assert "the liquidations from 2026-01-01T00:00 to 2026-01-13T00:00" in str(result.exception)


def test_a_window_of_places_whose_liquidations_are_mostly_unknown_is_left_out() -> None:
    bars, executed = some_history(hours=30)
    hours = hours_of(bars, executed)
    whole = place_cases(bars, executed, hours.first, 6)
    kept = np.arange(30) != 20
    holed = Executed(
        executed.start[kept], executed.end[kept], executed.usd[kept], executed.known_from, executed.known_until
    )
    cases = place_cases(bars, holed, hours.first, 6)
    assert not set(cases.hour.tolist()) & set(range(15, 21))
    assert set(cases.hour.tolist()) == set(whole.hour.tolist()) - set(range(15, 21))
