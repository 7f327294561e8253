"""Which instruments a service reads: the watch list against what the venue lists.

One instrument per symbol, the USDT contract before the USDC one; what is left out is counted, what is missing is said
with its reason. Pure, so that listings and delistings while running go through the same choice.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ingest.venues.interface import Listings
from liqheat.domain.events import Contract
from liqheat.domain.instruments import ALL_SYMBOLS, PAIR, Instrument, as_asked, canonical_symbol, parse_instrument
from liqheat.domain.market import Venue
from liqheat.platform.errors import PoisonMessage

TRADING = "trading"
FINAL = frozenset(
    {"close", "closed", "delisted", "delivered", "delivering", "expired", "final_settlement", "settled", "settling"}
)
"""Statuses after which a contract does not trade again; others (a suspension, a maintenance) end."""
_MANY = 3
"""As many instruments do not end at once by chance: where they are most of those in use, the listing is cut short."""
_BELIEVED_READINGS = 10
"""A listing that lacks most of what is in use is believed when it has said so as often, over some minutes."""


@dataclass(frozen=True, slots=True)
class Universe:
    """The instruments in use with their contracts, symbols that the venue lacks, and what was left out, by reason.

    `reasons` says of each missing symbol in a few words why.
    """

    contracts: dict[Instrument, Contract]
    missing: tuple[str, ...]
    ignored: Counter[str]
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """The instruments in use, by symbol."""
        return tuple(self.contracts)


def choose(
    venue: Venue, listings: Listings, wanted: Sequence[str], in_use: Mapping[str, Contract] | None = None
) -> Universe:
    """Choose the instruments for the symbols `wanted`, or for every symbol where it holds `all`.

    A symbol may be written in any case, as the venue's own name of an instrument, or as a pair of it. `in_use` holds
    contracts by instrument name that are read already: they are chosen before others of their symbol, and while their
    status is one that ends, they stay.
    """
    in_use = in_use or {}
    ignored: Counter[str] = Counter(listings.ignored)
    by_symbol: dict[str, list[Contract]] = {}
    for contract in listings.contracts:
        if contract.status == TRADING or (contract.instrument in in_use and contract.status not in FINAL):
            by_symbol.setdefault(contract.symbol, []).append(contract)
        else:
            ignored["not trading"] += 1
    named = {contract.instrument.casefold(): contract.symbol for contract in listings.contracts}
    symbols = sorted(by_symbol) if ALL_SYMBOLS in wanted else [_symbol_of(name, named) for name in wanted]
    contracts: dict[Instrument, Contract] = {}
    reasons: dict[str, str] = {}
    for symbol in dict.fromkeys(symbols):
        candidates = sorted(by_symbol.get(symbol, ()), key=lambda item: _preference(item, in_use))
        if not candidates:
            reasons[symbol] = _why_missing(venue, symbol, listings)
            continue
        ignored["another contract of the same symbol"] += len(candidates) - 1
        if instrument := _instrument_of(venue, candidates[0]):
            contracts[instrument] = candidates[0]
    return Universe(contracts, tuple(reasons), +ignored, reasons)


def with_absent(listings: Listings, in_use: Mapping[str, Contract], absent: Counter[str]) -> Listings:
    """Return `listings` with the contracts in use that are missing from it, or cannot be read there, as they were.

    `absent` counts by instrument name how often in a row a contract has been missing or left out, and is brought up to
    date: one that is missing once stays, missing twice it is gone. One that cannot be read stays as long as that lasts.

    Raises:
        PoisonMessage: most of what is in use is missing, and has not been for `_BELIEVED_READINGS` readings in a row.
    """
    listed = {contract.instrument for contract in listings.contracts}
    unreadable = {refusal.instrument for refusal in listings.refused}
    kept: list[Contract] = []
    for name, contract in in_use.items():
        if name in listed:
            absent.pop(name, None)
            continue
        if name not in unreadable:
            absent[name] += 1
        if absent[name] < 2:
            kept.append(contract)
    lost = [name for name in in_use if name not in listed and name not in unreadable]
    if _MANY <= len(lost) > len(in_use) / 2 and min(absent[name] for name in lost) < _BELIEVED_READINGS:
        raise PoisonMessage(f"The listing lacks {len(lost)} of {len(in_use)} instruments in use, {lost[0]} among them")
    return replace(listings, contracts=(*listings.contracts, *kept)) if kept else listings


def _symbol_of(name: str, named: Mapping[str, str]) -> str:
    """Return the symbol that `name` asks for: as it is, as an instrument of this venue, or as a pair of any."""
    asked = as_asked(name)
    symbol, known = named.get(name.strip().casefold()) or canonical_symbol(asked)[0], set(named.values())
    if symbol not in known and (pair := PAIR.fullmatch(asked)):
        coin = canonical_symbol(pair[1])[0]
        return coin if coin in known else symbol
    return symbol


def _preference(contract: Contract, in_use: Mapping[str, Contract]) -> tuple[bool, bool, bool, str]:
    """Sort what is read already first, then contracts of the coin itself, then those in USDT."""
    is_other_coin = contract.symbol not in contract.instrument.upper()
    return contract.instrument not in in_use, is_other_coin, "USDT" not in contract.instrument, contract.instrument


def _why_missing(venue: Venue, symbol: str, listings: Listings) -> str:
    """Say why there is nothing to read of `symbol`; that it is not listed only where no row names it."""
    for contract in listings.contracts:
        if contract.symbol == symbol:
            return f"is listed on {venue.value} as {contract.instrument}, which is {contract.status}"
    for contract in listings.contracts:
        if contract.instrument.upper().startswith(f"{symbol},"):
            return f"is listed on {venue.value} as {contract.instrument}, whose symbol is {contract.symbol}"
    for refusal in listings.refused:
        if (known := parse_instrument(venue, refusal.instrument)) and known.symbol == symbol:
            return f"is listed on {venue.value} as {refusal.instrument}, whose row cannot be read: {refusal.reason}"
    for name, reason in listings.left_out.items():
        if (known := parse_instrument(venue, name)) and known.symbol == symbol:
            return f"is listed on {venue.value} as {name}, which is left out: {reason}"
    related = [name for name in listings.left_out if name.upper().startswith(symbol)]
    if related:
        return f"is listed on {venue.value} as no perpetual that is read, only as {related[0]}"
    return f"is not listed on {venue.value}"


def _instrument_of(venue: Venue, contract: Contract) -> Instrument | None:
    instrument = parse_instrument(venue, contract.instrument)
    coins = contract.contract_value
    if instrument is None or not coins > 0 or coins == instrument.coins_per_unit:
        return instrument
    return parse_instrument(venue, contract.instrument, coins / instrument.coins_per_unit)
