"""The measures of a map on profiles that a reader can check by hand, and the baselines on a log of four events."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from liqheat.cli import scoring_run
from liqheat.cli.main import app, load_commands
from liqheat.cli.scoring_run import Run
from liqheat.domain.events import Event, Mark, OpenInterest, Trade, to_batch
from liqheat.domain.market import Side, Venue
from liqheat.domain.price_grid import bucket_of, lower_edge
from liqheat.platform.settings import Engine
from liqheat.scoring.baselines import BASELINES, OpenInterestLadder
from liqheat.scoring.measures import (
    Profile,
    Tally,
    earth_movers_percent,
    found_share,
    overlap,
    peaks,
    profile_within,
    swept_usd,
    top_hit_rate,
)

START = 1_767_225_600_000
AT = (Venue.BINANCE, "VIRTUAL", "VIRTUALUSDT")
BASE = int(bucket_of(1.5, 5))
"""Buckets here are 0.005 wide: five fine ones of 0.001."""
WIDTH = float(lower_edge(BASE + 1, 5) - lower_edge(BASE, 5))


def profile(*usd: float) -> Profile:
    return Profile(BASE, np.array(usd), 5)


def test_a_map_that_is_right_scores_one_and_moves_nothing() -> None:
    true = profile(1.0, 0.0, 3.0)
    assert earth_movers_percent(true, true, 1.5) == 0.0
    assert overlap(true, true) == 1.0
    assert top_hit_rate(true, true, 1.5) == 1.0


def test_the_earth_movers_distance_is_how_far_the_notional_must_travel() -> None:
    # Everything lies two buckets too far, however much it is.
    moved = earth_movers_percent(profile(1.0, 0.0, 0.0), profile(0.0, 0.0, 7.0), 1.5)
    assert moved == pytest.approx(2 * WIDTH / 1.5 * 100)
    assert earth_movers_percent(profile(1.0), profile(0.0), 1.5) == pytest.approx(10.0)
    assert np.isnan(earth_movers_percent(profile(0.0), profile(1.0), 1.5))


def test_overlap_is_the_smaller_of_each_bucket_over_the_larger_total() -> None:
    # Minima 1 + 0 + 2 of totals 4 and 6.
    assert overlap(profile(1.0, 1.0, 2.0), profile(2.0, 0.0, 4.0)) == pytest.approx(3 / 6)
    assert found_share(profile(1.0, 1.0, 2.0), profile(2.0, 0.0, 4.0)) == pytest.approx(3 / 4)
    assert np.isnan(found_share(profile(0.0), profile(1.0)))


def test_a_hit_is_a_cluster_within_half_a_percent() -> None:
    true = Profile(BASE, np.zeros(30), 5)
    near, far = Profile(BASE, np.zeros(30), 5), Profile(BASE, np.zeros(30), 5)
    true.usd[[5, 25]] = 9.0, 4.0
    near.usd[[6, 25]] = 1.0, 1.0
    far.usd[[15, 25]] = 1.0, 1.0
    assert peaks(true, 1.5).tolist() == true.prices()[[5, 25]].tolist()
    assert top_hit_rate(true, near, 1.5) == 1.0
    assert top_hit_rate(true, far, 1.5) == 0.5


def test_a_profile_holds_its_side_of_the_mark_and_a_move_sweeps_up_to_where_it_came() -> None:
    buckets = bucket_of(np.array([1.49, 1.40, 1.40, 1.2, 1.6]), 5)
    held = profile_within(buckets, np.array([1.0, 2.0, 3.0, 50.0, 50.0]), 1.5, Side.LONG, 5)
    assert held.total == 6.0
    assert swept_usd(held, Side.LONG, 1.45) == 1.0
    assert swept_usd(held, Side.LONG, 1.40) == 6.0


def test_a_tally_averages_maps_and_adds_notionals_up() -> None:
    tally = Tally.empty()
    tally.add(profile(1.0, 1.0), profile(1.0, 1.0), 1.5)
    tally.add(profile(2.0, 0.0), profile(0.0, 4.0), 1.5)
    tally.add_move(8.0, 6.0)
    figures = tally.figures()
    assert figures["overlap"] == 0.5
    assert figures["found_share"] == 0.5
    assert figures["notional_ratio"] == pytest.approx(6 / 4)
    assert figures["calibration_error"] == pytest.approx(0.25)
    assert set(figures) >= {"emd_pct", "overlap", "top5_hit_rate", "notional_ratio", "calibration_error"}


def test_every_baseline_maps_a_tiny_log_with_longs_below_and_shorts_above() -> None:
    log: list[Event] = [Mark(*AT, START, 1.5), OpenInterest(*AT, START, 1e6)]
    for minute in range(1, 21):
        now = START + minute * 60_000
        log += [
            Trade(*AT, now, 1.5, 4e5, (-1) ** minute),
            Mark(*AT, now, 1.5),
            OpenInterest(*AT, now, 1e6 + minute * 1e4),
        ]
    for name, kind in BASELINES.items():
        method = kind(5)
        for event in log:
            method.take(to_batch([event]))
        for side in Side:
            buckets, usd = method.map(side)
            held = usd > 0
            if name != "candle direction" or side is Side.LONG:
                assert held.any(), (name, side)
            assert ((BASE - buckets[held]) * side >= 0).all(), (name, side)


def test_open_interest_on_a_ladder_spreads_all_of_it() -> None:
    method = OpenInterestLadder(5)
    for event in (Trade(*AT, START, 1.5, 10.0, 1), Mark(*AT, START, 1.5), OpenInterest(*AT, START, 1_000.0)):
        method.take(to_batch([event]))
    assert method.map(Side.LONG)[1].sum() == pytest.approx(1_500.0)


def test_a_tiny_run_scores_every_method(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = Run("ranging", "VIRTUAL", "balanced", 1, hours=2, burn_in=1, traders=300, engine=Engine())
    monkeypatch.setattr(scoring_run, "standard_runs", lambda *_: [tiny])
    monkeypatch.setattr("liqheat.cli.score_runs.run_all", lambda runs, *_: [scoring_run.score(run) for run in runs])
    load_commands()
    result = CliRunner().invoke(app, ["score", "--quick", "--json"])
    assert result.exit_code == 0, result.output
    methods = json.loads(result.stdout)["methods"]
    assert set(methods) == {"liqheat", *BASELINES}
    for figures in methods.values():
        assert set(figures) >= {"emd_pct", "overlap", "top5_hit_rate", "notional_ratio", "calibration_error"}
        assert figures["notional_ratio"] > 0
