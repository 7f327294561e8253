"""The study of what follows clusters: cases for a pencil, worlds whose answer is known both ways, honest intervals."""

import json
from dataclasses import replace

import numpy as np
import pytest

from liqheat.scoring.study import FEWEST_CASES, Study, intervals, study
from liqheat.scoring.study_matching import CONTROLS, beyond_the_line, controls_of, surroundings, usable
from liqheat.scoring.study_moments import Clusters, History, Stage, moments, without_cluster
from liqheat.scoring.study_words import in_words, verdict
from tests.support.study_series import series

LONG, SHORT = 1, -1
NOTHING: dict[Stage, list[tuple[int, int]]] = {stage: [] for stage in Stage}


def clusters(*rows: tuple[int, int, int, float, float, float, bool]) -> Clusters:
    """Rows of cluster, minute, side, low, high, % of ADV, swept."""
    columns = zip(*rows, strict=True) if rows else ((),) * 7
    kinds = (np.int64, np.int64, np.int64, np.float64, np.float64, np.float64, np.bool_)
    return Clusters(*(np.array(column, dtype=kind) for column, kind in zip(columns, kinds, strict=True)))


def history(
    close: list[float], rows: Clusters, low: list[float] | None = None, high: list[float] | None = None
) -> History:
    closes = np.array(close, dtype=np.float64)
    return History(
        "TAO",
        0,
        closes,
        np.array(high or close, dtype=np.float64),
        np.array(low or close, dtype=np.float64),
        np.zeros((len(close), 2)),
        np.ones(len(close), dtype=np.bool_),
        rows,
    )


def found_at(one: History, percent: float = 5.0, near: float = 1.0) -> dict[Stage, list[tuple[int, int]]]:
    return {
        stage: list(zip(at.minute.tolist(), at.side.tolist(), strict=True))
        for stage, at in moments(one, percent, near).items()
    }


def test_price_reaches_enters_and_sweeps_a_cluster_of_longs() -> None:
    rows = clusters(*((7, minute, LONG, 97.0, 98.0, 8.0 if minute < 5 else 0.0, minute == 5) for minute in range(6)))
    # 2% away, 1.01%, 0.51%, then a wick to the edge, inside, and through.
    one = history([100.0, 99.0, 98.5, 98.5, 97.5, 96.0], rows, low=[100.0, 99.0, 98.5, 98.0, 97.5, 96.0])
    assert found_at(one) == {Stage.NEARED: [(2, LONG)], Stage.ENTERED: [(3, LONG)], Stage.SWEPT: [(5, LONG)]}
    assert found_at(one, near=1.5)[Stage.NEARED] == [(1, LONG)]
    assert found_at(one, percent=9.0) == NOTHING


def test_a_cluster_of_shorts_lies_above_and_is_met_from_below() -> None:
    rows = clusters(*((7, minute, SHORT, 102.0, 103.0, 8.0 if minute < 3 else 0.0, minute == 3) for minute in range(4)))
    one = history([100.0, 101.5, 101.8, 104.0], rows, high=[100.0, 101.5, 102.0, 104.0])
    assert found_at(one) == {Stage.NEARED: [(1, SHORT)], Stage.ENTERED: [(2, SHORT)], Stage.SWEPT: [(3, SHORT)]}


def test_a_cluster_that_comes_to_the_price_is_no_case() -> None:
    # Born 0.5% below the price: price has come from nowhere.
    rows = clusters((1, 0, LONG, 99.0, 99.5, 8.0, False), (1, 1, LONG, 99.0, 99.5, 8.0, False))
    assert found_at(history([100.0, 100.0], rows)) == NOTHING


def test_one_move_past_a_row_of_clusters_counts_once_per_hour_and_side() -> None:
    near = [(1, minute, LONG, 97.0, 98.0, 8.0, False) for minute in range(4)]
    far = [(2, minute, LONG, 96.9, 97.9, 8.0, False) for minute in range(4)]
    other = [(3, minute, SHORT, 100.9, 101.0, 8.0, False) for minute in range(4)]
    one = history([99.5, 98.5, 98.4, 100.5], clusters(*near, *far, *other))
    assert found_at(one)[Stage.NEARED] == [(1, LONG), (3, SHORT)]


def test_what_is_a_moment_does_not_depend_on_what_comes_after() -> None:
    whole = series(5, days=6, pull=0.1)
    cut = 6_000
    rows = whole.clusters
    known = rows.minute < cut
    part = replace(
        whole,
        close=whole.close[:cut],
        high=whole.high[:cut],
        low=whole.low[:cut],
        executed=whole.executed[:cut],
        judged=whole.judged[:cut],
        clusters=Clusters(*(getattr(rows, name)[known] for name in rows.__dataclass_fields__)),
    )
    before = {stage: [at for at in found if at[0] < cut] for stage, found in found_at(whole).items()}
    assert found_at(part) == before
    assert before[Stage.NEARED]
    np.testing.assert_array_equal(without_cluster(part, 5, 1), without_cluster(whole, 5, 1)[:cut])


