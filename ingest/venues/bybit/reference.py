"""What Bybit lists and which margins it asks: instruments-info and risk-limit in the domain's terms.

Pure; used by the feed on start and each reference interval, and by the mapper in playback.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from ingest.venues.bybit.messages import InstrumentInfo, RiskLimit
from ingest.venues.interface import Listings
from ingest.venues.values import plain_or_nan, rules_of, step_or_nan, tick_or_nan
from ingest.venues.wire import NO_NAME, Refusal, number_or_nan, refusal_of
from liqheat.domain.events import Contract
from liqheat.domain.instruments import Instrument, parse_instrument
from liqheat.domain.margin_tiers import BrokenMarginTiers, MarginTiers
from liqheat.domain.market import Venue
from liqheat.domain.windows import HOUR_MS, MINUTE_MS
from liqheat.platform.errors import PoisonMessage

_LEAST_RATE = 1e-6
"""A smaller maintenance margin is none."""


def listings_of(infos: Iterable[InstrumentInfo], event_time: int, refused: Sequence[Refusal] = ()) -> Listings:
    """Return the linear USDT and USDC perpetuals, others counted by reason."""
    contracts: list[Contract] = []
    left_out: dict[str, str] = {}
    unreadable = list(refused)
    for info in infos:
        instrument = parse_instrument(Venue.BYBIT, info.symbol)
        try:
            if (kind := type_of(info)) != "LinearPerpetual":
                left_out[info.symbol] = kind
            elif instrument is None:
                left_out[info.symbol] = "name not understood"
            else:
                contracts.append(contract(instrument, info, event_time))
        except PoisonMessage as poison:
            unreadable.append(refusal_of(info.symbol, poison.reason, info))
    return Listings(tuple(contracts), Counter(left_out.values()), left_out, tuple(unreadable))


def type_of(info: InstrumentInfo) -> str:
    """Return the contract type.

    Raises:
        PoisonMessage: the row does not say it, or has no name.
    """
    if not info.symbol:
        raise PoisonMessage(NO_NAME)
    if not info.contract_type:
        raise PoisonMessage("Expected a contract type, was none")
    return info.contract_type


def contract(instrument: Instrument, info: InstrumentInfo, event_time: int) -> Contract:
    """Return the instrument's contract, prices and sizes in single coins; a step that is no number is not known."""
    coins = instrument.coins_per_unit
    interval = plain_or_nan(info.funding_interval)
    # No venue settles more often than hourly, so a number below 60 is in hours.
    unit = HOUR_MS if interval < 60 else MINUTE_MS
    return Contract(
        Venue.BYBIT,
        instrument.symbol,
        instrument.name,
        event_time,
        (info.status or "").lower(),
        tick_or_nan(rules_of(info.price_filter).get("tickSize"), coins),
        step_or_nan(rules_of(info.lot_size_filter).get("qtyStep"), coins),
        coins,
        round(interval * unit) if 0 < interval < 1e5 else 0,
    )


def tables_of(
    limits: Iterable[RiskLimit], incomplete: Collection[str] = ()
) -> tuple[dict[str, MarginTiers], dict[str, str]]:
    """Return the tier tables by instrument, and why others were refused.

    `incomplete` names instruments of which a step could not be read: a table with a hole would join what is around it.
    A step of no name may be of any of them.
    """
    steps: dict[str, list[RiskLimit]] = {}
    for limit in limits:
        steps.setdefault(limit.instrument, []).append(limit)
    tables: dict[str, MarginTiers] = {}
    refused: dict[str, str] = {}
    is_nameless = steps.pop("", None) is not None
    for name, own in steps.items():
        if is_nameless or name in incomplete:
            refused[name] = "a step of its margin tiers cannot be read"
            continue
        try:
            tables[name] = _table(own)
        except (BrokenMarginTiers, PoisonMessage) as error:
            refused[name] = str(error)
    return tables, refused


def beside_nameless(limits: Sequence[RiskLimit]) -> set[str]:
    """Return whose last or first step one without a name ("") is, given the readable steps of an answer in order.

    It is of the instrument before it where it would be its next step, of the one after it where it would be its first.
    """
    found: set[str] = set()
    for place, limit in enumerate(limits):
        if limit.instrument or not limit.maintenance_margin < limit.initial_margin:
            continue
        before = next((each for each in reversed(limits[:place]) if each.instrument), None)
        after = next((each for each in limits[place:] if each.instrument), None)
        if before is not None and _rises(before, limit):
            found.add(before.instrument)
        if after is not None and _rises(limit, after):
            found.add(after.instrument)
    return found


def _rises(lower: RiskLimit, upper: RiskLimit) -> bool:
    """Whether two steps may follow each other: a larger position needs more margin."""
    return (
        lower.risk_limit_value < upper.risk_limit_value
        and _LEAST_RATE < lower.maintenance_margin < upper.maintenance_margin
        and lower.initial_margin < upper.initial_margin
        and lower.max_leverage >= upper.max_leverage
    )


def _table(limits: list[RiskLimit]) -> MarginTiers:
    rows: list[list[float]] = []
    for limit in sorted(limits, key=lambda each: each.risk_limit_value):
        if not rows and limit.is_lowest in (0, "0"):
            raise BrokenMarginTiers("Expected a lowest step, was none")
        # Rates are fractions in newer and percents in older answers; initial margin is 1 / leverage in either.
        scale = 100 if limit.initial_margin * limit.max_leverage > 10 else 1
        amount = number_or_nan(limit.deduction or 0.0)
        floor = rows[-1][1] if rows else 0.0
        rows.append([floor, limit.risk_limit_value, limit.max_leverage, limit.maintenance_margin / scale, amount])
    return MarginTiers.of(rows)
