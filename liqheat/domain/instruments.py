"""Canonical symbols: one name for the coin behind each venue's instrument, in single coins.

`1000PEPEUSDT` (Binance, Bybit), `kPEPE` (Hyperliquid) and `PEPE-USDT-SWAP` (OKX) are all `PEPE`: prices are
divided and quantities multiplied by the coins a quoted unit stands for, so that venues share price buckets.
"""

import re
from dataclasses import dataclass

from liqheat.domain.market import Venue
from liqheat.domain.venues import VENUE_FACTS

DEFAULT_WATCH_LIST = ("VIRTUAL", "FET", "AIXBT", "TAO", "WLD", "FARTCOIN", "KAITO", "GRASS", "RENDER")
"""AI-agent tokens with perpetuals on at least three of the venues (mid-2026)."""

MIGRATIONS: dict[str, str] = {"AI16Z": "ELIZAOS", "RNDR": "RENDER", "AGIX": "FET", "OCEAN": "FET"}
"""Tokens that became another: the old name is read as the new one."""

_MULTIPLIER = re.compile(r"^(1(?:0{3,6})|1M)(?=[A-Z])")
_NAMED_BACKWARDS = {"SHIB1000": ("SHIB", 1_000.0)}
"""Bybit's one contract that puts the multiplier last."""
_TOKEN = re.compile(r"^[A-Z0-9]{1,24}$")


@dataclass(frozen=True, slots=True)
class Instrument:
    """A linear USDT or USDC perpetual of one venue.

    `coins_per_unit` is how many coins one *quoted* unit is (1000 for 1000PEPE); `contract_value` how many
    quoted units one contract is (OKX; 1 elsewhere).
    """

    venue: Venue
    name: str
    symbol: str
    coins_per_unit: float = 1.0
    contract_value: float = 1.0


def canonical_symbol(base: str) -> tuple[str, float]:
    """Split a venue's base name into canonical symbol and coins a quoted unit: `1000PEPE` -> (`PEPE`, 1000)."""
    coins = 1.0
    if re.match(r"^k[A-Z]", base):
        base, coins = base[1:], 1_000.0
    elif base in _NAMED_BACKWARDS:
        base, coins = _NAMED_BACKWARDS[base]
    elif match := _MULTIPLIER.match(base):
        coins = 1_000_000.0 if match[1] == "1M" else float(match[1])
        base = base[match.end() :]
    symbol = base.upper()
    return MIGRATIONS.get(symbol, symbol), coins


def parse_instrument(venue: Venue, name: str, contract_value: float = 1.0) -> Instrument | None:
    """Read a venue's instrument name; None where it is not a linear USDT or USDC perpetual.

    Dated futures (`BTCUSDT_260626`), inverse contracts (`BTC-USD-SWAP`), options, spot and builder-deployed
    markets (`xyz:AAPL`) give None.
    """
    base = VENUE_FACTS[venue].base_of(name)
    if base is None:
        return None
    symbol, coins = canonical_symbol(base)
    return Instrument(venue, name, symbol, coins, contract_value) if _TOKEN.match(symbol) else None
