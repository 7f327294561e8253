"""Mappers of all venues in frames a second of processor time, side by side with cryptofeed's parser.

cryptofeed is installed into a throwaway environment, where its registry can be reached; it has no Hyperliquid.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.venues.interface import Mapper
from ingest.venues.registry import mapper_for
from liqheat.domain.market import Venue

pytestmark = pytest.mark.bench

FRAMES = 20_000
TARGET = 100_000
HERE = Path(__file__).parent
TIME = 1_767_225_600_000


def binance_trade(number: int) -> object:
    trade = {
        "e": "aggTrade", "E": TIME + number, "a": number + 1, "s": "VIRTUALUSDT", "p": f"1.{number % 10_000:04}",
        "q": "136.4", "f": number, "l": number, "T": TIME + number, "m": number % 2 == 0,
    }  # fmt: skip
    return {"stream": "virtualusdt@aggTrade", "data": trade}


def binance_mark(number: int) -> object:
    mark = {
        "e": "markPriceUpdate", "E": TIME + number, "s": "VIRTUALUSDT", "p": f"1.{number % 10_000:04}", "i": "1.25",
        "P": "1.25", "r": "0.00010000", "T": TIME + 28_800_000,
    }  # fmt: skip
    return {"stream": "virtualusdt@markPrice@1s", "data": mark}


def bybit_trade(number: int) -> object:
    trade = {
        "T": TIME + number, "s": "VIRTUALUSDT", "S": "Sell" if number % 2 else "Buy", "v": "136.4",
        "p": f"1.{number % 10_000:04}", "L": "PlusTick", "i": f"20f43950-d8dd-5b31-9112-{number:012x}", "BT": False,
    }  # fmt: skip
    return {"topic": "publicTrade.VIRTUALUSDT", "type": "snapshot", "ts": TIME + number, "data": [trade]}


def bybit_ticker(number: int) -> object:
    data = {
        "symbol": "VIRTUALUSDT", "markPrice": f"1.{number % 10_000:04}", "indexPrice": "1.2501",
        "openInterest": str(9_000_000 + number), "singleOpenInterest": str(4_500_000 + number / 2),
        "turnover24h": "15703831.121943", "bid1Price": "1.2499", "bid1Size": "84",
    }  # fmt: skip
    return {"topic": "tickers.VIRTUALUSDT", "type": "delta", "data": data, "cs": number, "ts": TIME + number}


def okx_trade(number: int) -> object:
    trade = {
        "instId": "VIRTUAL-USDT-SWAP", "tradeId": str(number + 1), "px": f"1.{number % 10_000:04}", "sz": "136",
        "side": "sell" if number % 2 else "buy", "ts": str(TIME + number), "count": "1",
    }  # fmt: skip
    return {"arg": {"channel": "trades", "instId": "VIRTUAL-USDT-SWAP"}, "data": [trade]}


def okx_mark(number: int) -> object:
    mark = {
        "instId": "VIRTUAL-USDT-SWAP", "instType": "SWAP", "markPx": f"1.{number % 10_000:04}",
        "ts": str(TIME + number),
    }  # fmt: skip
    return {"arg": {"channel": "mark-price", "instId": "VIRTUAL-USDT-SWAP"}, "data": [mark]}


def hyperliquid_trade(number: int) -> object:
    trade = {
        "coin": "VIRTUAL", "side": "A" if number % 2 else "B", "px": f"1.{number % 10_000:04}", "sz": "136.4",
        "time": TIME + number, "hash": f"0x{number:064x}", "tid": number,
        "users": [f"0x{number % 500:040x}", f"0x{number % 700:040x}"],
    }  # fmt: skip
    return {"channel": "trades", "data": [trade]}


def hyperliquid_context(number: int) -> object:
    context = {
        "funding": "0.0000125", "openInterest": "22603803.0", "prevDayPx": "1.144", "dayNtlVlm": "282416.375",
        "premium": "0.0003861998", "oraclePx": "1.1553", "markPx": f"1.{number % 10_000:04}", "midPx": "1.1556",
        "impactPxs": ["1.1554", "1.1559"], "dayBaseVlm": "1863624.2",
    }  # fmt: skip
    return {"channel": "activeAssetCtx", "data": {"coin": "VIRTUAL", "ctx": context}}


MAKERS: dict[Venue, dict[str, Callable[[int], object]]] = {
    Venue.BINANCE: {"trades": binance_trade, "marks": binance_mark},
    Venue.BYBIT: {"trades": bybit_trade, "tickers": bybit_ticker},
    Venue.OKX: {"trades": okx_trade, "marks": okx_mark},
    Venue.HYPERLIQUID: {"trades": hyperliquid_trade, "contexts": hyperliquid_context},
}
CASES = [pytest.param(venue, name, id=f"{venue}-{name}") for venue, makers in MAKERS.items() for name in makers]


def frames_of(venue: Venue, name: str) -> list[bytes]:
    make = MAKERS[venue][name]
    return [json.dumps(make(number), separators=(",", ":")).encode() for number in range(FRAMES)]


def mapper_of(venue: Venue) -> Mapper:
    return mapper_for(venue, contract_values={"VIRTUAL-USDT-SWAP": 1.0})


def frames_a_second(venue: Venue, frames: list[bytes]) -> float:
    """Return the best of five runs, each with a mapper that has seen nothing."""
    best = 0.0
    for _ in range(5):
        mapper = mapper_of(venue)
        events = 0
        started = time.process_time()
        for frame in frames:
            for _event in mapper.map(frame, TIME):
                events += 1
        best = max(best, len(frames) / (time.process_time() - started))
        assert events >= len(frames)
    return best


@pytest.mark.parametrize(("venue", "name"), CASES)
def test_frames_a_second(venue: Venue, name: str) -> None:
    rate = frames_a_second(venue, frames_of(venue, name))
    sys.stdout.write(f"\n{venue.value:<12} {name:<9} {rate:>9,.0f} frames/s/core\n")
    assert rate >= TARGET


@pytest.fixture(scope="module")
def cryptofeed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has cryptofeed."""
    folder = tmp_path_factory.mktemp("cryptofeed")
    python = folder / "bin" / "python"
    uv = Path(sys.executable).with_name("uv")
    try:
        subprocess.run([uv, "venv", "-q", folder], check=True, capture_output=True, timeout=120)
        subprocess.run(
            [uv, "pip", "install", "-q", "--python", python, "cryptofeed"], check=True, capture_output=True, timeout=600
        )
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"cryptofeed does not install here: {error}")
    return python


@pytest.mark.parametrize("venue", [Venue.BINANCE, Venue.BYBIT, Venue.OKX], ids=str)
def test_trades_beside_cryptofeed(venue: Venue, cryptofeed: Path, tmp_path: Path) -> None:
    frames = frames_of(venue, "trades")
    path = tmp_path / "frames.jsonl"
    path.write_bytes(b"\n".join(frames))
    command = [cryptofeed, HERE / "cryptofeed_parser.py", venue.value, path, "3"]
    answer = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    ours, theirs = frames_a_second(venue, frames), float(answer.stdout)
    ratio = f"{ours / theirs:.2f} times as fast"
    sys.stdout.write(f"\n{venue.value:<12} trades    {ours:>9,.0f} frames/s, cryptofeed {theirs:>9,.0f}: {ratio}\n")
