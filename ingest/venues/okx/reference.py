"""What OKX lists and which margins it asks: instruments and position-tiers in the domain's terms.

A position's tier is fixed by its contracts whatever the price, and nothing is deducted, so margin jumps at
the edges. In USD the edges hold for the mark price of the moment; they are read again with every refresh.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import isnan

from ingest.venues.interface import Listings
from ingest.venues.okx.messages import Instrument as InstrumentInfo
from ingest.venues.okx.messages import PositionTier
from ingest.venues.okx.names import FUTURES, X_PERP, family_of
from ingest.venues.values import step_or_nan, tick_or_nan, unread_instruments
from ingest.venues.wire import NO_NAME, Refusal, Report, number_or_nan, refusal_of, text_of
from liqheat.domain.events import Contract
from liqheat.domain.instruments import Instrument, parse_instrument
from liqheat.domain.margin_tiers import NO_CAP_USD, BrokenMarginTiers, MarginTiers
from liqheat.domain.market import Venue
from liqheat.platform.errors import PoisonMessage

_MOST_COINS = 1e12
"""Coins per contract; SATS and PEPE have ten millions."""
_USD_CURRENCIES = frozenset({"USD", "USDT", "USDC"})
_LOT_CONTRACTS, _LOT_SHARE = 1.0, 0.05
"""As far apart as this, in contracts or in parts of a step, two steps may be that follow each other."""


def listings_of(infos: Iterable[InstrumentInfo], event_time: int, refused: Sequence[Refusal] = ()) -> Listings:
    """Return the linear swaps and X-Perps, others counted by reason; one without a contract value is refused."""
    contracts: list[Contract] = []
    left_out: dict[str, str] = {}
    unreadable = list(refused)
    for info in infos:
        instrument = parse_instrument(Venue.OKX, info.instrument)
        is_dated = info.instrument_type == FUTURES and info.rule_type != X_PERP
        try:
            if (kind := type_of(info)) != "linear":
                left_out[info.instrument] = kind
            elif instrument is None:
                left_out[info.instrument] = "a dated future" if is_dated else "not settled in USDT or USDC"
            else:
                contracts.append(contract(instrument, info, event_time))
        except PoisonMessage as poison:
            unreadable.append(refusal_of(info.instrument, poison.reason, info))
    return Listings(tuple(contracts), Counter(left_out.values()), left_out, tuple(unreadable))


def type_of(info: InstrumentInfo) -> str:
    """Return whether it is linear or inverse, or what it is where it is no swap and so neither.

    Raises:
        PoisonMessage: it has no name, or is a swap and does not say.
    """
    if not info.instrument:
        # Before its time a contract may have none.
        raise PoisonMessage(NO_NAME)
    if not info.contract_type and info.instrument_type in (None, "", "SWAP"):
        raise PoisonMessage("Expected a contract type, was none")
    return info.contract_type or info.instrument_type or ""


def contract(instrument: Instrument, info: InstrumentInfo, event_time: int) -> Contract:
    """Return the swap's contract; its value is `ctVal * ctMult` coins.

    Raises:
        PoisonMessage: the contract value is missing or not in coins, for no size could be read without it.
    """
    coin, currency = info.instrument.partition("-")[0], info.contract_currency or ""
    # A stable coin is a coin where it is what is traded.
    if currency in _USD_CURRENCIES and currency != coin:
        raise PoisonMessage(f"Expected a contract value in coins, was {info.contract_value!r} {currency}")
    multiplier = number_or_nan(info.contract_multiplier)
    coins = number_or_nan(info.contract_value) * (1.0 if isnan(multiplier) else multiplier)
    coins *= instrument.coins_per_unit
    if not 0 < coins <= _MOST_COINS:
        raise PoisonMessage(
            f"Expected a contract value, was {info.contract_value!r} times {info.contract_multiplier!r} "
            f"({info.state or 'no state'})"
        )
    return Contract(
        Venue.OKX,
        instrument.symbol,
        instrument.name,
        event_time,
        "trading" if info.state == "live" else info.state or "",
        tick_or_nan(info.tick_size, instrument.coins_per_unit),
        step_or_nan(info.lot_size, coins),
        coins,
    )


def families_of(steps: Iterable[PositionTier], report: Report) -> tuple[dict[str, list[PositionTier]], set[str]]:
    """Return the steps of an answer by family, and the families of which a step may be missing.

    A step that names no family goes to `report`, unless none names one, as those of margin trading. It may be of the
    only family, or of one whose next step it would be.
    """
    tables: dict[str, list[PositionTier]] = {}
    nameless: list[PositionTier] = []
    for step in steps:
        family = text_of(step.family)
        (tables.setdefault(family, []) if family else nameless).append(step)
    for step in nameless if tables else ():
        report.refuse("", "A step of margin tiers does not say whose it is", step)
    nexts = {step.tier for step in nameless}
    incomplete = {refusal.instrument for refusal in report.refused}
    incomplete |= {family for family, own in tables.items() if len(own) + 1 in nexts}
    return tables, incomplete if len(tables) > 1 else unread_instruments(report.refused, tables)


def tables_of(
    steps: Iterable[PositionTier], usd_per_contract: Mapping[str, float], incomplete: Collection[str] = ()
) -> tuple[dict[str, MarginTiers], dict[str, str]]:
    """Return the tier tables of the instruments in `usd_per_contract`, and why others were refused.

    `incomplete` names instruments of which a step could not be read; a step of no family may be of any of them.
    """
    steps = list(steps)
    if not all(text_of(step.family) for step in steps):
        incomplete = set(usd_per_contract)
    by_name: dict[str, list[PositionTier]] = {name: [] for name in usd_per_contract}
    by_family = {family_of(name): own for name, own in by_name.items()}
    for step in steps:
        if (own := by_family.get(text_of(step.family))) is not None:
            own.append(step)
    tables: dict[str, MarginTiers] = {}
    refused: dict[str, str] = {}
    for name, own in by_name.items():
        if name in incomplete:
            refused[name] = "a step of its margin tiers cannot be read"
            continue
        try:
            tables[name] = _table(own, usd_per_contract[name])
        except BrokenMarginTiers as error:
            refused[name] = str(error)
    return tables, refused


def _table(tiers: Sequence[PositionTier], usd_per_contract: float) -> MarginTiers:
    """A step's `minSz` is the size after the `maxSz` before it, so each step starts at that `maxSz`."""
    rows: list[list[float]] = []
    before = 0.0
    for number, step in enumerate(sorted(tiers, key=lambda each: each.tier), start=1):
        if step.tier != number:
            raise BrokenMarginTiers(f"Expected tier {number}, was tier {step.tier}")
        # Between two steps is one lot, which is small beside a step; answers that leave `minSz` out have 0.
        most = max(_LOT_CONTRACTS, _LOT_SHARE * (step.maximum_size - step.minimum_size))
        if step.minimum_size and abs(step.minimum_size - before) > most:
            raise BrokenMarginTiers(
                f"Expected tier {number} to start at {before:g}, was {step.minimum_size:g} contracts"
            )
        floor, before = (rows[-1][1] if rows else 0.0), step.maximum_size
        cap = min(step.maximum_size * usd_per_contract, NO_CAP_USD)
        rows.append([floor, cap, step.max_leverage, step.maintenance_margin_rate, 0.0])
    return MarginTiers.of(rows)
