"""A venue's service while the listing changes, and its commands as a person runs them."""

import asyncio
import contextlib
import json
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from ingest.batching import BatchPolicy
from ingest.publisher import Publisher
from ingest.recording.frames import MinuteSlicer, Recorder, read_recording
from ingest.service import VenueService
from ingest.venues.binance.feed import BinanceFeed
from ingest.venues.interface import Request
from liqheat.domain.events import Event, Kind, Mark, Trade
from liqheat.domain.market import Venue
from liqheat.platform import codec
from liqheat.platform.clock import SystemClock
from liqheat.platform.errors import PoisonMessage, TransientError
from liqheat.platform.settings import Ingest, Settings
from tests.support.kept_messages import KeptMessages
from tests.support.waiting import until

RECORDED = Path(__file__).parents[2] / "data" / "recorded" / "binance"
TAO = (Venue.BINANCE, "TAO", "TAOUSDT")


class Kept(KeptMessages):
    """Messages of contracts."""

    def contracts(self) -> list[tuple[str, str]]:
        return [(row["symbol"], row["status"]) for row in self.rows(Kind.CONTRACTS)]


class Listing:
    """A REST client whose exchangeInfo names what `listed` holds at the time; polls are answered."""

    def __init__(self, *listed: str) -> None:
        self.listed = listed
        self.polled: list[str] = []

    async def fetch(self, request: Request, attempts: int = 5) -> bytes:
        if not self.listed:
            raise TransientError("no answer")
        if request.url.endswith("exchangeInfo"):
            rows = [
                {"symbol": name, "contractType": "PERPETUAL", "status": "TRADING", "quoteAsset": "USDT"}
                for name in self.listed
            ]
            return json.dumps({"symbols": rows}).encode()
        name = request.parameters["symbol"]
        self.polled.append(name)
        return json.dumps({"symbol": name, "openInterest": "5", "time": 1_700_000_000_000}).encode()


async def test_listings_are_taken_up_and_delistings_let_go_while_running() -> None:
    settings = Settings(
        # Nobody listens there: this is about what is listed, not about sockets.
        binance={"websocket_url": "http://127.0.0.1:9"},
        ingest=Ingest(
            symbols=("all",), reference_interval=0.05, open_interest_interval=0.02, turnover_interval=30.0, depth=False
        ),
    )
    rest, kept = Listing("TAOUSDT", "FETUSDT"), Kept()
    async with Publisher(kept, BatchPolicy(age=0.01, quiet_age=0.01)) as publisher, aiohttp.ClientSession() as session:
        service = VenueService(BinanceFeed(settings), settings.ingest, publisher, rest, session, SystemClock())
        assert service.problem() == "binance: waiting for the venue's listing"
        task = asyncio.create_task(service.run())
        await until(lambda: {"TAOUSDT", "FETUSDT"} <= set(rest.polled))
        assert service.problem() is None
        rest.listed = ("TAOUSDT", "WLDUSDT")
        await until(lambda: ("FET", "delisted") in kept.contracts() and "WLDUSDT" in rest.polled)
        assert ("WLD", "trading") in kept.contracts()
        assert [item.symbol for item in service.instruments] == ["TAO", "WLD"]
        rest.polled.clear()
        await until(lambda: len(rest.polled) > 10)
        assert "FETUSDT" not in rest.polled, "the polls of what is gone have ended"
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    first = [codec.decode(message["headers"], message["value"]).kind.value for _, message in kept.messages[:4]]
    assert first == ["contracts", "margin_tiers", "contracts", "margin_tiers"], "a replay knows them first"


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


def test_a_recording_cut_short_by_a_crash_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    recorder = Recorder(Venue.BINANCE, tmp_path).__enter__()
    recorder.write(1_700_000_000_000, "market", b'{"a":1}')
    recorder.flush()
    (path,) = tmp_path.iterdir()
    assert [item.raw for item in read_recording(path)] == [b'{"a":1}']
    recorder.__exit__()
    (tmp_path / "broken.jsonl.zst").write_bytes(b"no zstandard")
    with pytest.raises(PoisonMessage, match=r"broken\.jsonl\.zst"):
        list(read_recording(tmp_path / "broken.jsonl.zst"))


def test_playback_is_cut_by_minutes_so_that_no_kind_runs_ahead() -> None:
    slicer = MinuteSlicer()
    first: list[Event] = [Trade(*TAO, 1_000, 300.0, 1.0, 1), Mark(*TAO, 59_000, 300.0)]
    assert [slicer.add(event) for event in first] == [[], []]
    assert slicer.add(Trade(*TAO, 60_000, 300.0, 1.0, 1)) == first
    assert slicer.add(Mark(*TAO, 59_500, 300.0)) == [], "what is late goes with the minute that is open"
    assert [len(events) for events in slicer.rest()] == [2]
    assert slicer.rest() == []
