"""A venue's service while the listing changes, and recordings as they are read back."""

import asyncio
import contextlib
import json
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
