"""Whatever arrives, a mapper yields sane events or says in one sentence why not; nothing else escapes it."""

import json
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.venues.registry import mapper_for
from liqheat.domain.market import Venue
from liqheat.platform.errors import PoisonMessage, SequenceGap
from tests.support.reading import sane_events
from tests.support.venue_cases import case_of

RECORDED = Path(__file__).parents[1] / "data" / "recorded"
VENUES = tuple(venue for venue in Venue if venue is not Venue.BINANCE)
VALUES = {"BTC-USDT-SWAP": 0.01, "ETH-USDT-SWAP": 0.1}

EXTRA: dict[Venue, list[str]] = {
    Venue.BYBIT: [
        '{"topic":"allLiquidation.WLDUSDT","ts":2,"data":[{"T":1,"s":"WLDUSDT","S":"Sell","v":"2846","p":"0.02"}]}',
        '{"retCode":0,"result":{"category":"linear","list":[{"symbol":"WLDUSDT","riskLimitValue":"5000",'
        '"maintenanceMargin":"0.02","initialMargin":"0.04","maxLeverage":"25","mmDeduction":""}]},"time":7}',
        '{"stream":"WLDUSDT@kline","data":{"retCode":0,"result":{"category":"linear","symbol":"WLDUSDT","list":['
        '["60000","2","3","1","2.5","4","8"]]},"time":1}}',
        '{"stream":"WLDUSDT@depth","data":{"retCode":0,"result":{"s":"WLDUSDT","b":[["1","2"]],"a":[["2","3"]],"ts":5}}}',
    ],
    Venue.OKX: [
        '{"arg":{"channel":"trades"},"data":[{"instId":"ETH-USDT-SWAP","tradeId":"8","px":"2","sz":"3","side":"sell",'
        '"ts":"1001"}]}',
        '{"arg":{"channel":"liquidation-orders","instType":"SWAP"},"data":[{"instId":"ETH-USDT-SWAP","details":['
        '{"bkPx":"2","posSide":"net","side":"buy","sz":"3","ts":"5"}]}]}',
        '{"code":"0","data":[{"instFamily":"ETH-USDT","tier":"1","minSz":"0","maxSz":"9","mmr":"0.1","maxLever":"5"}]}',
        '{"stream":"ETH-USDT-SWAP@history-candles","data":{"code":"0","data":[["60000","2","3","1","2","4","4","8"]]}}',
        '{"stream":"ETH-USDT-SWAP@depth","data":{"code":"0","data":[{"bids":[["1","2","1"]],"asks":[["2","3","1"]],'
        '"ts":"5"}]}}',
    ],
    Venue.HYPERLIQUID: [
        '{"channel":"activeAssetCtx","data":{"coin":"WLD","ctx":{"openInterest":"5","dayNtlVlm":"7","markPx":"2",'
        '"oraclePx":"2","funding":"0.1"}}}',
        '{"channel":"clearinghouseState","user":"0xa","data":{"time":5,"assetPositions":[{"position":{"coin":"WLD",'
        '"szi":"-2","entryPx":"3","liquidationPx":null,"leverage":{"type":"cross","value":5}}}]}}',
        '{"channel":"userFills","data":{"user":"0xa","fills":[{"coin":"WLD","px":"2","sz":"1","side":"A","time":1,'
        '"tid":1,"liquidation":{"liquidatedUser":"0xa"}}]}}',
        '{"stream":"WLD@candleSnapshot","data":[{"t":60000,"s":"WLD","o":"2","c":"2","h":"3","l":"1","v":"4"}]}',
        '{"stream":"WLD@depth-4","data":{"coin":"WLD","time":5,"levels":[[{"px":"1","sz":"2"}],[{"px":"2","sz":"3"}]]}}',
    ],
}


def frames_of(venue: Venue) -> list[Any]:
    recorded = [json.loads(path.read_text()) for path in sorted((RECORDED / venue.value).glob("*.json"))]
    small = [frame for frame in recorded if len(json.dumps(frame)) < 10_000]
    return small + [json.loads(text) for text in (*EXTRA.get(venue, ()), *case_of(venue).frames)]


FRAMES: dict[Venue, list[Any]] = {venue: frames_of(venue) for venue in VENUES}
ODD = st.sampled_from(
    [
        None,
        True,
        "",
        "x",
        "nan",
        "-1",
        "1e400",
        "0",
        0,
        -1,
        1.5,
        10**30,
        "9" * 40,
        [],
        {},
        ["1"],
        {"a": 1},
        "Buy",
        "BTC",
    ]
).map(deepcopy)


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every key and index below the root."""
    found = [path] if path else []
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, below in items:
        found += places(below, (*path, key))
    return found


@st.composite
def spoilt_frames(draw: st.DrawFn, venue: Venue) -> bytes:
    frame = deepcopy(draw(st.sampled_from(FRAMES[venue])))
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(places(frame) or [(0,)]))
        holder = frame
        for step in way:
            holder = holder[step]
        if draw(st.booleans()) or isinstance(holder, list):
            holder[last] = draw(ODD)
        else:
            del holder[last]
        if not frame:
            break
    return json.dumps(frame).encode()


@pytest.mark.parametrize("venue", VENUES, ids=str)
@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_spoilt_frames_are_refused_or_read_sanely(venue: Venue, data: st.DataObject) -> None:
    mapper = mapper_for(venue, contract_values=VALUES)
    for frame in (json.dumps(FRAMES[venue][0]).encode(), data.draw(spoilt_frames(venue))):
        with suppress(PoisonMessage, SequenceGap):
            for event in sane_events(mapper, frame, 1_700_000_000_000):
                assert event.venue is venue


@pytest.mark.parametrize("venue", VENUES, ids=str)
@given(frame=st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_refused_or_read_as_nothing(venue: Venue, frame: bytes) -> None:
    with suppress(PoisonMessage):
        assert list(mapper_for(venue).map(frame, 0)) == []
