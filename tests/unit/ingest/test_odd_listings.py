"""Listings that cannot be what the venue lists: rows without a type, answers of another kind, lists cut short."""

import asyncio
import contextlib
import json
from collections import Counter
from typing import Any

import aiohttp
import pytest

from ingest.batching import BatchPolicy
from ingest.publisher import Publisher
from ingest.sanity import read_frame
from ingest.service import VenueService
from ingest.universe import choose, with_absent
from ingest.venues.binance.feed import BinanceFeed
from ingest.venues.interface import Listings, Request
from ingest.venues.registry import feed_for, mapper_for
from liqheat.domain.events import Contract
from liqheat.domain.market import Venue
from liqheat.platform.clock import SystemClock
from liqheat.platform.errors import PoisonMessage
from liqheat.platform.settings import Ingest, Settings
from tests.support.kept_messages import KeptMessages
from tests.support.waiting import until
from tests.unit.ingest.test_service import Kept, Listing

NOW = 1_795_000_000_000
OF_ANOTHER_KIND: list[Any] = [{"errors": [{"msg": "x"}]}, {}, [], "Too many requests"]


class Answering:
    """A REST client that gives its answers in turn; the last one repeats."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[Request] = []

    async def fetch(self, request: Request, attempts: int = 5) -> bytes:
        self.asked.append(request)
        return json.dumps(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]).encode()


def binance(**fields: Any) -> dict[str, Any]:
    row = {"symbol": "WLDUSDT", "contractType": "PERPETUAL", "status": "TRADING", "quoteAsset": "USDT"}
    return {"symbols": [row | fields]}


def bybit(**fields: Any) -> dict[str, Any]:
    row = {"symbol": "WLDUSDT", "contractType": "LinearPerpetual", "status": "Trading"}
    return {"retCode": 0, "result": {"category": "linear", "list": [row | fields], "nextPageCursor": ""}}


def okx(**fields: Any) -> dict[str, Any]:
    row = {"instId": "WLD-USDT-SWAP", "instType": "SWAP", "ctType": "linear", "ctVal": "1", "state": "live"}
    return {"code": "0", "data": [row | fields]}


async def in_use_after(venue: Venue, *bodies: Any) -> list[dict[str, str]]:
    """Return the instruments in use with their status after each reading of the listing."""
    absent: Counter[str] = Counter()
    in_use: dict[str, Contract] = {}
    found = []
    for body in bodies:
        listings = await feed_for(venue, Settings()).listings(Answering(body), NOW)
        universe = choose(venue, with_absent(listings, in_use, absent), ("WLD",), in_use)
        in_use = {item.name: contract for item, contract in universe.contracts.items()}
        found.append({name: contract.status for name, contract in in_use.items()})
    return found


@pytest.mark.parametrize("absent", ["", None])
@pytest.mark.parametrize(
    ("venue", "body_of", "field"),
    [
        (Venue.BINANCE, binance, "contractType"),
        (Venue.BINANCE, binance, "quoteAsset"),
        (Venue.BYBIT, bybit, "contractType"),
        (Venue.OKX, okx, "ctType"),
    ],
)
async def test_a_row_that_lacks_its_type_leaves_the_contract_as_it_was(
    venue: Venue, body_of: Any, field: str, absent: str | None
) -> None:
    odd = body_of(**{field: absent})
    found = await in_use_after(venue, body_of(), odd, odd, odd, body_of())
    assert found == [found[0]] * 5
    assert set(found[0].values()) == {"trading"}
    (refusal,) = (await feed_for(venue, Settings()).listings(Answering(odd), NOW)).refused
    assert refusal.instrument in found[0]


@pytest.mark.parametrize(("venue", "body"), [(Venue.BYBIT, bybit(contractType="")), (Venue.OKX, okx(ctType=""))])
def test_a_mapper_refuses_a_listed_row_that_lacks_its_type(venue: Venue, body: Any) -> None:
    reading = read_frame(mapper_for(venue), json.dumps(body).encode(), NOW)
    assert reading.events == []
    assert "Expected a contract type" in reading.poison


async def test_a_binance_contract_before_its_time_may_have_no_type() -> None:
    listings = await BinanceFeed(Settings()).listings(
        Answering(binance(contractType="", status="PENDING_TRADING")), NOW
    )
    assert (listings.left_out, listings.refused) == ({"WLDUSDT": "no contract type"}, ())


@pytest.mark.parametrize(
    ("venue", "body_of", "fields"),
    [
        (Venue.BINANCE, binance, {"quoteAsset": "BTC"}),
        (Venue.BYBIT, bybit, {"contractType": "LinearFutures"}),
        (Venue.OKX, okx, {"ctType": "inverse"}),
    ],
)
async def test_a_contract_that_is_left_out_once_stays_and_twice_is_gone(
    venue: Venue, body_of: Any, fields: dict[str, str]
) -> None:
    other = body_of(**fields)
    once, back = await in_use_after(venue, body_of(), other), await in_use_after(venue, body_of(), other, body_of())
    assert once[1] == once[0] == back[2]
    assert (await in_use_after(venue, body_of(), other, other))[-1] == {}


@pytest.mark.parametrize(
    ("venue", "answer"),
    [
        (Venue.BYBIT, {"ret_code": 10006, "ret_msg": "Too many visits!"}),
        (Venue.BYBIT, {"retCode": 0, "result": {}}),
        (Venue.BYBIT, {"retCode": 0}),
        (Venue.BYBIT, {"retCode": 0, "result": {"list": []}}),
        (Venue.OKX, {"code": "0", "data": []}),
        (Venue.OKX, {"code": "0"}),
        (Venue.OKX, {"code": "0", "data": [{"x": 1}, 7]}),
        (Venue.BINANCE, {"symbols": []}),
        (Venue.BINANCE, {"symbols": [{"code": -1}]}),
        (Venue.HYPERLIQUID, {"universe": [], "marginTables": []}),
        *((venue, answer) for venue in Venue for answer in OF_ANOTHER_KIND),
    ],
)
async def test_an_answer_without_rows_is_no_listing(venue: Venue, answer: Any) -> None:
    with pytest.raises(PoisonMessage):
        await feed_for(venue, Settings()).listings(Answering(answer), NOW)


async def test_a_listing_that_goes_round_or_never_ends_is_given_up() -> None:
    feed = feed_for(Venue.BYBIT, Settings())

    def page(cursor: str) -> dict[str, Any]:
        found = bybit()
        found["result"]["nextPageCursor"] = cursor
        return found

    rest = Answering(page("a"), page("b"), page("a"))
    with pytest.raises(PoisonMessage, match="twice"):
        await feed.listings(rest, NOW)
    assert len(rest.asked) <= 4
    rest = Answering(*(page(str(number)) for number in range(1_000)))
    with pytest.raises(PoisonMessage, match="pages"):
        await feed.listings(rest, NOW)


def contracts(*names: str) -> tuple[Contract, ...]:
    return tuple(Contract(Venue.BINANCE, name.removesuffix("USDT"), name, NOW, "trading") for name in names)


def test_a_listing_cut_short_is_believed_only_when_it_says_so_for_some_time() -> None:
    names = ("TAOUSDT", "WLDUSDT", "FETUSDT", "INJUSDT", "SUIUSDT")
    in_use = {contract.instrument: contract for contract in contracts(*names)}
    short, absent = Listings(contracts("TAOUSDT")), Counter[str]()
    for _ in range(9):
        with pytest.raises(PoisonMessage, match="lacks 4 of 5"):
            with_absent(short, in_use, absent)
    assert [each.instrument for each in with_absent(short, in_use, absent).contracts] == ["TAOUSDT"]
    with_absent(Listings(contracts(*names)), in_use, absent)
    assert not +absent, "a whole listing forgets what the others said"
    fewer = Listings(contracts(*names[:3]))
    assert len(with_absent(fewer, in_use, absent).contracts) == 5, "two of five may end at once"
    assert len(with_absent(fewer, in_use, absent).contracts) == 3


async def test_a_listing_cut_short_lets_no_market_go_while_running() -> None:
    settings = Settings(
        binance={"websocket_url": "http://127.0.0.1:9"},
        ingest=Ingest(symbols=("all",), reference_interval=0.05, open_interest_interval=30.0, depth=False),
    )
    names = ("TAOUSDT", "WLDUSDT", "FETUSDT", "INJUSDT")
    rest, kept = Listing(*names), Kept()
    async with Publisher(kept, BatchPolicy(age=0.01, quiet_age=0.01)) as publisher, aiohttp.ClientSession() as session:
        service = VenueService(BinanceFeed(settings), settings.ingest, publisher, rest, session, SystemClock())
        task = asyncio.create_task(service.run())
        await until(lambda: len(kept.contracts()) >= 8)
        rest.listed = ("TAOUSDT",)
        await asyncio.sleep(0.3)
        rest.listed = names
        count = len(kept.contracts())
        await until(lambda: len(kept.contracts()) >= count + 8)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert {status for _, status in kept.contracts()} == {"trading"}


async def test_a_row_that_a_listing_leaves_out_is_a_dead_letter_with_its_bytes() -> None:
    settings = Settings(binance={"websocket_url": "http://127.0.0.1:9"}, ingest=Ingest(symbols=("all",), depth=False))
    odd = binance(symbol="FETUSDT", contractType="")["symbols"]
    rest, kept = Answering({"symbols": [*binance()["symbols"], *odd]}), KeptMessages()
    async with Publisher(kept, BatchPolicy(age=0.01, quiet_age=0.01)) as publisher, aiohttp.ClientSession() as session:
        service = VenueService(BinanceFeed(settings), settings.ingest, publisher, rest, session, SystemClock())
        task = asyncio.create_task(service.run())
        await until(lambda: kept.letters > 0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    letters = [message["value"] for topic, message in kept.messages if topic == "dead-letters"]
    assert [letter for letter in letters if b"FETUSDT" in letter]


def hyperliquid(**fields: Any) -> dict[str, Any]:
    return {"universe": [{"name": "WLD", "maxLeverage": 10, "szDecimals": 1} | fields], "marginTables": []}


def latest(name: str) -> dict[str, Any]:
    row = {"status": "ACTIVE", "initialMarginFraction": "0.1", "maintenanceMarginFraction": "0.05"}
    return {"markets": {name: row}}


@pytest.mark.parametrize(
    ("venue", "body"),
    [
        (Venue.BINANCE, binance(symbol="")),
        (Venue.BYBIT, bybit(symbol="")),
        (Venue.OKX, okx(instId="")),
        (Venue.HYPERLIQUID, hyperliquid(name="")),
        (list(Venue)[-1], latest("")),
    ],
)
async def test_a_listing_of_nothing_but_nameless_rows_is_none(venue: Venue, body: Any) -> None:
    with pytest.raises(PoisonMessage, match="names no instrument: Expected the name of an instrument"):
        await feed_for(venue, Settings()).listings(Answering(body), NOW)


async def test_a_contract_value_in_usd_is_no_number_of_coins() -> None:
    for currency in ("USD", "USDT"):
        body = okx(ctVal="100", ctValCcy=currency)
        listings = await feed_for(Venue.OKX, Settings()).listings(Answering(body), NOW)
        assert not listings.contracts
        assert listings.refused[0].reason == f"Expected a contract value in coins, was '100' {currency}"
    for coin in ("WLD", "", None):
        listings = await feed_for(Venue.OKX, Settings()).listings(Answering(okx(ctValCcy=coin)), NOW)
        assert [contract.contract_value for contract in listings.contracts] == [1.0]
    stable = okx(instId="USDC-USDT-SWAP", ctVal="10", ctValCcy="USDC")
    listings = await feed_for(Venue.OKX, Settings()).listings(Answering(stable), NOW)
    assert [contract.contract_value for contract in listings.contracts] == [10.0]


async def test_a_size_step_that_is_null_costs_no_coin() -> None:
    listings = await feed_for(Venue.HYPERLIQUID, Settings()).listings(Answering(hyperliquid(szDecimals=None)), NOW)
    (contract,) = listings.contracts
    assert contract.quantity_step != contract.quantity_step
