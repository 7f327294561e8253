"""The colour scale of the map, by measure and width of a bucket."""

from liqheat.domain.thresholds import HEAT_LEVELS_PERCENT_OF_ADV, heat_scale
from liqheat.viewer.request import MEASURES


def test_each_measure_has_colours_of_its_own() -> None:
    assert set(HEAT_LEVELS_PERCENT_OF_ADV) == set(MEASURES)


def test_colour_steps_grow_with_the_width_of_the_bucket() -> None:
    assert heat_scale().levels == HEAT_LEVELS_PERCENT_OF_ADV["at_risk"]
    assert heat_scale(10).highest == 2 * heat_scale(5).highest
    assert heat_scale(10, "expected").lowest == 2 * HEAT_LEVELS_PERCENT_OF_ADV["expected"][0]
