"""A small exchange of two coins on four venues, with ten minutes of history, for the tests of wires and server."""

import pytest

from liqheat.domain.market import Venue
from liqheat.simulator.exchange import Exchange
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


@pytest.fixture
def exchange() -> Exchange:
    made = Exchange(SMALL)
    for _ in made.run_history():
        pass
    return made
