"""What OKX lists and which margins it asks: instruments and position-tiers in the domain's terms.

A position's tier is fixed by its contracts whatever the price, and nothing is deducted, so margin jumps at
the edges. In USD the edges hold for the mark price of the moment; they are read anew with every refresh.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from ingest.venues.interface import Listings
from ingest.venues.okx.messages import Instrument as InstrumentInfo
from ingest.venues.okx.messages import PositionTier
from ingest.venues.wire import number_or_nan
from liqheat.domain.events import Contract
from liqheat.domain.instruments import Instrument, parse_instrument
from liqheat.domain.margin_tiers import MarginTiers
from liqheat.domain.market import Venue
from liqheat.platform.errors import PoisonMessage

_NO_LIMIT_USD = 1e15


def listings_of(infos: Iterable[InstrumentInfo], event_time: int) -> Listings:
    """Return the linear USDT and USDC swaps, others counted by reason.

    Raises:
        PoisonMessage: a linear swap has no contract value.
    """
    contracts: list[Contract] = []
    ignored: Counter[str] = Counter()
    for info in infos:
        instrument = parse_instrument(Venue.OKX, info.instrument)
        if info.contract_type != "linear":
            ignored[info.contract_type or info.instrument_type] += 1
        elif instrument is None:
            ignored["not settled in USDT or USDC"] += 1
        else:
            contracts.append(contract(instrument, info, event_time))
    return Listings(tuple(contracts), ignored)


def contract(instrument: Instrument, info: InstrumentInfo, event_time: int) -> Contract:
    """Return the swap's contract; its value is `ctVal * ctMult` coins.

    Raises:
        PoisonMessage: the contract value is missing, for no size could be read without it.
    """
    coins = number_or_nan(info.contract_value) * number_or_nan(info.contract_multiplier or "1")
    coins *= instrument.coins_per_unit
    if not coins > 0:
        raise PoisonMessage(f"Expected a contract value of {info.instrument}, was {info.contract_value!r}")
    return Contract(
        Venue.OKX,
        instrument.symbol,
        instrument.name,
        event_time,
        "trading" if info.state == "live" else info.state,
        number_or_nan(info.tick_size) / instrument.coins_per_unit,
        number_or_nan(info.lot_size) * coins,
        coins,
    )


def margin_tiers(tiers: Sequence[PositionTier], usd_a_contract: float) -> MarginTiers:
    """Build the table from OKX's steps, valued at `usd_a_contract`.

    A step's `minSz` is the size after the `maxSz` before it, so each step starts at that `maxSz`.

    Raises:
        BrokenMarginTiers: the steps are no tier table.
    """
    rows: list[list[float]] = []
    for step in sorted(tiers, key=lambda each: each.tier):
        floor = rows[-1][1] if rows else 0.0
        cap = min(step.maximum_size * usd_a_contract, _NO_LIMIT_USD)
        rows.append([floor, cap, step.max_leverage, step.maintenance_margin_rate, 0.0])
    return MarginTiers.of(rows)
