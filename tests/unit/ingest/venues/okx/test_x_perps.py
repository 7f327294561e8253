"""OKX's X-Perps: perpetuals among its futures, with a family and index of their own; read where settings want them."""

import json
from typing import Any

import pytest

from ingest.sanity import read_frame
from ingest.universe import choose
from ingest.venues.interface import Request
from ingest.venues.okx.feed import OkxFeed
from ingest.venues.okx.mapper import OkxMapper
from liqheat.domain.events import Event, Liquidation, MarginTier, Mark, OpenInterest, Trade, Turnover
from liqheat.domain.instruments import Instrument, parse_instrument
from liqheat.domain.market import Venue
from liqheat.platform.settings import Settings

NOW = 1_795_000_000_000
X_PERP = "AAPL-USD_UM_XPERP-310613"
AAPL = Instrument(Venue.OKX, X_PERP, "AAPL", contract_value=0.01)
BTC = Instrument(Venue.OKX, "BTC-USDT-SWAP", "BTC", contract_value=0.01)
ROW = {"ctMult": "1", "ctType": "linear", "tickSz": "0.1", "lotSz": "1", "state": "live"}
LISTED: dict[str, list[dict[str, Any]]] = {
    "SWAP": [{**ROW, "instType": "SWAP", "instId": "BTC-USDT-SWAP", "ctVal": "0.01", "ruleType": "normal"}],
    "FUTURES": [
        {**ROW, "instType": "FUTURES", "instId": X_PERP, "ctVal": "0.01", "ruleType": "xperp", "settleCcy": "USD"},
        {**ROW, "instType": "FUTURES", "instId": "BTC-USD_UM_XPERP-310404", "ctVal": "0.0001", "ruleType": "xperp"},
        {**ROW, "instType": "FUTURES", "instId": "BTC-USDT-261225", "ctVal": "0.01", "ruleType": "normal"},
        {**ROW, "instType": "FUTURES", "instId": "BTC-USD-261225", "ctVal": "100", "ctType": "inverse"},
        {"instType": "FUTURES", "instId": "", "instFamily": "OP-USD_UM_XPERP", "state": "preopen"},
    ],
}


