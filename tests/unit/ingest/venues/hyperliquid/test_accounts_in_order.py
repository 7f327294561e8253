"""Accounts of Hyperliquid whose answers overtake each other, and fills that name no account."""

import json
from typing import Any

import pytest

from ingest.sanity import read_frame
from ingest.venues.hyperliquid.mapper import HyperliquidMapper
from ingest.venues.hyperliquid.wallets import Holding, WalletBook
from liqheat.domain.events import Liquidation, Position
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Venue

NOW = 1_769_000_000_000
WLD = Instrument(Venue.HYPERLIQUID, "WLD", "WLD")


def account(time: int, *sizes: str) -> bytes:
    positions = [{"position": {"coin": "WLD", "szi": size, "entryPx": "1"}} for size in sizes]
    data = {"assetPositions": positions, "time": time}
    return json.dumps({"channel": "clearinghouseState", "user": "0xA", "data": data}).encode()


def positions(mapper: HyperliquidMapper, frame: bytes) -> list[tuple[int, float]]:
    reading = read_frame(mapper, frame, NOW)
    assert list(reading.problems()) == []
    return [(event.event_time, event.quantity) for event in reading.events if isinstance(event, Position)]


def test_an_older_state_after_a_newer_one_changes_nothing() -> None:
    mapper = HyperliquidMapper([WLD])
    assert positions(mapper, account(NOW, "5")) == [(NOW, 5.0)]
    assert positions(mapper, account(NOW - 1)) == []
    assert mapper.duplicates == 1
    assert positions(mapper, account(NOW, "5")) == [(NOW, 5.0)], "the same state again is no older one"
    assert positions(mapper, account(NOW + 1)) == [(NOW + 1, 0.0)]


def test_the_book_of_wallets_keeps_the_newer_state() -> None:
    book = WalletBook()
    book.discover({"0xa": 1.0}, NOW)
    book.note_read("0xa", [Holding("WLD", 5.0, 5.0)], NOW + 5, told_at=NOW)
    book.note_read("0xa", [], NOW + 10, told_at=NOW - 1)
    assert book.observed() == {"WLD": 5.0}
    assert book.due(NOW + 10 + 1, 1) == [], "it was read all the same"


@pytest.mark.parametrize("user", [None, ""])
def test_fills_of_no_named_account_are_read(user: Any) -> None:
    fill = {"coin": "WLD", "px": "1", "sz": "2", "side": "A", "time": NOW, "tid": 1, "crossed": True}
    fills = [{**fill, "liquidation": {"liquidatedUser": "0xb"}}]
    frame = json.dumps({"channel": "userFills", "user": None, "data": {"user": user, "fills": fills}}).encode()
    (event,) = read_frame(HyperliquidMapper([WLD]), frame, NOW).events
    assert isinstance(event, Liquidation)
    assert (event.side, event.quantity) == (1, 2.0)
