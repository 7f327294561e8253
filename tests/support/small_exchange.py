"""A small exchange of two coins on four venues, with ten minutes of history, for the tests of wires and server."""

from dataclasses import replace

import pytest

from liqheat.domain.market import Venue
from liqheat.simulator.exchange import Exchange
from liqheat.simulator.people import People
from liqheat.simulator.simulation import SimulationConfig
from liqheat.simulator.traders import Population

SMALL = SimulationConfig(
    seed=11,
    symbols=("FARTCOIN", "TAO"),
    venues=tuple(Venue),
    regime="crash",
    hours=0.2,
    warm_up_hours=2.5,
    step_ms=15_000,
    open_interest_ms=60_000,
    population=Population.with_mix("degen", traders=300),
)


POPULATIONS = {
    "crowd": SMALL.population,
    "accounts": People(traders=600, small_share=0.7, small_count_share=0.95, isolated_share=0.95),
}


@pytest.fixture(params=list(POPULATIONS))
def exchange(request: pytest.FixtureRequest) -> Exchange:
    """Return the exchange, once with a crowd and once with accounts: the wires must serve both."""
    made = Exchange(replace(SMALL, population=POPULATIONS[request.param]))
    for _ in made.run_history():
        pass
    return made
