"""The soak's line: through noise, past a warm-up, and flat for what does not grow."""

import random

import pytest

from tests.soak.run import Samples, table
from tests.soak.slope import slope


@pytest.mark.parametrize("growth", [0.0, 2.5, -1.0])
def test_the_slope_is_the_growth_per_hour_without_the_warm_up(growth: float) -> None:
    noise = random.Random(1)
    warm_up = [(hour / 10, 50.0 * hour) for hour in range(60)]
    settled = [(hour / 10, 3_000 + growth * hour / 10 + noise.gauss(0, 0.5)) for hour in range(60, 240)]
    assert slope(warm_up + settled) == pytest.approx(growth, abs=0.1)


def test_a_service_that_grows_is_named() -> None:
    steady = Samples([(hour, 100.0) for hour in range(24)], [(hour, 30.0) for hour in range(24)])
    leaking = Samples([(hour, 100.0 + 8 * hour) for hour in range(24)], [(hour, 30.0) for hour in range(24)])
    forgetful = Samples([(hour, 100.0) for hour in range(24)], [(hour, 30.0 + 2 * hour) for hour in range(24)])
    text, growing = table({"steady": steady, "leaking": leaking, "forgetful": forgetful}, limit=5.0)
    assert growing == ["forgetful", "leaking"]
    assert "8.00" in text
