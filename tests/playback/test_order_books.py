"""The documented order book of each venue through its mapper, as one depth event."""

from pathlib import Path

import pytest

from ingest.venues.interface import wrap
from ingest.venues.registry import mapper_for
from liqheat.domain.events import Depth
from liqheat.domain.market import Venue
from liqheat.domain.venues import VENUE_FACTS
from liqheat.platform.errors import PoisonMessage

RECORDED = Path(__file__).parents[1] / "data" / "recorded"
RECEIVED_AT = 1_800_000_000_000

# Venue, instrument, stream, file; then time, best bid, best ask, bids and asks (USD) within 10%.
BOOKS = [
    (
        *(Venue.BINANCE, "BTCUSDT", "depth", "binance/http_order_book"),
        *(1589436922972, 4.0, 4.000002, 4.0 * 431.0, 4.000002 * 12.0),
    ),
    (
        *(Venue.BYBIT, "BTCUSDT", "depth", "bybit/http_order_book"),
        *(1716863719031, 65485.47, 65557.7, 65485.47 * 47.081829, 65557.7 * 16.606555),
    ),
    (
        *(Venue.OKX, "BTC-USDT-SWAP", "depth", "okx/http_order_book_full"),
        *(1629966436396, 41006.3, 41006.8, 41006.3 * 0.30178218 * 0.01, 41006.8 * 0.60038921 * 0.01),
    ),
    (
        *(Venue.HYPERLIQUID, "BTC", "depth-5", "hyperliquid/http_l2_book"),
        *(1754450974231, 113377.0, 113397.0),
        *(113377.0 * 7.6699 + 113376.0 * 4.13714 + 113375.0 * 0.43698, 113397.0 * 0.11543),
    ),
]


@pytest.mark.parametrize(("venue", "name", "stream", "path", "at", "bid", "ask", "bids", "asks"), BOOKS)
def test_a_documented_book_is_one_depth_event(
    venue: Venue, name: str, stream: str, path: str, at: int, bid: float, ask: float, bids: float, asks: float
) -> None:
    mapper = mapper_for(venue, contract_values={"BTC-USDT-SWAP": 0.01})
    frame = wrap(f"{name}@{stream}", (RECORDED / f"{path}.json").read_bytes())
    (depth,) = list(mapper.map(frame, RECEIVED_AT))
    assert isinstance(depth, Depth)
    assert (depth.venue, depth.symbol, depth.instrument, depth.event_time) == (venue, "BTC", name, at)
    assert (depth.best_bid, depth.best_ask, depth.mid_price) == (bid, ask, (bid + ask) / 2)
    assert (depth.bid_10_usd, depth.ask_10_usd) == pytest.approx((bids, asks))


def hyperliquid_book(time: int, *levels: tuple[float, float]) -> bytes:
    bids = ",".join(f'{{"px":"{price}","sz":"{size}","n":1}}' for price, size in levels)
    asks = ",".join(f'{{"px":"{200 - price}","sz":"{size}","n":1}}' for price, size in levels)
    return f'{{"coin":"BTC","time":{time},"levels":[[{bids}],[{asks}]]}}'.encode()


def test_hyperliquids_aggregations_are_joined_when_the_finest_comes() -> None:
    mapper = mapper_for(Venue.HYPERLIQUID)
    fine = [(99.99 - 0.01 * number, 1.0) for number in range(20)]
    coarse = [(99.0 - number, 500.0) for number in range(20)]
    assert list(mapper.map(wrap("BTC@depth-4", hyperliquid_book(1_000, *fine)), RECEIVED_AT))
    assert list(mapper.map(wrap("BTC@depth-2", hyperliquid_book(2_000, *coarse)), RECEIVED_AT)) == []
    (depth,) = list(mapper.map(wrap("BTC@depth-4", hyperliquid_book(3_000, *fine)), RECEIVED_AT))
    assert isinstance(depth, Depth)
    assert depth.event_time == 3_000
    assert depth.bid_0_1_usd == pytest.approx(sum(price for price, _ in fine if price >= 99.9 - 1e-9))
    assert depth.bid_2_usd == pytest.approx(500.0 * (99.0 + 98.0))
    assert depth.bid_reach == pytest.approx(20.0)
    # A coarse reading of minutes ago says nothing of now.
    (later,) = list(mapper.map(wrap("BTC@depth-4", hyperliquid_book(400_000, *fine)), RECEIVED_AT))
    assert isinstance(later, Depth)
    assert later.bid_reach == pytest.approx(0.2)


@pytest.mark.parametrize("venue", Venue)
def test_a_book_of_another_shape_is_poison(venue: Venue) -> None:
    stream = "depth-4" if venue is Venue.HYPERLIQUID else "depth"
    mapper = mapper_for(venue, contract_values={"BTC-USDT-SWAP": 0.01})
    frame = wrap(f"{VENUE_FACTS[venue].name_of('BTC')}@{stream}", b'{"bids": "none"}')
    with pytest.raises(PoisonMessage):
        list(mapper.map(frame, RECEIVED_AT))
