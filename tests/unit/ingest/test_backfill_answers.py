"""A window is done only when each request was answered with its history; else it is a gap row, and asked again."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ingest.backfill import Backfill
from ingest.backfill_state import Progressed
from ingest.batching import BatchPolicy
from ingest.publisher import Publisher
from ingest.venues.interface import Request
from ingest.venues.registry import feed_for
from liqheat.domain.events import Kind
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Venue
from liqheat.domain.windows import DAY_MS, HOUR_MS, MINUTE_MS
from liqheat.platform.clock import ManualClock
from liqheat.platform.settings import Settings
from tests.support.kept_messages import KeptMessages
from tests.unit.ingest.test_backfill import NOW

START = NOW - 30 * MINUTE_MS
NAMES = {Venue.OKX: "WLD-USDT-SWAP", Venue.HYPERLIQUID: "WLD", list(Venue)[-1]: "WLD-USD"}


def instrument_of(venue: Venue) -> Instrument:
    return Instrument(venue, NAMES.get(venue, "WLDUSDT"), "WLD")


class Answers:
    """A REST client that answers by the stream's name; any other history is empty."""

    def __init__(self, venue: Venue, answers: Mapping[str, Any]) -> None:
        self._answers = dict(answers)
        self._empty = EMPTY[venue]

    async def fetch(self, request: Request, attempts: int = 5) -> bytes:
        name = request.stream.partition("@")[2]
        return json.dumps(self._answers.get(name, self._empty(name))).encode()


EMPTY: dict[Venue, Callable[[str], Any]] = {
    Venue.BINANCE: lambda name: [],
    Venue.BYBIT: lambda name: {"retCode": 0, "result": {"category": "linear", "list": []}, "retExtInfo": {}},
    Venue.OKX: lambda name: {"code": "0", "data": [], "msg": ""},
    Venue.HYPERLIQUID: lambda name: [],
    list(Venue)[-1]: lambda name: {name: []},
}


async def gaps_after(venue: Venue, answers: Mapping[str, Any]) -> tuple[list[str], bool, KeptMessages]:
    """Backfill half an hour; return the reasons of the gap rows, whether the window is done, and what was published."""
    kept, progressed, instrument = KeptMessages(), Progressed(), instrument_of(venue)
    async with Publisher(kept, BatchPolicy(age=0.01)) as publisher:
        rest, clock = Answers(venue, answers), ManualClock(NOW + 5_000)
        await Backfill(feed_for(venue, Settings()), rest, publisher, clock, progressed).run([instrument], START)
    return [gap["reason"] for gap in kept.rows(Kind.GAPS)], not progressed.missing(instrument, START, NOW), kept


def bar(venue: Venue, start: int, volume: str = "7") -> Any:
    fields = [str(start), "1", "1", "1", "1", volume, volume, volume]
    if venue is Venue.BINANCE:
        return [start, "1", "1", "1", "1", volume, start + MINUTE_MS - 1, volume, 2, "0", "0", "0"]
    if venue is Venue.HYPERLIQUID:
        prices = dict.fromkeys("ohlc", "1")
        return {"t": start, "T": start + MINUTE_MS - 1, "s": "WLD", "i": "1m", **prices, "v": volume, "n": 1}
    return fields


STREAMS = {
    Venue.BINANCE: "klines",
    Venue.BYBIT: "kline",
    Venue.OKX: "history-candles",
    Venue.HYPERLIQUID: "candleSnapshot",
}


def bars(venue: Venue, *starts: int, volume: str = "7") -> dict[str, Any]:
    rows = [bar(venue, start, volume) for start in starts]
    answers: dict[Venue, Any] = {
        Venue.BYBIT: {"retCode": 0, "result": {"category": "linear", "list": rows}},
        Venue.OKX: {"code": "0", "data": rows},
    }
    return {STREAMS[venue]: answers.get(venue, rows)}


@pytest.mark.parametrize("venue", Venue)
async def test_an_empty_history_is_done(venue: Venue) -> None:
    assert (await gaps_after(venue, {}))[:2] == ([], True)


@pytest.mark.parametrize("venue", STREAMS)
async def test_bars_in_time_are_published_and_those_without_trades_are_done_too(venue: Venue) -> None:
    reasons, is_done, kept = await gaps_after(venue, bars(venue, NOW - 10 * MINUTE_MS))
    assert (reasons, is_done) == ([], True)
    assert sum(row["quantity"] for row in kept.rows(Kind.TRADES)) == 7
    assert (await gaps_after(venue, bars(venue, NOW - 10 * MINUTE_MS, volume="0")))[:2] == ([], True)


@pytest.mark.parametrize("shift", [-365 * DAY_MS, -HOUR_MS, HOUR_MS])
@pytest.mark.parametrize("venue", STREAMS)
async def test_bars_that_are_all_of_another_time_are_a_gap(venue: Venue, shift: int) -> None:
    odd = [NOW - number * MINUTE_MS + shift for number in (10, 9)]
    reasons, is_done, kept = await gaps_after(venue, bars(venue, *odd))
    (reason,) = reasons
    assert "rows of another time" in reason or (shift > 0 and "Expected a time that has come" in reason)
    assert not is_done
    assert kept.rows(Kind.TRADES) == []
    reasons, is_done, kept = await gaps_after(venue, bars(venue, odd[0], NOW - 8 * MINUTE_MS))
    assert (len(reasons), is_done) == (1, True), "the row at an odd time may be one of the window that is missing"
    assert "of another time" in reasons[0] or (shift > 0 and "Expected a time that has come" in reasons[0])
    assert kept.letters == 1
    assert {row["event_time"] // MINUTE_MS for row in kept.rows(Kind.TRADES)} == {NOW // MINUTE_MS - 8}


@pytest.mark.parametrize(
    ("venue", "stream", "answer"),
    [
        *((Venue.HYPERLIQUID, "candleSnapshot", answer) for answer in (["Too many"], [None], [{"foo": 1}], [7])),
        (Venue.BINANCE, "openInterestHist", [{"e": "x"}]),
        (Venue.BINANCE, "openInterestHist", [{"e": "kline"}]),
        (Venue.BINANCE, "klines", {"msg": "ok"}),
        (Venue.BYBIT, "open-interest", {"retCode": 0, "result": {"category": "linear", "list": [{"foo": 1}]}}),
        (Venue.BYBIT, "open-interest", {"retCode": 0, "result": {"category": "inverse", "list": [{"foo": 1}]}}),
        (Venue.BYBIT, "open-interest", {"retCode": 0, "result": {}}),
        (Venue.BYBIT, "kline", {"retCode": 0}),
        (Venue.OKX, "history-candles", {"code": "0"}),
        (Venue.OKX, "open-interest-history", {"code": "0", "data": [{"foo": 1}]}),
        (list(Venue)[-1], "candles", {"errors": [{"msg": "x"}]}),
        (list(Venue)[-1], "historicalFunding", {"candles": []}),
    ],
)
async def test_an_answer_of_another_kind_is_a_gap(venue: Venue, stream: str, answer: Any) -> None:
    reasons, is_done, _ = await gaps_after(venue, {stream: answer})
    assert len(reasons) == 1
    assert not is_done


async def test_settlements_before_the_window_are_no_fault() -> None:
    """The venue takes no start, and settles less often than the window is long."""
    past = {"rate": "0.0001", "price": "1", "effectiveAt": "2023-11-14T20:00:00.000Z"}
    assert (await gaps_after(list(Venue)[-1], {"historicalFunding": {"historicalFunding": [past]}}))[:2] == ([], True)
