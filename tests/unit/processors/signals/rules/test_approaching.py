"""Approaching: once within the distance, again after price went further and the cool-down passed."""

from tests.support.signal_cases import Story, alerts_of


def test_approaching_is_sent_once_within_five_percent_of_the_outer_edge() -> None:
    # 5 % before $0.87 is 0.87 / 0.95 = $0.9158.
    assert alerts_of(Story(), [0.95, 0.92, 0.915, 0.91, 0.92, 0.915]) == [[], [], ["approaching"], [], [], []]


def test_approaching_is_sent_again_after_price_went_a_percent_further_and_the_cool_down_passed() -> None:
    story = Story(cooldown_minutes=4)
    # Six percent away is 0.87 / 0.94 = $0.9255; the second approach comes five minutes after the first.
    assert alerts_of(story, [0.915, 0.92, 0.926, 0.926, 0.926, 0.915]) == [
        ["approaching"],
        [],
        [],
        [],
        [],
        ["approaching"],
    ]
    trembling = Story(cooldown_minutes=0)
    assert alerts_of(trembling, [0.915, 0.92, 0.915]) == [["approaching"], [], []]
    hasty = Story(cooldown_minutes=30)
    assert alerts_of(hasty, [0.915, 0.926, 0.915])[-1] == []
