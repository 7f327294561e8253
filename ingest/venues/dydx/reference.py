"""What dYdX lists and which margins it asks: the markets of `/v4/perpetualMarkets` in the domain's terms.

Margin has one tier per market: the maintenance fraction is the same for every size. The initial fraction is the
least that is asked; it rises with the market's open interest, which moves no liquidation price of who is in.
"""

from collections import Counter
from collections.abc import Container, Mapping

from ingest.venues.dydx.messages import Market
from ingest.venues.interface import Listings
from ingest.venues.wire import number_or_nan
from liqheat.domain.events import Contract
from liqheat.domain.instruments import Instrument, parse_instrument
from liqheat.domain.margin_tiers import BrokenMarginTiers, MarginTiers
from liqheat.domain.market import Venue
from liqheat.domain.venues import VENUE_FACTS

_FUNDING_INTERVAL = VENUE_FACTS[Venue.DYDX].funding_interval
_STATUSES = {"ACTIVE": "trading"}


def listings_of(markets: Mapping[str, Market], event_time: int) -> Listings:
    """Return the perpetuals of an answer, others counted by reason."""
    contracts: list[Contract] = []
    ignored: Counter[str] = Counter()
    for name, market in markets.items():
        instrument = parse_instrument(Venue.DYDX, name)
        if instrument is None:
            # A market that somebody else listed carries its origin in its name (BUFFI,uniswap_v3,0x4c1b...-USD).
            ignored["name not understood"] += 1
        else:
            contracts.append(contract(instrument, market, event_time))
    return Listings(tuple(contracts), ignored)


def contract(instrument: Instrument, market: Market, event_time: int) -> Contract:
    """Return the market's contract, prices and sizes in single coins."""
    coins = instrument.coins_per_unit
    status = market.status or ""
    return Contract(
        Venue.DYDX,
        instrument.symbol,
        instrument.name,
        event_time,
        _STATUSES.get(status, status.lower()),
        number_or_nan(market.tick_size) / coins,
        number_or_nan(market.step_size) * coins,
        coins,
        _FUNDING_INTERVAL,
    )


def tables_of(markets: Mapping[str, Market], wanted: Container[str]) -> tuple[dict[str, MarginTiers], dict[str, str]]:
    """Return the tier tables of the `wanted` markets, and why others were refused."""
    tables: dict[str, MarginTiers] = {}
    refused: dict[str, str] = {}
    for name, market in markets.items():
        if name not in wanted:
            continue
        initial = number_or_nan(market.initial_margin_fraction)
        maintenance = number_or_nan(market.maintenance_margin_fraction)
        try:
            if not 0 < maintenance <= initial <= 1:
                raise BrokenMarginTiers(f"Expected margin fractions in order, were {initial} and {maintenance}")
            tables[name] = MarginTiers.single(1 / initial, maintenance)
        except BrokenMarginTiers as error:
            refused[name] = str(error)
    return tables, refused
