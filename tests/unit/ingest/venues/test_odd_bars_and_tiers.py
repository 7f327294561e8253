"""Bars in seconds or of the future, tier tables with a step missing, and mappers that fail: nothing wrong goes out."""

import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from ingest.sanity import UNEXPECTED, Reading, read_frame
from ingest.venues.registry import feed_for, mapper_for
from ingest.venues.values import around_nameless
from liqheat.domain.instruments import parse_instrument
from liqheat.domain.market import Venue
from liqheat.platform.errors import FatalError
from liqheat.platform.settings import Settings
from tests.support.field_cases import CannedVenue

T = 1_769_000_040_000
SWAP = "WLD-USDT-SWAP"
Json = Any
BYBIT, OKX = parse_instrument(Venue.BYBIT, "WLDUSDT"), parse_instrument(Venue.OKX, SWAP)


def played(venue: Venue, frame: Json) -> Reading:
    return read_frame(mapper_for(venue, contract_values={SWAP: 1.0}), json.dumps(frame).encode(), T)


def bars(start: int) -> dict[str, tuple[Venue, Json]]:
    kline = [start, "1", "1.1", "0.9", "1", "9", start + 59_999, "9", 5, "4", "4", "0"]
    text = [str(value) for value in (start, 1, 1.1, 0.9, 1, 9, 9, 9)]
    candle = {"t": start, "s": "WLD", "o": "1", "c": "1", "h": "1.1", "l": "0.9", "v": "9"}
    return {
        "binance klines": (Venue.BINANCE, {"stream": "WLDUSDT@klines", "data": [kline]}),
        "binance mark klines": (Venue.BINANCE, {"stream": "WLDUSDT@markPriceKlines", "data": [kline]}),
        "bybit klines": (Venue.BYBIT, {"stream": "WLDUSDT@kline", "data": {"result": {"list": [text]}}}),
        "bybit mark klines": (
            Venue.BYBIT,
            {"stream": "WLDUSDT@mark-price-kline", "data": {"result": {"list": [text]}}},
        ),
        "okx candles": (Venue.OKX, {"stream": f"{SWAP}@history-candles", "data": {"code": "0", "data": [text]}}),
        "okx mark candles": (
            Venue.OKX,
            {"stream": f"{SWAP}@history-mark-price-candles", "data": {"code": "0", "data": [text]}},
        ),
        "hyperliquid candles": (Venue.HYPERLIQUID, {"stream": "WLD@candleSnapshot", "data": [candle]}),
    }


