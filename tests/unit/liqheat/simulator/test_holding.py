"""Lives of positions: the shares that the power law says, and the stock that such lives build up."""

import numpy as np
import pytest

from liqheat.simulator.holding import Holding

LAW = Holding(exponent=0.5, scale_hours=0.25, longest_hours=240.0)
CHANCE = (np.arange(200_000) + 0.5) / 200_000


def test_the_share_still_open_is_the_power_of_its_age() -> None:
    lives = LAW.lives(CHANCE)
    # After 0.75 h (1 + 3) ** -0.5 = 1/2 are open, after 6 h 25 ** -0.5 = 1/5.
    assert float((lives > 0.75).mean()) == pytest.approx(0.5, abs=1e-3)
    assert float((lives > 6.0).mean()) == pytest.approx(0.2, abs=1e-3)
    assert lives.max() == 240.0


def test_the_mean_life_is_the_mean_of_the_lives() -> None:
    assert float(LAW.lives(CHANCE).mean()) == pytest.approx(LAW.mean_hours, rel=1e-3)


def test_a_stock_that_was_built_up_is_as_old_as_the_law_says() -> None:
    # Positions come evenly over 240 h and live as drawn; those open at the end are the stock.
    generator = np.random.default_rng(1)
    came = generator.uniform(0, 240, 400_000)
    open_now = LAW.lives(generator.random(400_000)) > came
    ages = LAW.ages(CHANCE)
    for share in (0.1, 0.5, 0.9):
        assert float(np.quantile(ages, share)) == pytest.approx(float(np.quantile(came[open_now], share)), rel=0.05)


def test_who_has_reached_an_age_lives_on_by_the_same_law() -> None:
    lives = LAW.lives_beyond(np.full(len(CHANCE), 6.0), CHANCE)
    assert lives.min() >= 6.0
    # (1 + 12.25 / 0.25) ** -0.5 over (1 + 6 / 0.25) ** -0.5: 1/sqrt(50) over 1/5.
    assert float((lives > 12.25).mean()) == pytest.approx(5 / 50**0.5, abs=1e-3)
