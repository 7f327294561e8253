"""What Binance lists and which margins it asks: exchangeInfo and leverageBracket read into domain terms.

Pure; used by the feed on start and each reference interval, and by the mapper in playback.
"""

from collections import Counter
from collections.abc import Sequence

from ingest.venues.binance.messages import ContractInfo, ExchangeInfo, LeverageBracket
from ingest.venues.interface import Listings
from liqheat.domain.events import NAN, Contract
from liqheat.domain.instruments import parse_instrument
from liqheat.domain.margin_tiers import BrokenMarginTiers, MarginTiers
from liqheat.domain.market import Venue

QUOTES = ("USDT", "USDC")


def listings_of(info: ExchangeInfo, event_time: int) -> Listings:
    """Return the linear USDT and USDC perpetuals of an exchangeInfo answer, others counted by reason."""
    contracts: list[Contract] = []
    ignored: Counter[str] = Counter()
    for entry in info.symbols:
        if entry.contract_type != "PERPETUAL":
            ignored[(entry.contract_type or "no contract type").lower()] += 1
        elif entry.quote_asset not in QUOTES:
            ignored["quoted in another asset"] += 1
        elif contract := _contract_of(entry, event_time):
            contracts.append(contract)
        else:
            ignored["name not understood"] += 1
    return Listings(tuple(contracts), ignored)


def _contract_of(entry: ContractInfo, event_time: int) -> Contract | None:
    instrument = parse_instrument(Venue.BINANCE, entry.symbol)
    if instrument is None:
        return None
    tick = next((rule.tick_size for rule in entry.filters if rule.filter_type == "PRICE_FILTER"), NAN)
    step = next((rule.step_size for rule in entry.filters if rule.filter_type == "LOT_SIZE"), NAN)
    coins = instrument.coins_per_unit
    return Contract(
        Venue.BINANCE,
        instrument.symbol,
        instrument.name,
        event_time,
        status=entry.status.lower(),
        tick_size=tick / coins,
        quantity_step=step * coins,
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
