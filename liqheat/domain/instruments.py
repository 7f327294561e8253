"""Canonical symbols: one name for the coin behind each venue's instrument, in single coins.

`1000PEPEUSDT` (Binance, Bybit), `kPEPE` (Hyperliquid) and `PEPE-USDT-SWAP` (OKX) are all `PEPE`: prices are
divided and quantities multiplied by the coins per quoted unit, so that venues share price buckets.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import NamedTuple

from liqheat.domain.market import Venue
from liqheat.domain.venues import VENUE_FACTS

DEFAULT_WATCH_LIST = ("VIRTUAL", "FET", "AIXBT", "TAO", "WLD", "FARTCOIN", "KAITO", "GRASS", "RENDER")
"""AI-agent tokens with perpetuals on at least three of the venues (mid-2026)."""


class Successor(NamedTuple):
    """The token that an older one became, and how many coins of it each old coin was exchanged for."""

    symbol: str
    coins: float


SUCCESSORS: dict[str, Successor] = {"AI16Z": Successor("ELIZAOS", 6.0), "RNDR": Successor("RENDER", 1.0)}
"""Tokens that became another and were nothing else before: the old contract is read as the new coin, at the ratio.

AI16Z to ELIZAOS 1:6 (November 2025), RNDR to RENDER 1:1 (July 2024). A token that traded beside its later successor as
a coin of its own stays apart, for before the date its price was its own: AGIX and OCEAN (to FET at 0.433350 and
0.433226, July 2024), MKR (to SKY at 24,000, May 2025), MATIC (to POL), FTM (to S).
"""

ALL_SYMBOLS = "all"
"""In place of symbols: every linear perpetual of a venue, or all of them together; a coin's name is in capitals."""

_MULTIPLIER = re.compile(r"^(1(?:0{3,8})|1M)(?=[^\W\d_])")
_NAMED_BACKWARDS = {"SHIB1000": ("SHIB", 1_000.0)}
"""Bybit's one contract that puts the multiplier last."""
_OF_A_POOL = re.compile(r"([^\W_]+),\w+,(?:0[xX])?(\w+)")
"""A token that anybody may list: its name, where it is traded, its address."""
_MOST_LETTERS, _ADDRESS_LETTERS = 24, 6
PAIR = re.compile(r"(.+?)(?:[-/_]USD[TC]|USD[TC]|[-/_]USD(?!-SWAP|:(?!USD)))(?:[-:](?!(?:.*-)?\d{6}(?:-|$)).*|\.P)?")
"""A pair as venues and tools write it: BTCUSDT, BTC-USDT-SWAP, BTC/USDT:USDT, BTCUSDT.P; the coin is in the group.

Contracts settled in their coin (BTC-USD-SWAP, BTC/USD:BTC) and dated ones (BTC/USDT:USDT-260626) are none.
"""
_INVERSE = re.compile(r".+(?:[-/_]USD-SWAP|[-/_]USD:(?!USD).+|USD_PERP)|[^-/_]{3,}USD(?:_\d{6})?")


@dataclass(frozen=True, slots=True)
class Instrument:
    """A linear USDT or USDC perpetual of one venue.

    `coins_per_unit` is how many coins of `symbol` one *quoted* unit is (1000 for 1000PEPE, 6 for AI16Z);
    `contract_value` how many quoted units one contract is (OKX; 1 elsewhere).
    """

    venue: Venue
    name: str
    symbol: str
    coins_per_unit: float = 1.0
    contract_value: float = 1.0


def canonical_symbol(base: str) -> tuple[str, float]:
    """Split a venue's base name into canonical symbol and coins per quoted unit: `1000PEPE` -> (`PEPE`, 1000).

    The name of a token that became another gives the successor, with the ratio of the exchange in the coins. One that
    is known by its address has the beginning of it in its symbol, for anybody may give a token the name of another:
    `BUFFI,UNISWAP_V3,0X4C1B13...` is `BUFFI4C1B13`.
    """
    coins, address = 1.0, ""
    if of_a_pool := _OF_A_POOL.fullmatch(base):
        base, address = of_a_pool[1][: _MOST_LETTERS - _ADDRESS_LETTERS], of_a_pool[2][:_ADDRESS_LETTERS].upper()
    if re.match(r"^k[A-Z]", base):
        base, coins = base[1:], 1_000.0
    elif base in _NAMED_BACKWARDS:
        base, coins = _NAMED_BACKWARDS[base]
    elif match := _MULTIPLIER.match(base):
        coins = 1_000_000.0 if match[1] == "1M" else float(match[1])
        base = base[match.end() :]
    symbol = unicodedata.normalize("NFC", base).upper()
    if address:
        return symbol + address, coins
    if successor := SUCCESSORS.get(symbol):
        return successor.symbol, coins * successor.coins
    return symbol, coins


def as_asked(name: str) -> str:
    """Return a name as a person may write it, in any case, as venues do: `virtual` -> `VIRTUAL`, `kPEPE` stays."""
    name = name.strip()
    if name.casefold() == ALL_SYMBOLS:
        return ALL_SYMBOLS
    return name if re.match(r"^k[A-Z]", name) else name.upper()


def symbol_asked(text: str) -> str:
    """Return the canonical symbol that a person means: in any case, with a multiplier, or as a pair of any venue.

    `kPEPE`, `1000pepe` and `PEPE/USDT:USDT` are all `PEPE`.
    """
    asked = as_asked(text)
    pair = PAIR.fullmatch(asked)
    return canonical_symbol(pair[1] if pair else asked)[0]


def is_inverse(name: str) -> bool:
    """Whether a name is that of a contract in USD that is settled in its coin: BTC-USD-SWAP, BTC/USD:BTC, BTCUSD."""
    return _INVERSE.fullmatch(name.strip().upper()) is not None


def is_symbol(text: str) -> bool:
    """Whether `text` may name a coin: 1 to 24 letters, marks and digits of any script, none of them in lower case."""
    return (
        0 < len(text) <= _MOST_LETTERS
        and text == text.upper()
        and all(unicodedata.category(letter)[0] in "LMN" for letter in text)
    )


def parse_instrument(venue: Venue, name: str, contract_value: float = 1.0) -> Instrument | None:
    """Read a venue's instrument name; None where it is not a linear USDT or USDC perpetual.

    Dated futures (`BTCUSDT_260626`), inverse contracts (`BTC-USD-SWAP`), options, spot and builder-deployed
    markets (`xyz:AAPL`) give None.
    """
    base = VENUE_FACTS[venue].base_of(name)
    if base is None:
        return None
    symbol, coins = canonical_symbol(base)
    return Instrument(venue, name, symbol, coins, contract_value) if is_symbol(symbol) else None
