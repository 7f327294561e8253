"""Canonical symbols over the venues."""

import pytest

from liqheat.domain.instruments import DEFAULT_WATCH_LIST, parse_instrument
from liqheat.domain.market import Venue

LATEST = list(Venue)[-1]


@pytest.mark.parametrize(
    ("venue", "name", "symbol", "coins"),
    [
        (Venue.BINANCE, "VIRTUALUSDT", "VIRTUAL", 1),
        (Venue.BINANCE, "1000PEPEUSDT", "PEPE", 1_000),
        (Venue.BINANCE, "1000000MOGUSDT", "MOG", 1_000_000),
        (Venue.BINANCE, "BTCUSDC", "BTC", 1),
        (Venue.BINANCE, "0GUSDT", "0G", 1),
        (Venue.BYBIT, "1000PEPEUSDT", "PEPE", 1_000),
        (Venue.BYBIT, "10000SATSUSDT", "SATS", 10_000),
        (Venue.BYBIT, "SHIB1000USDT", "SHIB", 1_000),
        (Venue.BYBIT, "BTCPERP", "BTC", 1),
        (Venue.OKX, "PEPE-USDT-SWAP", "PEPE", 1),
        (Venue.HYPERLIQUID, "kPEPE", "PEPE", 1_000),
        (Venue.HYPERLIQUID, "KAITO", "KAITO", 1),
        (Venue.BINANCE, "AI16ZUSDT", "ELIZAOS", 6),
        (Venue.HYPERLIQUID, "AI16Z", "ELIZAOS", 6),
        (Venue.OKX, "RNDR-USDT-SWAP", "RENDER", 1),
        (Venue.BINANCE, "AGIXUSDT", "AGIX", 1),
        (Venue.OKX, "OCEAN-USDT-SWAP", "OCEAN", 1),
        (Venue.BYBIT, "MKRUSDT", "MKR", 1),
        (Venue.BINANCE, "币安人生USDT", "币安人生", 1),
        (Venue.BYBIT, "1000币安人生USDT", "币安人生", 1_000),
        (Venue.OKX, "ÉTÉ-USDT-SWAP", "ÉTÉ", 1),
        (Venue.BYBIT, "10000000AIDOGEUSDT", "AIDOGE", 10_000_000),
        (Venue.BYBIT, "100000000XUSDT", "X", 100_000_000),
        (Venue.BINANCE, "1MBABYDOGEUSDT", "BABYDOGE", 1_000_000),
        (Venue.BYBIT, "1000XUSDT", "X", 1_000),
        (Venue.BINANCE, "4USDT", "4", 1),
        (LATEST, "BUFFI,UNISWAP_V3,0X4C1B1302220D7DE5C22B495E78B72F2DD2457D45-USD", "BUFFI4C1B13", 1),
        (LATEST, "AI16Z,RAYDIUM,HELP6NUQKMYB1PYWO2ZYPEJM2XXQPPUMP-USD", "AI16ZHELP6N", 1),
        (LATEST, "1000X,raydium,C3JX9TWLQHKMCOTDTPPAJEBX2U7DCUQDEHVSMJFZ6K6S-USD", "XC3JX9T", 1_000),
        (LATEST, f"{'A' * 30},RAYDIUM,C3JX9T-USD", f"{'A' * 18}C3JX9T", 1),
    ],
)
def test_a_venues_name_becomes_the_coins_name(venue: Venue, name: str, symbol: str, coins: float) -> None:
    instrument = parse_instrument(venue, name)
    assert instrument is not None
    assert (instrument.symbol, instrument.coins_per_unit) == (symbol, coins)


@pytest.mark.parametrize(
    ("venue", "name"),
    [
        (Venue.BINANCE, "BTCUSDT_260925"),
        (Venue.BINANCE, "BTCUSD_PERP"),
        (Venue.OKX, "BTC-USD-SWAP"),
        (Venue.OKX, "BTC-USDT"),
        (Venue.OKX, "FIL-USDT-220325"),
        (Venue.HYPERLIQUID, "xyz:AAPL"),
        (Venue.HYPERLIQUID, "@142"),
        (Venue.HYPERLIQUID, "PURR/USDC"),
        (Venue.OKX, "ETH-USD_UM-SWAP"),
        (Venue.BINANCE, "A BUSDT"),
        (Venue.BINANCE, "A'--USDT"),
        (Venue.BINANCE, "\N{ROCKET}USDT"),
        (Venue.BINANCE, "USDT"),
        (Venue.BYBIT, "BTCUSDT-26SEP25"),
    ],
)
def test_what_is_no_linear_perpetual_is_none(venue: Venue, name: str) -> None:
    assert parse_instrument(venue, name) is None


def test_the_watch_list_is_canonical() -> None:
    for symbol in DEFAULT_WATCH_LIST:
        parsed = parse_instrument(Venue.BINANCE, f"{symbol}USDT")
        assert parsed is not None
        assert parsed.symbol == symbol
