"""Caution: above the share of volume, again after it fell below nine tenths of that."""

from tests.support.signal_cases import Story, rules


def test_caution_above_fifteen_percent_of_volume_and_again_after_it_fell_below_nine_tenths() -> None:
    story = Story(cooldown_minutes=0)
    sequence = (14.9e6, 15.1e6, 16e6, 14e6, 15.1e6, 13.4e6, 15.1e6)
    assert [rules(story.minute(0.95, longs={0.80: amount})) for amount in sequence] == [
        [],
        ["caution"],
        [],
        [],
        [],
        [],
        ["caution"],
    ]


def test_caution_holds_for_thin_tokens_of_any_size() -> None:
    story = Story()
    assert rules(story.minute(0.95, longs={0.80: 0.4e6}, turnover_24h_usd=2e6)) == ["caution"]