def test_a_control_has_had_no_large_cluster_near_for_an_hour() -> None:
    rows = clusters((1, 70, LONG, 97.0, 98.5, 8.0, False), (2, 90, LONG, 98.0, 99.0, 4.0, False))
    one = history([100.0] * 200, rows)
    free = without_cluster(one, 5.0, 1.0)
    # 59 is the first minute with an hour behind it; the cluster at 70 is 1.5% away, within twice what is near.
    assert np.flatnonzero(free).tolist() == [*range(59, 70), *range(130, 200)]
    unknown = replace(one, judged=np.arange(200) != 150)
    assert not without_cluster(unknown, 5.0, 1.0)[150:210].any()


def test_what_follows_a_moment_can_be_worked_out_by_hand() -> None:
    # An hour of steps up and down by 1%, then up by 1%, four minutes flat, and down by 2% in the sixth.
    before = [100.0, 101.0] * 30
    close = np.array([*before, 100.0, 101.0, 101.0, 101.0, 101.0, 101.0, 98.98, *[98.98] * 240])
    one = history(close.tolist(), clusters())
    one.executed[60:67, 0] = [64.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
    step = 100 * np.log(1.01)
    longs, shorts = surroundings(one, LONG), surroundings(one, SHORT)
    assert longs.before[60] == pytest.approx([np.log(step), 0.0, step / (step * np.sqrt(5))])
    assert shorts.before[60] == pytest.approx([np.log(step), 0.0, -1 / np.sqrt(5)])
    volatility, towards, executed = longs.after[60, :, 0]
    assert (volatility, towards, executed) == pytest.approx((step, -step, 31.0))
    assert shorts.after[60, 1, 0] == pytest.approx(step)
    assert shorts.after[60, 2, 0] == 0.0
    volatility, towards, executed = longs.after[60, :, 1]
    fall = -100 * np.log(0.98)
    assert (volatility, towards, executed) == pytest.approx((np.hypot(step, fall), fall - step, 63.0))


def test_a_minute_without_a_price_makes_what_surrounds_it_unknown() -> None:
    one = series(3, days=1)
    one.close[700] = np.nan
    known = np.flatnonzero(usable(surroundings(one, LONG)))
    # A return needs two prices: 60 before the minute and 240 after it, and the one that they begin from.
    assert known.tolist() == [*range(60, 460), *range(761, 1_200)]


def test_controls_are_the_most_alike_an_hour_apart_and_within_the_caliper() -> None:
    before = np.zeros((2_000, 3))
    before[:, 1] = 0.4
    before[[100, 130, 400, 900], 1] = [0.01, 0.02, 0.1, 0.2]
    before[1_000:, 0] = 0.31
    before[1_990] = 0.0
    candidates = np.array([100, 130, 400, 900, 1_200, 1_500])
    assert controls_of(before, candidates, 1_990).tolist() == [100, 400, 900]
    assert len(controls_of(before, np.arange(1_000), 1_990)) == CONTROLS


def test_what_matching_leaves_of_volatility_and_trend_is_taken_out_by_a_line() -> None:
    one = series(4, days=3)
    around = surroundings(one, LONG)
    around.after[:] = 3.0 + 2.0 * around.before[:, 1][:, None, None]
    candidates = np.flatnonzero(usable(around))
    assert np.abs(beyond_the_line(around, candidates)[candidates]).max() < 1e-9
    # Too few for a line: less their mean.
    few = candidates[:50]
    mean = around.after[few, 0, 0].mean()
    assert beyond_the_line(around, few)[few, 0, 0] == pytest.approx(around.after[few, 0, 0] - mean)


def test_the_estimate_is_the_mean_difference_of_cases_and_controls() -> None:
    # Two cases of 5 and 9; controls 1 and 3 of the first, 4 of the second: differences 3 and 5.
    values = np.array([[5.0], [-0.5], [-1.5], [9.0], [-4.0]])
    estimate, low, high = intervals(values, np.array([1.0, 0, 0, 1, 0]), np.array([0, 0, 0, 1, 1]), 500, 1)
    assert estimate == pytest.approx([4.0])
    # Drawn again, the two blocks give 3, 4 or 5, a quarter of the time each end; the bounds are widened alike.
    assert low[0] < 3
    assert high[0] > 5
    assert 4 - low[0] == pytest.approx(high[0] - 4)


def test_intervals_of_few_blocks_are_widened_as_student_says() -> None:
    # Tables give 2.262 for 9 degrees of freedom, and 1.960 for a normal distribution.
    values = np.array([0.0, 1.0] * 5)[:, None]
    estimate, low, _ = intervals(values, np.ones(10), np.arange(10), 20_000, 1)
    # Half of 0 to 10 ones in 10: 2.5% of the draws have 2 or fewer.
    assert (estimate[0] - low[0]) / 0.3 == pytest.approx((10 / 9) ** 0.5 * 2.262 / 1.960, rel=2e-3)


def missed(by_block: bool, worlds: int = 300) -> float:
    """Share of worlds whose interval misses the true difference of 0, where cases of one block share most of it."""
    generator = np.random.default_rng(11)
    blocks = np.repeat(np.arange(25), 6)
    outside = 0
    for _ in range(worlds):
        shared = generator.standard_t(5, 25)[blocks]
        values = (shared + generator.standard_normal(len(blocks)))[:, None]
        named = blocks if by_block else np.arange(len(blocks))
        _, low, high = intervals(values, np.ones(len(blocks)), named, 300, 2)
        outside += not low[0] <= 0 <= high[0]
    return outside / worlds


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    assert 0.02 <= missed(by_block=True) <= 0.09
    # Cases drawn one by one pretend to know more than they do.
    assert missed(by_block=False) > 0.2


def answer(pull: float, **effects: float) -> Study:
    return study([series(seed, pull=pull, **effects) for seed in (1, 2)], 5.0, 1.0)  # type: ignore[arg-type]


def test_clusters_that_pull_attract() -> None:
    found = answer(0.15)
    assert verdict(found) == "attract"
    estimate = found.stages[Stage.NEARED].estimates["towards"][5]
    # Five minutes of 0.15 standard deviations of 0.06%, less what comes after the cluster is left.
    assert estimate.difference == pytest.approx(5 * 0.15 * 0.06, rel=0.8)
    assert in_words(found)[0].startswith(
        "Clusters attract price. In the hour after it came within 1% of one, it went 0."
    )


def test_clusters_that_push_repel() -> None:
    found = answer(-0.4)
    assert verdict(found) == "repel"
    assert in_words(found)[0].startswith("Clusters repel price.")
    assert "less far towards it" in in_words(found)[0]


def test_clusters_that_do_nothing_are_said_to_do_nothing() -> None:
    found = answer(0.0)
    assert verdict(found) == "nothing"
    neared = found.stages[Stage.NEARED]
    assert neared.cases >= FEWEST_CASES
    assert neared.estimates["volatility"][60].sign == 0
    assert in_words(found)[0].startswith("Clusters do nothing")


def test_the_noise_and_the_liquidations_after_a_sweep_are_seen() -> None:
    found = study([series(seed, 30, 0.15, 1.0, 2.0, 1e6) for seed in (1, 2, 3)], 5.0, 1.0)
    swept = found.stages[Stage.SWEPT]
    executed, volatility = swept.estimates["executed"], swept.estimates["volatility"]
    assert swept.is_enough
    assert executed[5].case == pytest.approx(500_000)
    assert executed[15].case == pytest.approx(1e6)
    assert executed[60].low > 800_000
    # Twice as loud for an hour: 0.93% against 0.46%.
    assert volatility[60].case == pytest.approx(2 * 0.06 * 60**0.5, rel=0.1)
    assert volatility[60].low > 0.2
    sentence = in_words(found)[-1]
    assert sentence.startswith("In the hour after price swept one: more volatile than like moments (0.9")
    assert "more liquidations ($1.00M against" in sentence


def test_a_short_history_is_too_few_cases() -> None:
    found = study([series(1, days=2)], 5.0, 1.0)
    assert verdict(found) == "too few cases"
    assert in_words(found)[0].startswith("Too few cases to say whether clusters attract price: ")
    nothing = study([], 5.0, 1.0)
    assert verdict(nothing) == "too few cases"
    assert nothing.figures()["stages"]["neared"]["cases"] == 0
    without = study([history([100.0, 101.0], clusters())], 5.0, 1.0)
    assert without.minutes == 2


def test_the_figures_are_json_that_any_reader_takes() -> None:
    found = study([series(1, days=12, pull=0.1)], 5.0, 1.0)
    text = json.dumps(found.figures(), allow_nan=False)
    outcome = json.loads(text)["stages"]["neared"]["outcomes"]["towards"]["60"]
    assert outcome["case"] - outcome["control"] == pytest.approx(outcome["difference"])
    assert study([series(1, days=12, pull=0.1)], 5.0, 1.0).figures() == found.figures()
