"""Which instruments a service reads: the watch list against what the venue lists.

One instrument a symbol, the USDT contract before the USDC one; what is left out is counted, what is missing
is said. Pure, so that listings and delistings while running go through the same choice.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ingest.venues.interface import Listings
from liqheat.domain.events import Contract
from liqheat.domain.instruments import Instrument, canonical_symbol, parse_instrument
from liqheat.domain.market import Venue

ALL = "all"
TRADING = "trading"


@dataclass(frozen=True, slots=True)
class Universe:
    """The instruments in use with their contracts, symbols that the venue lacks, and what was left out, by reason."""

    contracts: dict[Instrument, Contract]
    missing: tuple[str, ...]
    ignored: Counter[str]

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """The instruments in use, by symbol."""
        return tuple(self.contracts)


def choose(venue: Venue, listings: Listings, wanted: Sequence[str]) -> Universe:
    """Choose the instruments for the symbols `wanted`, or for every symbol where it holds `all`."""
    ignored: Counter[str] = Counter(listings.ignored)
    by_symbol: dict[str, list[Contract]] = {}
    for contract in listings.contracts:
        if contract.status == TRADING:
            by_symbol.setdefault(contract.symbol, []).append(contract)
        else:
            ignored["not trading"] += 1
    symbols = sorted(by_symbol) if ALL in wanted else [canonical_symbol(name.upper())[0] for name in wanted]
    contracts: dict[Instrument, Contract] = {}
    missing = []
    for symbol in dict.fromkeys(symbols):
        candidates = sorted(
            by_symbol.get(symbol, ()), key=lambda item: ("USDT" not in item.instrument, item.instrument)
        )
        if not candidates:
            missing.append(symbol)
            continue
        ignored["another contract of the same symbol"] += len(candidates) - 1
        if instrument := _instrument_of(venue, candidates[0]):
            contracts[instrument] = candidates[0]
    return Universe(contracts, tuple(missing), +ignored)


def _instrument_of(venue: Venue, contract: Contract) -> Instrument | None:
    instrument = parse_instrument(venue, contract.instrument)
    coins = contract.contract_value
    if instrument is None or not coins > 0 or coins == instrument.coins_per_unit:
        return instrument
    return parse_instrument(venue, contract.instrument, coins / instrument.coins_per_unit)
