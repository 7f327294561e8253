"""Worlds: the same seed is the same world, ranges and seeds are the committed ones, and no seed serves two ends."""

import numpy as np
import pytest

from liqheat.platform.errors import ConfigurationError
from liqheat.simulator.world import open_world, plan, seeds_of, world_of

SCRATCH = 31
"""A seed that belongs to neither part."""


def test_seeds_for_development_and_those_kept_apart_do_not_meet() -> None:
    development, held_out = (set(plan()["seeds"][part]) for part in ("development", "held_out"))
    assert len(development) == len(held_out) == 40
    assert not development & held_out
    assert not held_out & set(plan()["seeds"]["judged_before"])


def test_more_worlds_than_committed_seeds_are_refused() -> None:
    assert len(seeds_of("development", 40)) == 40
    with pytest.raises(ConfigurationError, match="at most 40 worlds"):
        seeds_of("held_out", 41)


def test_the_same_seed_draws_the_same_world_and_others_differ() -> None:
    assert world_of(SCRATCH) == world_of(SCRATCH)
    assert world_of(SCRATCH) != world_of(SCRATCH + 1)


def test_what_is_drawn_fills_the_committed_ranges_and_keeps_to_them() -> None:
    worlds = [world_of(seed) for seed in range(300)]
    drawn = {
        "small_share": [world.people.small_share for world in worlds],
        "large_margin": [world.people.large_margin for world in worlds],
        "defended_share": [world.people.defended_share for world in worlds],
        "large_holding_exponent": [world.people.large_holding.exponent for world in worlds],
        "depth_exponent": [world.depth.exponent for world in worlds],
        "refill_half_life_hours": [world.depth.refill_half_life_hours for world in worlds],
        "depth_share": [world.depth.depth_usd / world.coin.open_interest_usd for world in worlds],
    }
    for name, values in drawn.items():
        kind, low, high = plan()["ranges"][name]
        assert low * (1 - 1e-9) <= min(values)
        assert max(values) <= high * (1 + 1e-9)
        scaled = np.log(values) if kind == "log" else np.array(values)
        ends = np.log([low, high]) if kind == "log" else np.array([low, high])
        assert scaled.mean() == pytest.approx(ends.mean(), abs=0.1 * (ends[1] - ends[0]))
    assert 0.4 < np.mean([world.is_sampled for world in worlds]) < 0.6
    assert 0.4 < np.mean([world.regime == "wandering" for world in worlds]) < 0.6
    assert len({world.regime for world in worlds}) == 8


def test_the_same_world_opens_to_the_same_market() -> None:
    def marks() -> list[list[float]]:
        market = open_world(world_of(SCRATCH))
        return [market.step(30_000).mark_prices.tolist() for _ in range(20)]

    assert marks() == marks()
