"""Files and pipes that people give to commands: packed in two ways, damaged, empty, or no files at all."""

import gzip
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
import zstandard
from typer.testing import CliRunner, Result

from ingest.recording.frames import Recorder
from liqheat.cli import liquidation_price, playback
from liqheat.cli import map as map_command
from liqheat.cli.bad_lines import BadLines
from liqheat.cli.bar_files import read_csv
from liqheat.domain.market import Venue
from liqheat.platform.errors import ConfigurationError
from tests.unit.liqheat.cli.test_bad_lines import GOOD, NOW, SECOND
from tests.unit.liqheat.cli.test_bar_files import BARS, LIQUIDATIONS, bar_rows, liquidation_rows
from tests.unit.liqheat.cli.test_map import OPENED

QUERY = '{"id":1,"model":"simple","side":"long","entry_price":100,"leverage":10}'
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstandard": zstandard.compress,
}


def run(*arguments: str, stdin: bytes = b"") -> Result:
    app = typer.Typer()
    for module in (playback, map_command, liquidation_price):
        module.register(app)
    return CliRunner().invoke(app, list(arguments), input=stdin)


@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
def test_standard_input_may_be_packed(pack: Callable[[bytes], bytes]) -> None:
    frames = run("normalise", "--venue", "binance", stdin=pack(f"{GOOD}\n{SECOND}\n".encode()))
    assert [json.loads(line)["trade_id"] for line in frames.stdout.splitlines()] == [1, 2]
    answers = run("liquidation-price", "--jsonl", stdin=pack(f"{QUERY}\n".encode()))
    assert json.loads(answers.stdout) == {"id": 1, "liquidation_price": 90.0}
    assert (frames.exit_code, answers.exit_code) == (0, 0)


@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
def test_a_file_of_events_may_be_packed(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    events = "\n".join(json.dumps(event) for event in OPENED).encode()
    file = tmp_path / "events"
    file.write_bytes(pack(events))
    assert run("map", str(file)).stdout == run("map", stdin=events).stdout != ""


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_what_is_damaged_is_a_bad_line_after_what_could_be_read(pack: Callable[[bytes], bytes]) -> None:
    result = run("normalise", "--venue", "binance", stdin=pack(f"{GOOD}\n".encode()) + pack(b"x" * 99)[:9] + b"damaged")
    assert [json.loads(line)["trade_id"] for line in result.stdout.splitlines()] == [1]
    assert "The packed data are damaged from here on" in result.stderr
    assert result.exit_code == 1


def test_a_pipe_is_a_file_too(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    events = "\n".join(json.dumps(event) for event in OPENED)
    writer = threading.Thread(target=pipe.write_text, args=(events,))
    writer.start()
    result = run("map", str(pipe))
    writer.join(5)
    assert result.stdout == run("map", stdin=events.encode()).stdout != ""


def test_an_input_without_events_is_said() -> None:
    result = run("map")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "the map is empty, for there are no events" in result.stderr


@pytest.mark.parametrize("text", ["²m", "0m", "m", "1.5h", "-1m", "9" * 5_000 + "m"])
def test_a_step_that_is_no_whole_number_of_a_unit_is_refused_with_a_sentence(text: str) -> None:
    refused = run("map", "--every", text).exception
    assert isinstance(refused, ConfigurationError)
    assert str(refused).startswith("Expected --every as whole minutes, hours or days")


def test_replay_goes_on_after_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with Recorder(Venue.BINANCE, tmp_path / "good") as recorder:
        recorder.write(NOW, "market", GOOD.encode())
    (good,) = (tmp_path / "good").iterdir()
    folder = tmp_path / "folder"
    folder.mkdir()
    result = run("replay", "--venue", "binance", "--stdout", str(folder), str(good))
    assert [json.loads(line)["trade_id"] for line in result.stdout.splitlines()] == [1]
    assert "folder cannot be read: Is a directory" in result.stderr
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("received_at", "reason"),
    [
        (NOW // 1_000, "which may be in seconds"),
        (NOW * 1_000, "which may be in microseconds"),
        (NOW * 10**6, "which may be in nanoseconds"),
        (0, "Expected a time in ms since 1970, was 0"),
        (-1, "Expected a time in ms since 1970, was -1"),
    ],
)
def test_a_recorded_frame_of_an_odd_receive_time_is_refused_and_stands_for_no_time(
    received_at: int, reason: str, tmp_path: Path
) -> None:
    """Hyperliquid's contexts carry no time, so theirs is when they were received."""
    ctx = {"openInterest": "1", "markPx": "1", "oraclePx": "1", "funding": "0"}
    frame = json.dumps({"channel": "activeAssetCtx", "data": {"coin": "WLD", "ctx": ctx}})
    lines = [{"received_at": time, "stream": "s", "frame": frame} for time in (received_at, NOW)]
    file = tmp_path / "recording.jsonl.zst"
    file.write_bytes(zstandard.compress("\n".join(map(json.dumps, lines)).encode()))
    result = run("replay", "--venue", "hyperliquid", "--stdout", str(file))
    assert {json.loads(line)["event_time"] for line in result.stdout.splitlines()} == {NOW}
    assert reason in result.stderr
    assert "out of order" not in result.output
    assert result.exit_code == 1


def files(folder: Path, bars: bytes) -> tuple[Path, Path]:
    first, second = folder / "bars.csv", folder / "liquidations.csv"
    first.write_bytes(bars)
    second.write_text("\n".join([LIQUIDATIONS, *liquidation_rows()]))
    return first, second


@pytest.mark.parametrize("content", [b"", b"\n", b" \r\n \r\n"])
def test_an_empty_table_is_refused_with_a_sentence(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ConfigurationError, match="expected a header and rows below it, found nothing"):
        read_csv(*files(tmp_path, content), None, BadLines())


def test_a_quote_that_does_not_end_is_said_in_a_short_sentence_where_no_line_may_be_bad(tmp_path: Path) -> None:
    rows = bar_rows()
    rows[3] = f'"{rows[3]}'
    with pytest.raises(ConfigurationError, match="cannot be read as CSV") as refused:
        read_csv(*files(tmp_path, "\n".join([BARS, *rows]).encode()), None)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-8-sig"])
def test_a_table_of_a_spreadsheet_is_read(tmp_path: Path, encoding: str) -> None:
    text = "\r\n".join([BARS, *bar_rows()])
    plain, _ = read_csv(*files(tmp_path, text.encode()), None)
    mark = b"\xff\xfe" if encoding == "utf-16-le" else b""
    read, _ = read_csv(*files(tmp_path, mark + text.encode(encoding)), None)
    assert read.close.tolist() == plain.close.tolist()