class Venues:
    """A REST client that knows what is listed, marks, and tiers of every family."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    async def fetch(self, request: Request, attempts: int = 5) -> bytes:
        self.asked.append(request)
        query = request.parameters
        if request.url.endswith("instruments"):
            data: list[Any] = LISTED[query["instType"]]
        elif request.url.endswith("mark-price"):
            data = [{"instId": row["instId"], "markPx": "200", "ts": str(NOW)} for row in LISTED[query["instType"]][:1]]
        else:
            step = {"tier": "1", "minSz": "0", "maxSz": "900", "mmr": "0.01", "maxLever": "10"}
            data = [{**step, "instFamily": family} for family in query["instFamily"].split(",")]
        return json.dumps({"code": "0", "data": data}).encode()


def feed(*, x_perps: bool) -> OkxFeed:
    return OkxFeed(Settings(okx={"x_perps": x_perps}))


def events_of(mapper: OkxMapper, *frames: Any) -> list[Event]:
    events: list[Event] = []
    for frame in frames:
        reading = read_frame(mapper, json.dumps(frame).encode(), NOW)
        assert not list(reading.problems())
        events += reading.events
    return events


def channel(name: str, row: dict[str, Any]) -> dict[str, Any]:
    return {"arg": {"channel": name}, "data": [{"ts": str(NOW), **row}]}


async def test_they_are_listed_where_the_settings_want_them() -> None:
    rest = Venues()
    swaps = await feed(x_perps=False).listings(rest, NOW)
    assert [request.parameters["instType"] for request in rest.asked] == ["SWAP"]
    assert [contract.instrument for contract in swaps.contracts] == ["BTC-USDT-SWAP"]

    both = await feed(x_perps=True).listings(rest, NOW)
    found = {contract.instrument: (contract.symbol, contract.contract_value) for contract in both.contracts}
    assert found == {
        "BTC-USDT-SWAP": ("BTC", 0.01),
        X_PERP: ("AAPL", 0.01),
        "BTC-USD_UM_XPERP-310404": ("BTC", 0.0001),
    }
    assert [refusal.instrument for refusal in both.refused] == ["unknown"]
    assert both.left_out == {"BTC-USDT-261225": "a dated future", "BTC-USD-261225": "inverse"}
    # One in USDT comes first; an X-Perp is read where there is no other.
    assert choose(Venue.OKX, both, ("btc", "AAPL")).instruments == (BTC, AAPL)


def test_a_socket_subscribes_to_their_index_and_liquidations() -> None:
    (connection,) = feed(x_perps=True).connections([AAPL, BTC])
    arguments = [row for message in connection.subscriptions for row in json.loads(message)["args"]]
    assert {"channel": "trades", "instId": X_PERP} in arguments
    assert [row["instId"] for row in arguments if row["channel"] == "index-tickers"] == ["AAPL-USD", "BTC-USDT"]
    liquidations = [row["instType"] for row in arguments if row["channel"] == "liquidation-orders"]
    assert liquidations == ["SWAP", "FUTURES"]
    (turnover,) = (poll for poll in feed(x_perps=True).polls([AAPL, BTC]) if poll.name == "turnover")
    assert [request.parameters["instType"] for request in turnover.requests] == ["SWAP", "FUTURES"]


async def test_their_margin_tiers_are_asked_for_by_type_and_family() -> None:
    rest = Venues()
    tables = await feed(x_perps=True).margin_tiers([AAPL, BTC], rest)
    assert set(tables) == {X_PERP, "BTC-USDT-SWAP"}
    assert [(request.parameters["instType"], request.parameters.get("instFamily")) for request in rest.asked] == [
        ("SWAP", None),
        ("SWAP", "BTC-USDT"),
        ("FUTURES", None),
        ("FUTURES", "AAPL-USD_UM_XPERP"),
    ]


@pytest.mark.parametrize("wanted", [[AAPL, BTC], None])
def test_their_frames_become_events(wanted: list[Instrument] | None) -> None:
    mapper = OkxMapper(wanted)
    order = {"bkPx": "190", "sz": "5", "ts": str(NOW), "posSide": "long", "side": "sell"}
    step = {"instFamily": "AAPL-USD_UM_XPERP", "tier": "1", "minSz": "0", "maxSz": "9", "mmr": "0.1", "maxLever": "5"}
    events = events_of(
        mapper,
        {"code": "0", "data": LISTED["FUTURES"][:1]},
        channel("index-tickers", {"instId": "AAPL-USD", "idxPx": "201"}),
        channel("mark-price", {"instId": X_PERP, "instType": "FUTURES", "markPx": "200"}),
        channel("trades", {"instId": X_PERP, "tradeId": "1", "px": "200", "sz": "3", "side": "buy"}),
        channel("funding-rate", {"instId": X_PERP, "fundingRate": "0.0001", "fundingTime": str(NOW)}),
        channel("open-interest", {"instId": X_PERP, "oi": "500", "oiCcy": "5"}),
        channel("liquidation-orders", {"instId": X_PERP, "instFamily": "AAPL-USD_UM_XPERP", "details": [order]}),
        {"code": "0", "data": [{"instId": X_PERP, "last": "200", "volCcy24h": "10", "ts": str(NOW)}]},
        {"code": "0", "data": [step]},
    )
    assert {event.symbol for event in events} == {"AAPL"}
    first, funded = (event for event in events if isinstance(event, Mark))
    assert (first.mark_price, first.index_price, funded.funding_rate) == (200.0, 201.0, 0.0001)
    (trade,) = (event for event in events if isinstance(event, Trade))
    assert (trade.price, trade.quantity) == (200.0, 0.03)
    assert [event.quantity for event in events if isinstance(event, OpenInterest)] == [5.0]
    assert [event.quantity for event in events if isinstance(event, Liquidation)] == [0.05]
    assert [event.quote_volume for event in events if isinstance(event, Turnover)] == [2_000.0]
    assert len([event for event in events if isinstance(event, MarginTier)]) == 1


def test_another_instrument_of_a_swaps_family_is_not_the_swap() -> None:
    spot = channel("mark-price", {"instId": "BTC-USDT", "instType": "MARGIN", "markPx": "90000"})
    assert events_of(OkxMapper([BTC]), spot) == []


@pytest.mark.parametrize("name", ["BTC-USD_UM-SWAP", "BTC-USD_UM-261225", "BTC-USD_UM_XPERP", "BTC-USD-XPERP-310404"])
def test_other_names_of_futures_are_no_perpetuals(name: str) -> None:
    assert parse_instrument(Venue.OKX, name) is None