@pytest.mark.parametrize("name", bars(T))
def test_a_bar_in_another_unit_or_of_the_future_is_refused(name: str) -> None:
    for start, reason in ((T // 1_000, "may be in seconds"), (T + 10**9, "a time that has come")):
        venue, frame = bars(start)[name]
        reading = played(venue, frame)
        assert not reading.events
        assert reason in reading.poison
    venue, frame = bars(T - 60_000)[name]
    assert played(venue, frame).events


def limit(cap: str, rate: str, leverage: int, **fields: Json) -> Json:
    rates = {"maintenanceMargin": rate, "initialMargin": str(1 / leverage), "maxLeverage": str(leverage)}
    return {"symbol": "WLDUSDT", "riskLimitValue": cap, **rates, "mmDeduction": "", **fields}


def step(tier: int, cap: str, rate: str, leverage: int, **fields: Json) -> Json:
    sizes = {"minSz": "0", "maxSz": cap, "mmr": rate, "maxLever": str(leverage)}
    return {"tier": str(tier), **sizes, "instFamily": "WLD-USDT", **fields}


BYBIT_STEPS = [limit("100", "0.01", 50), limit("200", "0.02", 25), limit("400", "0.04", 10)]
OKX_STEPS = [step(1, "100", "0.01", 50), step(2, "200", "0.02", 25), step(3, "400", "0.04", 10)]
ODD_BYBIT: list[Json] = [limit("200", "abc", 25, symbol=None), None, limit("200", "0.02", 25, symbol="")]
ODD_OKX: list[Json] = [step(2, "", "0.02", 25, instFamily=""), step(2, "200", "0.02", 25, instFamily=None), 5]


def bybit_answer(steps: list[Json], time: int = T) -> Json:
    return {"retCode": 0, "time": time, "result": {"category": "linear", "list": steps}}


async def live_tables(venue: Venue, steps: list[Json]) -> int:
    mark = {"instId": SWAP, "markPx": "1", "ts": str(T)}
    rest = CannedVenue(
        {
            "risk-limit": [{"body": bybit_answer(steps)}],
            "mark-price": [{"body": {"code": "0", "data": [mark]}}],
            "position-tiers": [{"body": {"code": "0", "data": steps}}],
        }
    )
    instrument = BYBIT if venue is Venue.BYBIT else OKX
    assert instrument is not None
    return len(await feed_for(venue, Settings()).margin_tiers([instrument], rest))


def played_tables(venue: Venue, steps: list[Json]) -> int:
    mapper = mapper_for(venue, contract_values={SWAP: 1.0})
    answer = bybit_answer(steps) if venue is Venue.BYBIT else {"code": "0", "data": steps}
    mark = {"code": "0", "data": [{"instId": SWAP, "markPx": "1", "ts": str(T)}]}
    frames = [answer] if venue is Venue.BYBIT else [mark, answer, mark]
    events = [event for frame in frames for event in read_frame(mapper, json.dumps(frame).encode(), T).events]
    return sum(type(event).__name__ == "MarginTier" for event in events) // 3


@pytest.mark.parametrize(
    ("venue", "steps", "odd"),
    [
        *((Venue.BYBIT, BYBIT_STEPS, odd) for odd in ODD_BYBIT),
        *((Venue.OKX, OKX_STEPS, odd) for odd in ODD_OKX),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
async def test_a_table_with_a_nameless_step_is_refused(venue: Venue, steps: list[Json], odd: Json, place: int) -> None:
    assert await live_tables(venue, steps) == played_tables(venue, steps) == 1
    spoilt = [*steps[:place], odd, *steps[place + 1 :]]
    assert await live_tables(venue, spoilt) == 0
    assert played_tables(venue, spoilt) == 0


async def test_tiers_are_numbered_without_a_hole() -> None:
    steps = [OKX_STEPS[0], OKX_STEPS[2]]
    assert await live_tables(Venue.OKX, steps) == played_tables(Venue.OKX, steps) == 0


@pytest.mark.parametrize(
    ("starts", "tables"),
    [
        (("0", "0", "0"), 1),
        (("0", "101", "201"), 1),
        (("0.01", "100.01", "200.01"), 1),
        (("1", "100", "200"), 1),
        (("0", "150", "201"), 0),
        (("0", "101", "301"), 0),
        (("0", "50", "201"), 0),
        (("40", "101", "201"), 0),
    ],
)
async def test_each_tier_starts_where_the_one_before_ends(starts: tuple[str, ...], tables: int) -> None:
    steps = [{**step, "minSz": start} for step, start in zip(OKX_STEPS, starts, strict=True)]
    assert await live_tables(Venue.OKX, steps) == played_tables(Venue.OKX, steps) == tables


@pytest.mark.parametrize("lowest", [0, "0", False])
async def test_a_table_without_its_lowest_step_is_refused(lowest: Json) -> None:
    marked = [{**each, "isLowestRisk": 1 if place == 0 else lowest} for place, each in enumerate(BYBIT_STEPS)]
    assert await live_tables(Venue.BYBIT, marked) == played_tables(Venue.BYBIT, marked) == 1
    assert await live_tables(Venue.BYBIT, marked[1:]) == 0
    assert "a lowest step" in played(Venue.BYBIT, bybit_answer(marked[1:])).poison


def bybit_names_after(steps: list[Json]) -> set[str]:
    reading = played(Venue.BYBIT, bybit_answer(steps))
    return {event.instrument for event in reading.events}


TWO_TABLES = [*BYBIT_STEPS, *({**each, "symbol": "FETUSDT"} for each in BYBIT_STEPS)]


@pytest.mark.parametrize("nameless", ["", None])
@pytest.mark.parametrize(("place", "left"), [(0, {"FETUSDT"}), (2, {"FETUSDT"}), (3, {"WLDUSDT"}), (5, {"WLDUSDT"})])
def test_a_nameless_step_between_two_tables_is_of_the_one_that_it_fits(
    place: int, left: set[str], nameless: str | None
) -> None:
    assert bybit_names_after(TWO_TABLES) == {"WLDUSDT", "FETUSDT"}
    assert bybit_names_after(spoilt_at(TWO_TABLES, place, symbol=nameless)) == left


def test_a_first_step_that_is_missing_shows_in_those_after_it() -> None:
    marked = [{**each, "isLowestRisk": int(place % 3 == 0)} for place, each in enumerate(TWO_TABLES)]
    assert bybit_names_after(marked) == {"WLDUSDT", "FETUSDT"}
    assert bybit_names_after(spoilt_at(marked, 3, symbol="", riskLimitValue="x")) == {"WLDUSDT"}


def spoilt_at(steps: list[Json], place: int, **fields: Json) -> list[Json]:
    return [*steps[:place], steps[place] | fields, *steps[place + 1 :]]


NAMELESS = [limit("400", "0.04", 10, symbol=""), limit("100", "0.01", 50, symbol=""), limit("9", "0.01", 50, symbol="")]


@pytest.mark.parametrize("place", [0, 3, 6])
@pytest.mark.parametrize("junk", [None, 5, [], {}, *NAMELESS])
def test_a_nameless_row_that_fits_no_table_costs_none(place: int, junk: Json) -> None:
    steps = [*TWO_TABLES[:place], junk, *TWO_TABLES[place:]]
    assert bybit_names_after(steps) == {"WLDUSDT", "FETUSDT"}


@pytest.mark.parametrize(
    "table", [["x", {"marginTiers": [{"lowerBound": "0", "maxLeverage": 5}]}], [51, {"marginTiers": []}]]
)
def test_a_coin_whose_table_cannot_be_read_has_no_tiers(table: Json) -> None:
    coins = [{"name": "WLD", "maxLeverage": 10, "marginTableId": 51}, {"name": "FET", "maxLeverage": 10}]
    reading = played(Venue.HYPERLIQUID, {"universe": coins, "marginTables": [table]})
    assert [(type(event).__name__, event.symbol) for event in reading.events] == [
        ("Contract", "WLD"),
        ("Contract", "FET"),
        ("MarginTier", "FET"),
    ]
    assert any("margin table 51" in refusal.reason for refusal in reading.refused)


def test_an_answers_own_time_is_checked_as_a_frames_is() -> None:
    listed = {"symbol": "WLDUSDT", "contractType": "LinearPerpetual", "status": "Trading"}
    for rows in ([listed], BYBIT_STEPS):
        reading = played(Venue.BYBIT, bybit_answer(rows, T + 10**10))
        assert not reading.events
        assert "a time that has come" in reading.poison


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["A", "A"], set()),
        (["A", "", "A"], {"A"}),
        (["", "A"], {"A"}),
        (["A", "", "B"], set()),
        (["A", "", "", "A", "B"], {"A"}),
        ([""], set()),
    ],
)
def test_whose_a_nameless_row_may_be(names: list[str], found: set[str]) -> None:
    assert around_nameless(names) == found


@pytest.mark.parametrize("stream", ["WLD@depth-x", "WLD@depth-", "WLD@depth-²", "WLD@depth-99"])
def test_a_book_of_no_known_aggregation_is_refused(stream: str) -> None:
    level = [{"px": "1", "sz": "1"}]
    reading = played(
        Venue.HYPERLIQUID, {"stream": stream, "data": {"coin": "WLD", "time": T, "levels": [level, level]}}
    )
    assert "significant figures" in reading.poison


class Failing:
    """A mapper with a defect."""

    def __init__(self, error: Exception) -> None:
        self._real = mapper_for(Venue.BINANCE)
        self._error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def map(self, frame: bytes, received_at: int) -> Any:
        yield from self._real.map(frame, received_at)
        raise self._error


def test_a_mappers_defect_costs_its_frame_alone_and_is_logged() -> None:
    row = {"symbol": "WLDUSDT", "openInterest": "5", "time": T}
    with capture_logs() as logs:
        reading = read_frame(Failing(ZeroDivisionError("by zero")), json.dumps(row).encode(), T)
    assert len(reading.events) == 1
    assert reading.poison == f"{UNEXPECTED}ZeroDivisionError: by zero"
    assert [(log["log_level"], log["error"]) for log in logs] == [("error", "ZeroDivisionError")]
    with pytest.raises(FatalError):
        read_frame(Failing(FatalError("stop")), json.dumps(row).encode(), T)
