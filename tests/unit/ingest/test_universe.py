"""Which instruments are read for the symbols that somebody asks for, however the symbols are written."""

import pytest

from ingest.universe import choose
from ingest.venues.interface import Listings
from liqheat.domain.events import Contract
from liqheat.domain.instruments import parse_instrument, symbol_asked
from liqheat.domain.market import Venue

LATEST = list(Venue)[-1]
NAMES = {
    Venue.BINANCE: ("BTCUSDT", "1000PEPEUSDT"),
    Venue.BYBIT: ("BTCUSDT", "BTCPERP", "1000PEPEUSDT"),
    Venue.OKX: ("BTC-USDT-SWAP", "PEPE-USDT-SWAP"),
    Venue.HYPERLIQUID: ("BTC", "kPEPE"),
    LATEST: ("BTC-USD", "PEPE-USD"),
}


def listed(venue: Venue, *names: str, status: str = "trading") -> Listings:
    found = [parse_instrument(venue, name) for name in names]
    return Listings(
        tuple(
            Contract(venue, item.symbol, item.name, 1, status, contract_value=item.coins_per_unit)
            for item in found
            if item is not None
        )
    )


@pytest.mark.parametrize("venue", NAMES)
@pytest.mark.parametrize(
    ("asked", "symbol"),
    [
        *((name, "BTC") for name in ("btc", "BTCUSDT", "btc-usdt", "BTC/USDT", "BTC/USDT:USDT", "BTC_USDT")),
        *((name, "BTC") for name in ("BTC-USDT-SWAP", "BTCUSDT.P", "btcusdc", "BTC-USD", "BTC/USD")),
        *((name, "PEPE") for name in ("pepe", "1000PEPE", "kPEPE", "1000PEPEUSDT", "pepe-usdt", "kPEPE/USDC")),
    ],
)
def test_a_symbol_may_be_written_as_a_pair_of_any_venue(venue: Venue, asked: str, symbol: str) -> None:
    universe = choose(venue, listed(venue, *NAMES[venue]), (asked,))
    assert [item.symbol for item in universe.instruments] == [symbol]


def test_a_coin_whose_name_ends_like_a_pair_is_no_other_coin() -> None:
    listings = listed(Venue.BINANCE, "FRXUSDT", "BTCUSDT")
    assert choose(Venue.BINANCE, listings, ("FRXUSD",)).missing == ("FRXUSD",)
    assert choose(Venue.BINANCE, listings, ("ETHUSDT",)).reasons == {"ETHUSDT": "is not listed on binance"}


def test_a_pair_that_does_not_trade_is_said_to_be_listed() -> None:
    listings = listed(Venue.OKX, "BTC-USDT-SWAP", status="suspend")
    (reason,) = choose(Venue.OKX, listings, ("BTC/USDT",)).reasons.values()
    assert reason == "is listed on okx as BTC-USDT-SWAP, which is suspend"


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        *((text, "PEPE") for text in ("pepe", "kPEPE", "1000pepe", "PEPE/USDT:USDT", "1000PEPEUSDT", " PEPE-USD ")),
        *((text, "ELIZAOS") for text in ("ai16z", "AI16ZUSDT", "elizaos")),
        *((text, text) for text in ("USDC", "USDT", "BTCDOM", "FRXUSD", "1INCH", "4", "\u5e01\u5b89\u4eba\u751f")),
        ("\u5e01\u5b89\u4eba\u751fusdt", "\u5e01\u5b89\u4eba\u751f"),
        ("", ""),
        ("nobody's", "NOBODY'S"),
    ],
)
def test_the_symbol_that_a_person_means_is_found_without_a_listing(text: str, symbol: str) -> None:
    assert symbol_asked(text) == symbol


def test_a_token_known_by_its_address_is_asked_for_by_its_own_symbol_or_its_venues_name() -> None:
    name = "BUFFI,UNISWAP_V3,0X4C1B1302220D7DE5C22B495E78B72F2DD2457D45-USD"
    listings = listed(LATEST, "BTC-USD", name)
    for asked in (name, name.lower(), "buffi4c1b13", "BUFFI4C1B13/USDT"):
        assert [item.name for item in choose(LATEST, listings, (asked,)).instruments] == [name]
    assert symbol_asked(name) == "BUFFI4C1B13"
    # A comma list parts the name, and another BUFFI may be another coin.
    assert choose(LATEST, listings, ("BUFFI",)).reasons == {
        "BUFFI": f"is listed on {LATEST.value} as {name}, whose symbol is BUFFI4C1B13"
    }
