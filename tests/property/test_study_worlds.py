"""The study on many generated histories: how often chance alone looks like an effect."""

from liqheat.scoring.study import study
from liqheat.scoring.study_words import verdict
from tests.support.study_series import series


def test_worlds_without_an_effect_are_seldom_given_one() -> None:
    verdicts = [verdict(study([series(seed, days=45)], 5.0, 1.0, draws=300)) for seed in range(100, 108)]
    assert verdicts.count("attract") + verdicts.count("repel") <= 1
    assert verdicts.count("nothing") >= 4
