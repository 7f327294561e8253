"""Sums over worlds: median, worst tenth, and shares of the oracle's."""

import pytest

from liqheat.scoring.world_figures import Figures, summaries, with_oracle


def figures(overlap: float | None, ratio: float | None = 1.0, distance: float | None = 1.0) -> Figures:
    return {
        "overlap": overlap,
        "top5_hit_rate": 0.5,
        "notional_ratio": ratio,
        "calibration": ratio,
        "emd_pct": distance,
    }


def test_a_methods_overlap_is_given_over_the_oracles_in_the_same_world() -> None:
    world = with_oracle({"ours": figures(0.3), "oracle": figures(0.4)}, "oracle")
    assert world["ours"]["overlap_of_oracle"] == pytest.approx(0.75)
    assert world["oracle"]["overlap_of_oracle"] == 1.0
    assert with_oracle({"ours": figures(None), "oracle": figures(0.4)}, "oracle")["ours"]["overlap_of_oracle"] is None


def test_the_worst_tenth_is_low_for_overlap_high_for_distance_and_far_from_one_for_ratios() -> None:
    ratios = [1.0, 1.1, 0.95, 1.2, 0.9, 1.05, 1.0, 0.98, 1.02, 0.2, 4.0]
    worlds = [
        with_oracle({"ours": figures(number / 10, ratio, number), "oracle": figures(1.0)}, "oracle")
        for number, ratio in enumerate(ratios)
    ]
    ours = summaries(worlds)["ours"]
    assert ours["overlap"].median == pytest.approx(0.5)
    assert ours["overlap"].worst_tenth == pytest.approx(0.1)
    assert ours["emd_pct"].worst_tenth == pytest.approx(9.0)
    # A fifth (0.2) is further from 1 than fourfold (4.0) is; nine tenths of eleven keep within 4.0.
    assert ours["notional_ratio"].worst_tenth == 4.0
    assert ours["notional_ratio"].worlds == 11


def test_a_measure_that_was_nowhere_has_no_summary() -> None:
    nothing = with_oracle({"oracle": figures(None, None, None)}, "oracle")
    one = summaries([nothing])["oracle"]["overlap"]
    assert (one.median, one.worst_tenth, one.worlds) == (None, None, 0)
