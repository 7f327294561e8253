"""Cascade: executed liquidations far above the usual, once while they last."""

from liqheat.domain.money import MICRO_USD_PER_USD
from tests.support.signal_cases import CLUSTER, Story, rules


def test_a_cascade_is_ten_times_the_usual() -> None:
    story = Story(cascade_warmup_minutes=30)
    for _ in range(30):
        assert story.minute(0.95, longs=CLUSTER, liquidated_long_usd=20_000 * MICRO_USD_PER_USD) == []
    assert story.minute(0.95, longs=CLUSTER, liquidated_long_usd=199_000 * MICRO_USD_PER_USD) == []
    (alert,) = story.minute(0.95, longs=CLUSTER, liquidated_long_usd=600_000 * MICRO_USD_PER_USD)
    assert (alert.kind, alert.side, alert.cluster_id) == ("cascade", 1, "")
    assert alert.message == "VIRTUAL cascade: $600.0k of longs liquidated in a minute, 23 times the usual or more"


def test_a_cascade_is_sent_once_while_it_lasts_and_not_before_the_usual_is_known() -> None:
    story = Story(cooldown_minutes=0, cascade_warmup_minutes=30)

    def minute(thousands: int) -> int:
        executed = thousands * 1_000 * MICRO_USD_PER_USD
        return len(story.minute(0.95, longs=CLUSTER, liquidated_short_usd=executed))

    assert [minute(500), *(minute(20) for _ in range(300))] == [0] * 301
    # Usually 20k, so 200k is a cascade; it ends after five minutes in a row below 100k.
    assert [minute(amount) for amount in (500, 20, 500, 20, 20, 20, 20, 500)] == [1, 0, 0, 0, 0, 0, 0, 0]
    assert [minute(amount) for amount in (20, 20, 20, 20, 20, 500)] == [0, 0, 0, 0, 0, 1]


def test_a_small_burst_after_silence_is_no_cascade() -> None:
    story = Story()
    for _ in range(40):
        story.minute(0.95, longs=CLUSTER)
    assert story.minute(0.95, longs=CLUSTER, liquidated_long_usd=99_000 * MICRO_USD_PER_USD) == []
    assert rules(story.minute(0.95, longs=CLUSTER, liquidated_long_usd=100_000 * MICRO_USD_PER_USD)) == ["cascade"]


def test_a_large_burst_after_silence_is_no_silly_number() -> None:
    story = Story()
    for _ in range(40):
        story.minute(0.95, longs=CLUSTER)
    (alert,) = story.minute(0.95, longs=CLUSTER, liquidated_long_usd=20_000_000 * MICRO_USD_PER_USD)
    assert alert.message.endswith("$20.00M of longs liquidated in a minute, more than 1,000 times the usual")
