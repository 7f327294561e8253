"""What Bybit lists and which margins it asks: instruments-info and risk-limit in the domain's terms.

Pure; used by the feed on start and each reference interval, and by the mapper in playback.
"""

from collections import Counter
from collections.abc import Iterable

from ingest.venues.bybit.messages import InstrumentInfo, RiskLimit
from ingest.venues.interface import Listings
from ingest.venues.wire import number_or_nan
from liqheat.domain.events import Contract
from liqheat.domain.instruments import Instrument, parse_instrument
from liqheat.domain.margin_tiers import BrokenMarginTiers, MarginTiers
from liqheat.domain.market import Venue
from liqheat.domain.windows import HOUR_MS, MINUTE_MS


def listings_of(infos: Iterable[InstrumentInfo], event_time: int) -> Listings:
    """Return the linear USDT and USDC perpetuals, others counted by reason."""
    contracts: list[Contract] = []
    ignored: Counter[str] = Counter()
    for info in infos:
        instrument = parse_instrument(Venue.BYBIT, info.symbol)
        if info.contract_type != "LinearPerpetual":
            ignored[info.contract_type] += 1
        elif instrument is None:
            ignored["name not understood"] += 1
        else:
            contracts.append(contract(instrument, info, event_time))
    return Listings(tuple(contracts), ignored)


def contract(instrument: Instrument, info: InstrumentInfo, event_time: int) -> Contract:
    """Return the instrument's contract, prices and sizes in single coins."""
    coins = instrument.coins_per_unit
    # No venue settles more often than hourly, so a number below 60 is in hours.
    unit = HOUR_MS if info.funding_interval < 60 else MINUTE_MS
    return Contract(
        Venue.BYBIT,
        instrument.symbol,
        instrument.name,
        event_time,
        info.status.lower(),
        info.price_filter.tick_size / coins,
        info.lot_size_filter.quantity_step * coins,
        coins,
        info.funding_interval * unit,
    )


def tables_of(limits: Iterable[RiskLimit]) -> tuple[dict[str, MarginTiers], dict[str, str]]:
    """Return the tier tables by instrument, and why others were refused."""
    steps: dict[str, list[RiskLimit]] = {}
    for limit in limits:
        steps.setdefault(limit.symbol, []).append(limit)
    tables: dict[str, MarginTiers] = {}
    refused: dict[str, str] = {}
    for name, own in steps.items():
        try:
            tables[name] = _table(own)
        except BrokenMarginTiers as error:
            refused[name] = str(error)
    return tables, refused


def _table(limits: list[RiskLimit]) -> MarginTiers:
    rows: list[list[float]] = []
    for limit in sorted(limits, key=lambda each: each.risk_limit_value):
        # Rates are fractions in newer and percents in older answers; initial margin is 1 / leverage in either.
        scale = 100 if limit.initial_margin * limit.max_leverage > 10 else 1
        amount = number_or_nan(limit.deduction or "0")
        floor = rows[-1][1] if rows else 0.0
        rows.append([floor, limit.risk_limit_value, limit.max_leverage, limit.maintenance_margin / scale, amount])
    return MarginTiers.of(rows)
