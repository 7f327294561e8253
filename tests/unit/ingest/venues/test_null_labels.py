"""What says nothing costs nothing: labels that are null, and one row where a list is documented."""

import json
from typing import Any

import pytest

from ingest.event_json import event_line
from ingest.sanity import read_frame
from ingest.venues.registry import mapper_for
from liqheat.domain.market import Venue
from tests.support.fuzzing import CONTRACT_VALUES, NOW, frames_of

LATEST = list(Venue)[-1]
ENVELOPES: dict[Venue, tuple[str, ...]] = {
    Venue.BINANCE: ("stream", "data", "id", "error", "code", "msg"),
    Venue.BYBIT: ("stream", "topic", "op", "ret_msg", "success", "type", "ts", "time", "retMsg"),
    Venue.OKX: ("stream", "event", "code", "msg", "arg"),
    Venue.HYPERLIQUID: ("stream", "user"),
    LATEST: ("stream", "type", "message"),
}
"""Fields around a frame's rows that may be absent from it."""
UNNEEDED = frozenset(
    {"status", "state", "ctValCcy", "settleCcy", "instType", "filters", "priceFilter", "lotSizeFilter"}
)
"""Fields of listings without which a row says as much of what it is."""


def events_of(venue: Venue, frame: Any) -> tuple[list[bytes], list[str]]:
    reading = read_frame(mapper_for(venue, contract_values=CONTRACT_VALUES), json.dumps(frame).encode(), NOW)
    return [event_line(event) for event in reading.events], list(reading.problems())


@pytest.mark.parametrize("venue", list(Venue))
def test_a_label_that_is_null_says_as_little_as_none(venue: Venue) -> None:
    tried = 0
    for rows, wrap in frames_of(venue, 1):
        frame = wrap(rows)
        if not isinstance(frame, dict):
            continue
        expected = events_of(venue, frame)
        for name in ENVELOPES[venue]:
            if name not in frame:
                assert events_of(venue, {**frame, name: None}) == expected, name
                tried += 1
    assert tried


@pytest.mark.parametrize("venue", [Venue.BINANCE, Venue.BYBIT, Venue.OKX])
def test_a_listed_contract_is_read_though_a_label_of_it_is_null(venue: Venue) -> None:
    tried = 0
    for rows, wrap in frames_of(venue, 1):
        if not {"contractType", "ctType"} & set(rows[0]):
            continue
        for name in UNNEEDED:
            odd = [{**rows[0], name: None}, *rows[1:]]
            absent = [{key: value for key, value in rows[0].items() if key != name}, *rows[1:]]
            events, problems = events_of(venue, wrap(odd))
            assert (events, problems) == events_of(venue, wrap(absent)), name
            assert len(events) == len(rows)
            tried += 1
    assert tried


@pytest.mark.parametrize(
    ("venue", "frame"),
    [
        (
            Venue.BYBIT,
            {"topic": "allLiquidation.WLDUSDT", "ts": NOW,
             "data": [{"T": NOW, "s": "WLDUSDT", "S": "Sell", "v": "5", "p": "1"}]},
        ),
        (
            Venue.BYBIT,
            {"topic": "publicTrade.WLDUSDT", "ts": NOW,
             "data": [{"T": NOW, "s": "WLDUSDT", "S": "Sell", "v": "5", "p": "1", "i": "x"}]},
        ),
        (Venue.BYBIT, {"topic": "tickers.WLDUSDT", "ts": NOW, "data": [{"symbol": "WLDUSDT", "markPrice": "1"}]}),
        (
            Venue.BYBIT,
            {"topic": "liquidation.WLDUSDT", "ts": NOW,
             "data": [{"symbol": "WLDUSDT", "side": "Buy", "size": "5", "price": "1", "updatedTime": NOW}]},
        ),
        (
            Venue.OKX,
            {"arg": {"channel": "mark-price"}, "data": [{"instId": "WLD-USDT-SWAP", "markPx": "1", "ts": str(NOW)}]},
        ),
        (
            Venue.OKX,
            {"arg": {"channel": "liquidation-orders"}, "data": [{"instId": "WLD-USDT-SWAP", "details": [
                {"bkPx": "1", "sz": "5", "ts": str(NOW), "posSide": "long", "side": "sell"}]}]},
        ),
        (
            Venue.HYPERLIQUID,
            {"channel": "trades", "data": [{"coin": "WLD", "side": "B", "px": "1", "sz": "5", "time": NOW, "tid": 1}]},
        ),
        (
            LATEST,
            {"type": "channel_data", "channel": "v4_trades", "id": "WLD-USD", "contents": {"trades": [
                {"side": "BUY", "size": "1", "price": "1", "id": "a", "createdAt": "2026-11-18T08:20:00.000Z"}]}},
        ),
    ],
)  # fmt: skip
def test_one_row_may_stand_for_a_list_of_one(venue: Venue, frame: dict[str, Any]) -> None:
    rows = frame.get("data") or frame["contents"]["trades"]
    one = {**frame, "data": rows[0]} if "data" in frame else {**frame, "contents": {"trades": rows[0]}}
    events, problems = events_of(venue, frame)
    assert events
    assert not problems
    assert events_of(venue, one) == (events, [])
