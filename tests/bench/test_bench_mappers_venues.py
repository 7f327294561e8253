"""Mappers of all venues in frames per second of processor time, side by side with cryptofeed's parser.

cryptofeed is installed into a throwaway environment, where its registry can be reached; it has no Hyperliquid.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ingest.venues.base import BaseFeed
from ingest.venues.interface import Mapper, wrap
from ingest.venues.registry import feed_for, mapper_for
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Venue
from liqheat.domain.venues import VENUE_FACTS
from liqheat.platform.settings import Settings
from liqheat.simulator.exchange import Exchange
from liqheat.simulator.running import wires_for
from tests.support.small_exchange import exchange
from tests.support.venue_cases import case_of

__all__ = ["exchange"]

pytestmark = pytest.mark.bench

FRAMES = 20_000
TARGET = 100_000
BOOKS = 100
BOOKS_TARGET = 100
"""50 markets every 10 s are 5 per second: 5% of a core."""
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
"""A venue that is not here is measured with the good frames of its `CASE`."""


def case_maker(venue: Venue, place: int) -> Callable[[int], object]:
    def make(number: int) -> object:
        rows, wrapped = case_of(venue).good_frames(TIME + number, number)[place]
        return wrapped(rows)

    return make


MAKERS |= {
    venue: {f"frames {place}": case_maker(venue, place) for place in range(len(case_of(venue).good_frames(TIME, 0)))}
    for venue in Venue
    if venue not in MAKERS
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


@pytest.mark.parametrize("venue", Venue)
def test_books_a_second(venue: Venue, exchange: Exchange) -> None:
    instrument = Instrument(venue, VENUE_FACTS[venue].name_of("FARTCOIN"), "FARTCOIN")
    wire, mapper = wires_for(exchange)[venue], mapper_for(venue, contract_values={instrument.name: 1.0})
    frames = []
    feed = feed_for(venue, Settings())
    assert isinstance(feed, BaseFeed)
    for request in feed.depth_requests(instrument):
        fields = dict(request.parameters) if request.body is None else json.loads(request.body)
        answer = json.dumps(wire.answer(urlsplit(request.url).path, fields)).encode()
        frames.append(wrap(request.stream, answer) if request.stream else answer)
    started = time.process_time()
    events = sum(1 for _ in range(BOOKS) for frame in frames for _event in mapper.map(frame, exchange.now))
    rate = BOOKS / (time.process_time() - started)
    size = sum(map(len, frames)) / 1_000
    sys.stdout.write(f"\n{venue.value:<12} books     {rate:>9,.0f} markets/s/core, {size:,.0f} kB each\n")
    assert events >= BOOKS
    assert rate >= BOOKS_TARGET


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
