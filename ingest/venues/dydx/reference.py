"""What dYdX lists and which margins it asks: the markets of `/v4/perpetualMarkets` in the domain's terms.

Margin has one tier per market: the maintenance fraction is the same for every size. The initial fraction is the
least that is asked; it rises with the market's open interest, which moves no liquidation price of who is in.
"""

from collections import Counter
from collections.abc import Container, Mapping, Sequence

import msgspec

from ingest.venues.dydx.messages import AllMarkets, Market
from ingest.venues.interface import Listings
from ingest.venues.values import step_or_nan, tick_or_nan
from ingest.venues.wire import NO_NAME, Refusal, Report, decoder_of, number_or_nan, read, refusal_of
from liqheat.domain.events import Contract
from liqheat.domain.instruments import Instrument, parse_instrument
from liqheat.domain.margin_tiers import BrokenMarginTiers, MarginTiers
from liqheat.domain.market import Venue
from liqheat.domain.venues import VENUE_FACTS
from liqheat.platform.errors import PoisonMessage

_FUNDING_INTERVAL = VENUE_FACTS[Venue.DYDX].funding_interval
_STATUSES = {"ACTIVE": "trading"}


_MARKETS = decoder_of(AllMarkets)
_MARKET = decoder_of(Market)


def markets_of(body: bytes | msgspec.Raw, report: Report) -> dict[str, Market]:
    """Return the markets of an answer by name; those that cannot be read go to `report`.

    Raises:
        PoisonMessage: it is no answer with markets.
    """
    markets: dict[str, Market] = {}
    for name, row in (read(_MARKETS, body, "dYdX markets").markets or {}).items():
        try:
            markets[name] = read(_MARKET, row, "a dYdX market")
        except PoisonMessage as poison:
            report.refuse(name, poison.reason, row)
    return markets


def listings_of(markets: Mapping[str, Market], event_time: int, refused: Sequence[Refusal] = ()) -> Listings:
    """Return the perpetuals of an answer, others counted by reason."""
    contracts: list[Contract] = []
    left_out: dict[str, str] = {}
    unreadable = list(refused)
    for name, market in markets.items():
        instrument = parse_instrument(Venue.DYDX, name)
        if not name:
            unreadable.append(refusal_of(name, NO_NAME, market))
            continue
        if instrument is None:
            left_out[name] = "name not understood"
            continue
        try:
            contracts.append(contract(instrument, market, event_time))
        except PoisonMessage as poison:
            unreadable.append(refusal_of(name, poison.reason, market))
    return Listings(tuple(contracts), Counter(left_out.values()), left_out, tuple(unreadable))


def contract(instrument: Instrument, market: Market, event_time: int) -> Contract:
    """Return the market's contract, prices and sizes in single coins; a step that is no number is not known."""
    coins = instrument.coins_per_unit
    status = market.status or ""
    return Contract(
        Venue.DYDX,
        instrument.symbol,
        instrument.name,
        event_time,
        _STATUSES.get(status, status.lower()),
        tick_or_nan(market.tick_size, coins),
        step_or_nan(market.step_size, coins),
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
        try:
            initial = number_or_nan(market.initial_margin_fraction)
            maintenance = number_or_nan(market.maintenance_margin_fraction)
            if not 0 < maintenance <= initial <= 1:
                raise BrokenMarginTiers(f"Expected margin fractions in order, were {initial} and {maintenance}")
            tables[name] = MarginTiers.single(1 / initial, maintenance)
        except (BrokenMarginTiers, PoisonMessage) as error:
            refused[name] = str(error)
    return tables, refused
