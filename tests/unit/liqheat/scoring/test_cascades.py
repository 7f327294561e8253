"""The judge of predicted cascades, on cases that a reader can check, and on a world whose positions are known."""

import numpy as np
import pytest

from liqheat.scoring.cascades import (
    BookDepths,
    Case,
    ExpectedLevels,
    Prediction,
    at_risk_alone,
    judge,
    rank_correlation,
)

BOOK = BookDepths(100.0, np.array([0.01, 0.1]), np.array([1e6, 1e7]), np.array([1e6, 1e7]))
LEVELS = ExpectedLevels(np.array([99.0, 97.0, 104.0]), np.array([1e6, 2e6, 5e6]))


def case(move: float, amplification: float, moment: int = 0) -> Case:
    return Case(1, moment, move, BOOK, LEVELS, 100 * (1 + move) ** amplification, amplification)


def said(amplification: float, one: Case) -> Prediction:
    return Prediction(100 * (1 + one.move) ** amplification, amplification)


def test_ranks_share_their_mean_where_values_tie() -> None:
    assert rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 25.0])) == pytest.approx(1.0)
    assert rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])) == pytest.approx(-1.0)
    # Ranks 1.5, 1.5, 3 against 1, 2, 3: covariance 1.5, deviations 1.5 and 2.
    tied = rank_correlation(np.array([1.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0]))
    assert tied == pytest.approx(1.5 / (1.5 * 2) ** 0.5)
    assert np.isnan(rank_correlation(np.ones(3), np.array([1.0, 2.0, 3.0])))


def test_a_prediction_that_is_right_has_no_error_and_foresees_every_break() -> None:
    cases = [case(-0.01, 1.0), case(-0.02, 1.6), case(-0.05, 2.0), case(0.02, 1.1)]
    figures = judge(cases, [said(one.amplification, one) for one in cases])
    assert figures.rank_correlation == pytest.approx(1.0)
    assert (figures.median_error, figures.median_rest_error, figures.trigger_error) == pytest.approx((0.0, 0.0, 0.0))
    assert (figures.said_to_break, figures.broke_of_those) == (2, 1.0)
    assert (figures.broke, figures.foreseen_of_those) == (2, 1.0)


def test_false_alarms_and_missed_breaks_are_counted_apart() -> None:
    cases = [case(-0.01, 1.0), case(-0.02, 1.0), case(-0.05, 2.0), case(-0.10, 2.0)]
    figures = judge(cases, [said(factor, one) for factor, one in zip((1.0, 2.0, 2.0, 1.0), cases, strict=True)])
    assert (figures.said_to_break, figures.broke_of_those) == (2, 0.5)
    assert (figures.broke, figures.foreseen_of_those) == (2, 0.5)
    # The trigger was said to be at 2%, and was at 5%.
    assert figures.trigger_error == pytest.approx(np.log(2.5))


def test_at_risk_within_the_move_is_what_lies_between_the_middle_and_its_end() -> None:
    assert [case(move, 1.0).swept_usd for move in (-0.01, -0.02, -0.05, 0.03, 0.05)] == [1e6, 1e6, 3e6, 0.0, 5e6]


def test_at_risk_alone_gets_the_scale_that_serves_it_best() -> None:
    # Amplification is 1 + at risk / 3 million in truth.
    cases = [case(-0.01, 1 + 1 / 3), case(-0.05, 2.0), case(0.03, 1.0), case(0.05, 1 + 5 / 3)]
    assert judge(cases, at_risk_alone(cases)).median_error < 0.05
