"""What a service makes of listings and margin tiers that nobody foresaw: it says so, and asks again."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
from structlog.testing import capture_logs

from ingest.batching import BatchPolicy
from ingest.publisher import Publisher
from ingest.service import VenueService
from ingest.venues.hyperliquid.mapper import HyperliquidMapper
from ingest.venues.hyperliquid.reference import tables_of, universe_of
from ingest.venues.interface import Listings, Request, Rest, VenueFeed
from ingest.venues.registry import feed_for
from ingest.venues.wire import Report
from liqheat.domain.events import Contract, Kind, MarginTier
from liqheat.domain.instruments import Instrument
from liqheat.domain.margin_tiers import MarginTiers
from liqheat.domain.market import Venue
from liqheat.domain.venues import VENUE_FACTS
from liqheat.platform.clock import SystemClock
from liqheat.platform.settings import Ingest, Settings
from tests.support.kept_messages import KeptMessages
from tests.support.waiting import until

COINS = ("TAO", "WLD")


def contract_of(venue: Venue, coin: str) -> Contract:
    name = VENUE_FACTS[venue].name_of(coin)
    return Contract(venue, coin, name, 1_700_000_000_000, "trading", tick_size=0.1, contract_value=1.0)


class NoRest:
    """A venue that answers everything with nothing."""

    async def fetch(self, request: Request, attempts: int = 5) -> bytes:
        return b"{}"


@asynccontextmanager
async def running(feed: VenueFeed, settings: Settings, kept: KeptMessages) -> AsyncIterator[VenueService]:
    async with Publisher(kept, BatchPolicy(age=0.01, quiet_age=0.01)) as publisher, aiohttp.ClientSession() as session:
        service = VenueService(feed, settings.ingest, publisher, NoRest(), session, SystemClock())
        task = asyncio.create_task(service.run())
        try:
            yield service
            assert not task.done(), "the service has ended"
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def odd_feed(venue: Venue, monkeypatch: pytest.MonkeyPatch, contracts: Sequence[Contract]) -> tuple[Any, Settings]:
    """Return a feed without sockets, polls and tasks, whose two reference readings fail the first two times each."""
    settings = Settings(ingest=Ingest(symbols=("all",), reference_interval=0.05))
    feed: Any = feed_for(venue, settings)
    failures = {"listing": 2, "tiers": 2}

    async def listings(rest: Rest, event_time: int) -> Listings:
        if failures["listing"]:
            failures["listing"] -= 1
            raise ZeroDivisionError("a listing that nobody foresaw")
        return Listings(tuple(contracts))

    async def margin_tiers(instruments: Sequence[Instrument], rest: Rest) -> Mapping[str, MarginTiers]:
        if failures["tiers"]:
            failures["tiers"] -= 1
            raise KeyError("a table that nobody foresaw")
        return {instrument.name: MarginTiers.single(10, 0.05) for instrument in instruments}

    monkeypatch.setattr(feed, "listings", listings)
    monkeypatch.setattr(feed, "margin_tiers", margin_tiers)
    for nothing in ("connections", "polls", "tasks"):
        monkeypatch.setattr(feed, nothing, lambda _: ())
    return feed, settings


@pytest.mark.parametrize("venue", Venue)
async def test_an_unforeseen_error_of_a_reference_reading_is_said_with_its_type_and_tried_again(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.service.BackOff", lambda *_: type("Soon", (), {"next": lambda self: 0.01})())
    contracts = [contract_of(venue, coin) for coin in COINS]
    feed, settings = odd_feed(venue, monkeypatch, contracts)
    kept = KeptMessages()
    with capture_logs() as lines:
        async with running(feed, settings, kept):
            await until(lambda: len(kept.rows(Kind.MARGIN_TIERS)) >= len(COINS))
    assert {row["symbol"] for row in kept.rows(Kind.MARGIN_TIERS)} <= set(COINS)
    errors = [line["error"] for line in lines if "error" in line]
    assert errors.count("ZeroDivisionError: a listing that nobody foresaw") == 2
    assert errors.count("KeyError: 'a table that nobody foresaw'") == 2


async def test_an_insane_contract_is_left_out_with_its_reason_and_its_neighbour_is_published(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fine, odd = (contract_of(Venue.BYBIT, coin) for coin in COINS)
    contracts = [fine, msgspec.structs.replace(odd, tick_size=1e12)]
    feed, settings = odd_feed(Venue.BYBIT, monkeypatch, contracts)
    monkeypatch.setattr("ingest.service.BackOff", lambda *_: type("Soon", (), {"next": lambda self: 0.01})())
    kept = KeptMessages()
    with capture_logs() as lines:
        async with running(feed, settings, kept):
            await until(lambda: len(kept.rows(Kind.MARGIN_TIERS)) >= len(COINS))
    assert {row["symbol"] for row in kept.rows(Kind.CONTRACTS)} == {fine.symbol}
    (said,) = [line for line in lines if line.get("stream") == "listing"]
    assert (said["instrument"], said["reason"][:18]) == (odd.instrument, "Expected tick_size")


META = {
    "universe": [
        {"name": "WLD", "maxLeverage": 10, "szDecimals": 1, "marginTableId": 51},
        {"name": "ENA", "maxLeverage": 10, "szDecimals": 1},
    ],
    "marginTables": [[51, {"marginTiers": []}]],
}


def test_a_margin_table_without_tiers_costs_only_its_coins() -> None:
    body = json.dumps(META).encode()
    tables, refused = tables_of(universe_of(body, Report()), ("WLD", "ENA"))
    assert list(tables) == ["ENA"]
    assert refused == {"WLD": "Its margin table 51 has no tiers"}
    mapper = HyperliquidMapper()
    events = [*mapper.map(body, 1_700_000_000_000)]
    assert [event.symbol for event in events if isinstance(event, MarginTier)] == ["ENA"]
    assert [refusal.instrument for refusal in mapper.report.refused] == ["WLD"]
