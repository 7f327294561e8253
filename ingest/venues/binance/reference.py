"""What Binance lists and which margins it asks: exchangeInfo and leverageBracket read into domain terms.

Pure; used by the feed on start and each reference interval, and by the mapper in playback.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from ingest.venues.binance.messages import ContractInfo, LeverageBracket
from ingest.venues.interface import Listings
from ingest.venues.values import rules_of, step_or_nan, tick_or_nan
from ingest.venues.wire import NO_NAME, Refusal, refusal_of
from liqheat.domain.events import Contract
from liqheat.domain.instruments import parse_instrument
from liqheat.domain.margin_tiers import BrokenMarginTiers, MarginTiers
from liqheat.domain.market import Venue
from liqheat.platform.errors import PoisonMessage

QUOTES = ("USDT", "USDC")
_DELIVERING = "_DELIVERING"
"""How the contract type of a perpetual ends that is being delisted; its status says more."""


def listings_of(entries: Iterable[ContractInfo], event_time: int, refused: Sequence[Refusal] = ()) -> Listings:
    """Return the linear USDT and USDC perpetuals of exchangeInfo, TradFi ones among them; others counted by reason."""
    contracts: list[Contract] = []
    left_out: dict[str, str] = {}
    unreadable = list(refused)
    for entry in entries:
        try:
            found = _contract_of(entry, event_time)
        except PoisonMessage as poison:
            unreadable.append(refusal_of(entry.symbol, poison.reason, entry))
            continue
        if isinstance(found, Contract):
            contracts.append(found)
        else:
            left_out[entry.symbol] = found
    return Listings(tuple(contracts), Counter(left_out.values()), left_out, tuple(unreadable))


def _contract_of(entry: ContractInfo, event_time: int) -> Contract | str:
    """Return the contract, or why it is left out.

    Raises:
        PoisonMessage: the row does not say what it is, or a number of it is none.
    """
    if not entry.symbol:
        raise PoisonMessage(NO_NAME)
    kind, status = entry.contract_type or "", entry.status or ""
    if not kind and status in ("", "TRADING"):
        # Before and after its time a contract may have none; one that trades always has.
        raise PoisonMessage("Expected a contract type, was none")
    if not kind.removesuffix(_DELIVERING).endswith("PERPETUAL"):
        return (kind or "no contract type").lower()
    if not entry.quote_asset:
        raise PoisonMessage("Expected a quote asset, was none")
    if entry.quote_asset not in QUOTES:
        return "quoted in another asset"
    instrument = parse_instrument(Venue.BINANCE, entry.symbol)
    if instrument is None:
        return "name not understood"
    filters = entry.filters if isinstance(entry.filters, list) else ()
    rules = {str(rule.get("filterType")): rule for rule in map(rules_of, filters)}
    coins = instrument.coins_per_unit
    return Contract(
        Venue.BINANCE,
        instrument.symbol,
        instrument.name,
        event_time,
        status=status.lower(),
        tick_size=tick_or_nan(rules_of(rules.get("PRICE_FILTER")).get("tickSize"), coins),
        quantity_step=step_or_nan(rules_of(rules.get("LOT_SIZE")).get("stepSize"), coins),
        contract_value=coins,
    )


def tables_of(answers: Sequence[LeverageBracket]) -> tuple[dict[str, MarginTiers], dict[str, str]]:
    """Return the tier tables of a leverageBracket answer by instrument, and why others were refused."""
    tables: dict[str, MarginTiers] = {}
    refused: dict[str, str] = {}
    for answer in answers:
        rows = [
            [tier.notional_floor, tier.notional_cap, tier.initial_leverage, tier.maint_margin_ratio, tier.cum]
            for tier in sorted(answer.brackets, key=lambda tier: tier.notional_floor)
        ]
        try:
            tables[answer.symbol] = MarginTiers.of(rows)
        except BrokenMarginTiers as error:
            refused[answer.symbol] = str(error)
    return tables, refused
