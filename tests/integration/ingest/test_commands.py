"""`liqheat normalise` and `liqheat replay` as processes: what they print and what they refuse."""

import json
import subprocess
import sys
from pathlib import Path

from ingest.recording.frames import Recorder, read_recording
from liqheat.domain.market import Venue

RECORDED = Path(__file__).parents[2] / "data" / "recorded" / "binance"


def liqheat(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "liqheat", *arguments], input=stdin, capture_output=True, timeout=60)


def test_normalise_goes_on_after_bad_lines_and_says_which() -> None:
    frames = (RECORDED / "combined.jsonl").read_bytes().splitlines()
    answer = liqheat("normalise", "--venue", "binance", stdin=b"\n".join([frames[0], b"{broken", frames[1], frames[2]]))
    events = [json.loads(line) for line in answer.stdout.splitlines()]
    assert events == [
        {
            "kind": "trades", "venue": "binance", "symbol": "BTC", "instrument": "BTCUSDT",
            "event_time": 1568693103463, "price": 10223.74, "quantity": 0.236, "taker_side": "buy", "trade_id": None,
        },
        {
            "kind": "liquidations", "venue": "binance", "symbol": "BTC", "instrument": "BTCUSDT",
            "event_time": 1584059031421, "side": "short", "price": 4706.04, "quantity": 0.014,
            "bankruptcy_price": 4793.91,
        },
        {
            "kind": "marks", "venue": "binance", "symbol": "BTC", "instrument": "BTCUSDT",
            "event_time": 1562305380000, "mark_price": 11794.15, "index_price": 11784.62659091,
            "funding_rate": 0.00038167, "next_funding_time": 1562306400000,
        },
    ]  # fmt: skip
    said, count = answer.stderr.decode().splitlines()
    assert said.startswith("line 2: ")
    assert count == "1 line or part of a line could not be read"
    assert answer.returncode == 1


def test_normalise_prints_null_for_what_the_venue_does_not_say() -> None:
    answer = liqheat("normalise", "--venue", "binance", stdin=b'{"e":"markPriceUpdate","E":5,"s":"BTCUSDT","p":"1"}\n')
    event = json.loads(answer.stdout)
    assert (event["index_price"], event["funding_rate"], event["next_funding_time"]) == (None, None, None)
    assert answer.returncode == 0


def test_wrong_contract_values_are_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "values.json"
    path.write_text('{"BTC-USDT-SWAP": 0}')
    answer = liqheat("normalise", "--venue", "okx", "--contract-values", str(path))
    assert answer.returncode == 2
    assert b"above 0" in answer.stderr


def test_a_recording_replays_through_the_same_mapper(tmp_path: Path) -> None:
    frames = (RECORDED / "combined.jsonl").read_bytes().splitlines()
    with Recorder(Venue.BINANCE, tmp_path) as recorder:
        for number, frame in enumerate([*frames, b"\xff\xfe"]):
            recorder.write(1_700_000_000_000 + number * 1_800_000, "market", frame)
    files = sorted(tmp_path.iterdir())
    assert len(files) > 1, "a new file each hour"
    assert [item.raw for path in files for item in read_recording(path)] == [*frames, b"\xff\xfe"]
    replayed = liqheat("replay", "--venue", "binance", "--stdout", *map(str, files))
    direct = liqheat("normalise", "--venue", "binance", stdin=b"\n".join(frames))
    assert replayed.stdout == direct.stdout
    assert b"market: Not a frame" in replayed.stderr
