"""Long inputs go on: a bad line is said with its number, the rest is read, and the end has a count and status 1."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from ingest.recording.frames import Recorder
from liqheat.cli import map as map_command
from liqheat.cli import playback
from liqheat.domain.market import Venue
from liqheat.platform.errors import ConfigurationError

NOW = 1_769_000_000_000
GOOD = f'{{"e":"aggTrade","E":{NOW},"a":1,"s":"WLDUSDT","p":"1","q":"5","T":{NOW},"m":true}}'
SECOND = GOOD.replace('"a":1', '"a":2')
HALF_BAD = f'[{GOOD.replace("WLD", "FET")},{{"e":"markPriceUpdate","E":{NOW},"s":"TAOUSDT","p":"0"}}]'
TRADE = (
    f'{{"kind":"trades","venue":"binance","symbol":"WLD","event_time":{NOW},"price":1,"quantity":5,"taker_side":"buy"}}'
)


def run(*arguments: str, stdin: str = "") -> Result:
    app = typer.Typer()
    playback.register(app)
    map_command.register(app)
    return CliRunner().invoke(app, list(arguments), input=stdin)


def test_normalise_reads_what_it_can_and_counts_the_rest() -> None:
    result = run("normalise", "--venue", "Binance", stdin="\n".join([GOOD, "{broken", HALF_BAD, "", SECOND]))
    assert result.exit_code == 1
    assert [json.loads(line)["symbol"] for line in result.stdout.splitlines()] == ["WLD", "FET", "WLD"]
    second, third, count = result.stderr.splitlines()
    assert second.startswith("line 2: Not a frame")
    assert third.startswith("line 3: TAOUSDT: Not a frame")
    assert count == "2 lines or parts of lines could not be read"


def test_a_byte_order_mark_is_no_part_of_a_line() -> None:
    assert run("normalise", "--venue", "binance", stdin="\ufeff" + GOOD).exit_code == 0
    read = run("map", "--every", "1m", stdin="\ufeff" + TRADE)
    assert "line 1" not in read.stderr


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"taker_side": 0}, "Expected taker_side as buy or sell, was 0"),
        ({"taker_side": True}, "Expected taker_side as buy or sell, was True"),
        ({"taker_side": 2}, "Expected taker_side as buy or sell, was 2"),
        ({"symbol": ""}, "The field 'symbol' is missing"),
        ({"taker_side": "SELL", "venue": "Binance", "price": "1e0"}, ""),
        ({"taker_side": -1}, ""),
    ],
)
def test_map_takes_a_side_only_from_two_and_words_in_any_case(fields: dict[str, object], reason: str) -> None:
    result = run("map", stdin=json.dumps(json.loads(TRADE) | fields))
    assert (f"line 1: {reason}" in result.stderr) if reason else not result.stderr


def test_normalise_may_stop_at_the_first_bad_line() -> None:
    result = run("normalise", "--venue", "binance", "--strict", stdin="\n".join([GOOD, "{broken", SECOND]))
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 1
    assert result.stderr.splitlines()[-1] == "Stopped at the first bad line (--strict)"


def test_holes_and_notices_are_said_and_are_no_failure() -> None:
    later = GOOD.replace('"a":1', '"a":9')
    result = run("normalise", "--venue", "binance", stdin="\n".join([GOOD, later, '{"e":"newThing"}']))
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        "line 2: 7 events of WLDUSDT@aggTrade are missing after 1",
        "notices: newThing (1)",
    ]


@pytest.mark.parametrize("strict", [False, True])
def test_map_goes_on_after_a_bad_line(strict: bool) -> None:
    lines = [
        TRADE,
        "{",
        '{"kind":"trades","venue":"mtgox"}',
        '{"kind":"margin_tiers","venue":"binance","tiers":[[1]]}',
        TRADE,
    ]
    result = run("map", *(["--strict"] if strict else []), stdin="\n".join(lines))
    assert result.exit_code == 1
    said = result.stderr.splitlines()
    assert said[0].startswith("line 2: Expected a JSON object")
    if strict:
        assert len(said) == 2
    else:
        assert said[1].startswith("line 3: Expected venue as binance or bybit")
        assert said[2].startswith("line 4: Expected")
        assert said[-1] == "3 lines or parts of lines could not be read"


def test_map_refuses_times_in_seconds() -> None:
    result = run("map", stdin=TRADE.replace(str(NOW), "1769000000"))
    assert result.exit_code == 1
    assert "which may be in seconds" in result.stderr


def recorded(folder: Path, *frames: tuple[int, str]) -> Path:
    with Recorder(Venue.BINANCE, folder) as recorder:
        for time, frame in frames:
            recorder.write(time, "market", frame.encode())
    (path,) = folder.iterdir()
    return path


def test_replay_goes_on_after_a_frame_that_cannot_be_read(tmp_path: Path) -> None:
    path = recorded(tmp_path, (NOW, GOOD), (NOW, "{broken"), (NOW, HALF_BAD), (NOW, SECOND))
    result = run("replay", "--venue", "binance", "--stdout", str(path))
    assert result.exit_code == 1
    assert [json.loads(line)["symbol"] for line in result.stdout.splitlines()] == ["WLD", "FET", "WLD"]
    assert result.stderr.splitlines()[-1] == "2 lines or parts of lines could not be read"
    strict = run("replay", "--venue", "binance", "--stdout", "--strict", str(path))
    assert strict.exit_code == 1
    assert len(strict.stdout.splitlines()) == 1


def test_replay_goes_on_after_a_damaged_file(tmp_path: Path) -> None:
    broken, whole = tmp_path / "a.jsonl.zst", recorded(tmp_path, (NOW, GOOD), (NOW, SECOND))
    broken.write_bytes(whole.read_bytes()[:-20] + b"x" * 40)
    result = run("replay", "--venue", "binance", "--stdout", str(broken), str(whole))
    assert result.exit_code == 1
    assert [json.loads(line)["trade_id"] for line in result.stdout.splitlines()] == [1, 2]
    assert "frame of recording: a.jsonl.zst is" in result.stderr
    assert result.stderr.splitlines()[-1] == "1 line or part of a line could not be read"


def test_replay_says_that_an_archive_is_out_of_order(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = recorded(tmp_path, (NOW + 60_000, GOOD), (NOW, SECOND))
    result = run("replay", "--venue", "binance", "--stdout", str(path))
    assert result.exit_code == 0
    said = result.stderr + result.stdout + capfd.readouterr().err + capfd.readouterr().out
    assert "out of order" in said


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"BTC-USDT-SWAP":"0.01"}', ""),
        (b'\xef\xbb\xbf{"BTC-USDT-SWAP":0.01}', ""),
        (b'{"BTC\xe9-USDT-SWAP":0.01}', "Expected a JSON object of coins a contract"),
        (b'{"BTC-USDT-SWAP":"inf"}', "Expected "),
        (b'{"BTC-USDT-SWAP":"x"}', "Expected a JSON object of coins a contract"),
    ],
)
def test_contract_values_may_be_text_and_a_file_of_none_is_one_sentence(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    file = tmp_path / "values.json"
    file.write_bytes(content)
    result = run("normalise", "--venue", "okx", "--contract-values", str(file), stdin='{"event":"subscribe"}')
    if not sentence:
        assert result.exit_code == 0
    else:
        assert isinstance(result.exception, ConfigurationError)
        assert str(result.exception).startswith(sentence)
