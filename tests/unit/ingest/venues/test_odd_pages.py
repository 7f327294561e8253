"""A hole is read back to its start, or said to be open, whatever one row of a page says: ids, heights and times."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from ingest.sanity import read_frame
from ingest.venues.base import BaseFeed
from ingest.venues.binance.feed import BinanceFeed
from ingest.venues.interface import Recovery, Request
from ingest.venues.registry import feed_for
from liqheat.domain.events import Trade
from liqheat.domain.instruments import Instrument, parse_instrument
from liqheat.domain.market import Venue
from liqheat.platform.errors import SequenceGap
from liqheat.platform.settings import Settings

NOW = 1_795_000_000_000
NEWEST = 100_000
STEP = 10
"""Milliseconds from one trade to the next."""
HOLE = 12_000
LATEST = list(Venue)[-1]
Row = dict[str, Any]


def time_of(number: int) -> int:
    return NOW - (NEWEST - number) * STEP


def iso(time: int) -> str:
    return datetime.fromtimestamp(time / 1_000, UTC).isoformat(timespec="milliseconds")


def numbers(below: int, limit: int) -> range:
    return range(below - 1, below - 1 - limit, -1)


def okx_page(query: Mapping[str, str]) -> tuple[list[Row], Callable[[list[Row]], Any]]:
    row = {"instId": "WLD-USDT-SWAP", "px": "1", "sz": "1", "side": "buy"}
    found = numbers(int(query.get("after", NEWEST + 1)), int(query["limit"]))
    rows = [{**row, "tradeId": str(number), "ts": str(time_of(number))} for number in found]
    return rows, lambda rows: {"code": "0", "data": rows}


def latest_page(query: Mapping[str, str]) -> tuple[list[Row], Callable[[list[Row]], Any]]:
    row = {"side": "BUY", "size": "1", "price": "1", "type": "LIMIT"}
    found = numbers(int(query.get("createdBeforeOrAtHeight", NEWEST)) + 1, int(query["limit"]))
    rows = [
        {**row, "id": str(number), "createdAt": iso(time_of(number)), "createdAtHeight": str(number)}
        for number in found
    ]
    return rows, lambda rows: {"trades": rows}


def binance_page(query: Mapping[str, str]) -> tuple[list[Row], Callable[[list[Row]], Any]]:
    started = NEWEST - (NOW - int(query.get("startTime", NOW))) // STEP
    first = int(query.get("fromId", started))
    found = range(first, NEWEST + 1)[: int(query["limit"])]
    return [{"a": n, "p": "1", "q": "1", "T": time_of(n), "m": False} for n in found], lambda rows: rows


def bybit_page(query: Mapping[str, str]) -> tuple[list[Row], Callable[[list[Row]], Any]]:
    row = {"symbol": "WLDUSDT", "price": "1", "size": "1", "side": "Buy"}
    rows = [{**row, "execId": str(n), "time": str(time_of(n))} for n in numbers(NEWEST + 1, int(query["limit"]))]
    return rows, lambda rows: {"retCode": 0, "result": {"category": "linear", "list": rows}}


def hyperliquid_page(_: Mapping[str, str]) -> tuple[list[Row], Callable[[list[Row]], Any]]:
    row = {"coin": "WLD", "side": "B", "px": "1", "sz": "1"}
    return [{**row, "time": time_of(n), "tid": n} for n in numbers(NEWEST + 1, 10)], lambda rows: rows


PAGES = {
    Venue.OKX: (okx_page, "WLD-USDT-SWAP"),
    LATEST: (latest_page, "WLD-USD"),
    Venue.BINANCE: (binance_page, "WLDUSDT"),
    Venue.BYBIT: (bybit_page, "WLDUSDT"),
    Venue.HYPERLIQUID: (hyperliquid_page, "WLD"),
}


class Pages:
    """A REST client over numbered trades; `spoil` changes one row of the first page, by its place."""

    def __init__(self, venue: Venue, place: int = 0, spoil: Row | None = None) -> None:
        self._page_of = PAGES[venue][0]
        self._place, self._spoil = place, spoil
        self.asked: list[Request] = []

    async def fetch(self, request: Request, attempts: int = 5) -> bytes:
        rows, answer_of = self._page_of(request.parameters)
        if self._spoil is not None and not self.asked:
            rows[self._place] |= self._spoil
            rows[self._place] = {name: value for name, value in rows[self._place].items() if value is not None}
        self.asked.append(request)
        return json.dumps(answer_of(rows)).encode()


def feed_of(venue: Venue) -> BaseFeed:
    feed = feed_for(venue, Settings())
    assert isinstance(feed, BaseFeed)
    return feed


def instrument_of(venue: Venue) -> Instrument:
    instrument = parse_instrument(venue, PAGES[venue][1])
    assert instrument is not None
    return instrument


def read_back(venue: Venue, recovery: Recovery) -> tuple[set[int], bool]:
    """Return the times of the trades, and whether the hole counts as closed once they are mapped."""
    mapper = feed_of(venue).mapper([instrument_of(venue)])
    readings = [read_frame(mapper, frame, NOW + 1_000) for frame in recovery.frames]
    times = {event.event_time for reading in readings for event in reading.events if isinstance(event, Trade)}
    return times, recovery.complete and not any(list(reading.problems()) + reading.gaps for reading in readings)


ODD_TIMES = (1_300_000_000_000, NOW - 11 * 86_400_000, NOW // 1_000, NOW + 10**9)
ODD: list[tuple[Venue, Row]] = [
    *((Venue.OKX, {"ts": str(time)}) for time in ODD_TIMES),
    *((Venue.OKX, {"tradeId": number}) for number in (None, "-1", "0", "5", str(10**12))),
    *((LATEST, {"createdAt": iso(time)}) for time in ODD_TIMES),
    *((LATEST, {"createdAtHeight": height}) for height in (None, "0", "5", str(10**9))),
    *((Venue.BINANCE, {"T": time}) for time in ODD_TIMES),
    *((Venue.BINANCE, {"a": number}) for number in (-1, 5, 10**9, 10**30)),
]
UNREADABLE: Row = {"a": 10**30}
"""No number that a trade may have: its row is refused, and may be a trade that is missing then."""


@pytest.mark.parametrize("place", [0, 1, 100, -2, -1])
@pytest.mark.parametrize(("venue", "spoil"), ODD, ids=lambda value: str(value))
async def test_one_odd_row_does_not_decide_where_a_page_ends(venue: Venue, spoil: Row, place: int) -> None:
    rest, start = Pages(venue, place, spoil), NOW - HOLE
    recovery = await feed_of(venue).missed_trades(instrument_of(venue), start, NOW, rest)
    times, _ = read_back(venue, recovery)
    wanted = {time for time in map(time_of, range(NEWEST - HOLE // STEP, NEWEST + 1)) if time >= start}
    assert recovery.complete == (spoil != UNREADABLE)
    assert len(wanted - times) <= 1, "the neighbours of the odd row are read"
    assert len(rest.asked) > 1


@pytest.mark.parametrize("venue", [Venue.OKX, LATEST])
async def test_an_empty_page_behind_a_full_one_closes_no_hole(venue: Venue) -> None:
    class Broken(Pages):
        async def fetch(self, request: Request, attempts: int = 5) -> bytes:
            body = await super().fetch(request)
            return body if len(self.asked) == 1 else json.dumps(self._page_of(request.parameters)[1]([])).encode()

    rest = Broken(venue)
    recovery = await feed_of(venue).missed_trades(instrument_of(venue), NOW - HOLE, NOW, rest)
    assert not recovery.complete


async def test_a_young_market_is_read_from_its_first_trade() -> None:
    class Young(Pages):
        async def fetch(self, request: Request, attempts: int = 5) -> bytes:
            rows, answer_of = self._page_of(request.parameters)
            return json.dumps(answer_of([row for row in rows if int(row["tradeId"]) > NEWEST - 120])).encode()

    rest = Young(Venue.OKX)
    recovery = await feed_of(Venue.OKX).missed_trades(instrument_of(Venue.OKX), NOW - HOLE, NOW, rest)
    assert recovery.complete
    assert len(read_back(Venue.OKX, recovery)[0]) == 120


@pytest.mark.parametrize("place", [0, 3, -2, -1])
@pytest.mark.parametrize("time", ODD_TIMES)
@pytest.mark.parametrize(("venue", "field"), [(Venue.BYBIT, "time"), (Venue.HYPERLIQUID, "time")])
async def test_a_single_page_reaches_back_whatever_one_of_its_rows_says(
    venue: Venue, field: str, time: int, place: int
) -> None:
    feed = feed_of(venue)
    rest = Pages(venue, place, {field: time})
    recovery = await feed.missed_trades(instrument_of(venue), NOW - HOLE, NOW, rest)
    assert not recovery.complete
    rest = Pages(venue, place, {field: time})
    recovery = await feed.missed_trades(instrument_of(venue), NOW - 50, NOW, rest)
    assert recovery.complete


@pytest.mark.parametrize(
    ("ids", "is_whole"),
    [
        ([101, 102, 103, 104], True),
        ([101, 102, 103], True),
        ([101, 101, 103, 104], False),
        ([50, 102, 103, 104], False),
        ([50, 101, 102, 103, 104], True),
        ([101, 103, 104, 105], False),
        ([101, 102, 103, 10**30], True),
        ([101, 102, 10**9, 104], False),
        ([], False),
    ],
)
async def test_a_hole_is_filled_when_each_of_its_ids_was_read(ids: list[int], is_whole: bool) -> None:
    class Answer:
        async def fetch(self, request: Request, attempts: int = 5) -> bytes:
            return json.dumps([{"a": n, "p": "1", "q": "1", "T": NOW + n % 1_000, "m": False} for n in ids]).encode()

    gap = SequenceGap("WLDUSDT@aggTrade", 100, 104)
    recovery = await BinanceFeed(Settings()).fill(gap, instrument_of(Venue.BINANCE), Answer())
    assert recovery.complete is is_whole
    times, closed = read_back(Venue.BINANCE, recovery)
    assert closed is is_whole
    assert times <= {NOW + number for number in (101, 102, 103)}
    huge = SequenceGap("WLDUSDT@aggTrade", 100, 10**30)
    assert not (await BinanceFeed(Settings()).fill(huge, instrument_of(Venue.BINANCE), Answer())).complete
