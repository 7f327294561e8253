"""Each venue has its record, and one without it cannot be imported unnoticed."""

import subprocess
import sys
import textwrap

import pytest

from liqheat.domain.instruments import parse_instrument
from liqheat.domain.market import Venue
from liqheat.domain.venues import (
    COMPARED_VENUES,
    SAMPLED_VENUES,
    SILENT_VENUES,
    VENUE_FACTS,
    LiquidationFeed,
    facts_of,
)

_ONE_MORE_VENUE = """
    import importlib.util, sys
    spec = importlib.util.find_spec("liqheat.domain.market")
    first = '    BINANCE = "binance"'
    source = spec.loader.get_source(spec.name).replace(first, '    GATE = "gate"\\n' + first, 1)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    exec(compile(source, spec.origin, "exec"), module.__dict__)
    import liqheat.domain.venues
"""


def test_a_venue_without_its_record_fails_at_import_with_a_sentence() -> None:
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_ONE_MORE_VENUE)], capture_output=True, text=True, check=False
    )
    assert run.returncode != 0
    assert "TypeError: Venue gate has no record of its facts: add one to liqheat/domain/venues.py" in run.stderr


def test_records_come_in_the_order_of_the_venues() -> None:
    assert tuple(VENUE_FACTS) == tuple(Venue)
    assert all(facts.venue is venue for venue, facts in VENUE_FACTS.items())


@pytest.mark.parametrize("venue", Venue)
def test_a_usual_name_is_read_back_as_its_coin(venue: Venue) -> None:
    instrument = parse_instrument(venue, facts_of(venue).name_of("VIRTUAL"))
    assert instrument is not None
    assert (instrument.symbol, instrument.coins_per_unit) == ("VIRTUAL", 1.0)


@pytest.mark.parametrize("venue", Venue)
def test_every_venue_has_a_budget_and_addresses_with_tls(venue: Venue) -> None:
    facts = facts_of(venue.value)
    assert facts.budgets
    assert facts.websocket_url.startswith("wss://")
    assert facts.rest_url.startswith("https://")


def test_labels_and_colours_differ() -> None:
    assert len({facts.label for facts in VENUE_FACTS.values()}) == len(Venue)
    assert len({facts.colour for facts in VENUE_FACTS.values()}) == len(Venue)


def test_sampled_and_silent_venues_follow_from_the_records() -> None:
    assert {venue for venue in Venue if facts_of(venue).liquidation_feed is LiquidationFeed.SAMPLED} == SAMPLED_VENUES
    assert {Venue.HYPERLIQUID} == SILENT_VENUES
    assert "hyperliquid" in SILENT_VENUES, "batches name their venue as text"
    assert COMPARED_VENUES == (Venue.BINANCE, Venue.BYBIT, Venue.OKX)
