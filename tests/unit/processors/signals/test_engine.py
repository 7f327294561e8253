"""When a symbol's minute is judged: live venues, the fastest's lead, silence, late windows, gaps."""

import pytest

from liqheat.domain.events import Batch, Kind
from liqheat.domain.market import Venue
from liqheat.domain.windows import MINUTE_MS
from tests.support.signal_cases import START, Story, heatmap_frame, market, said_of

LONGS = {0.85: 6e6}


def closes(venue: Venue, number: int, mark: float = 0.95, usd: float = 6e6, swept: float = 0.0) -> list[Batch]:
    """Return what `venue` publishes when it closes the minute `number`."""
    window = START + number * MINUTE_MS
    swept_longs = {0.85: swept} if swept else {}
    return market(window, mark, heatmap_frame(window, {0.85: usd}, {}, swept_longs), venue=venue)


def judged(story: Story) -> list[tuple[int, int]]:
    """Return (minute, live venues) of each judged minute."""
    return [((reading.window_start - START) // MINUTE_MS, reading.venues) for reading in story.readings]


def test_a_minute_is_judged_when_all_live_venues_have_closed_it() -> None:
    story = Story()
    story.hear(closes(Venue.BINANCE, 0))
    story.hear(closes(Venue.BYBIT, 0))
    story.hear(closes(Venue.BINANCE, 1))
    assert judged(story) == [(0, 1)], "Bybit is known by now and has not closed minute 1"
    story.hear(closes(Venue.BYBIT, 1))
    assert judged(story) == [(0, 1), (1, 2)]
    assert story.readings[-1].max_pain_long_usd == 12_000_000_000_000


def test_a_slow_venue_is_left_behind_once_the_fastest_leads_by_two_minutes() -> None:
    story = Story(lag_minutes=2)
    story.hear(closes(Venue.BINANCE, 0))
    story.hear(closes(Venue.BYBIT, 0))
    for number in (1, 2):
        story.hear(closes(Venue.BINANCE, number))
    assert judged(story) == [(0, 1)]
    story.hear(closes(Venue.BINANCE, 3))
    # Its latest map still counts.
    assert judged(story) == [(0, 1), (1, 2)]
    assert story.readings[-1].max_pain_long_usd == 12_000_000_000_000


def test_a_silent_venue_holds_nothing_up_and_its_map_is_left_out() -> None:
    story = Story(stale_minutes=3)
    story.hear(closes(Venue.BINANCE, 0))
    story.hear(closes(Venue.BYBIT, 0))
    for number in range(1, 8):
        story.hear(closes(Venue.BINANCE, number))
    assert judged(story) == [(0, 1), (1, 2), (2, 2), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1)]
    assert story.readings[-1].max_pain_long_usd == 6_000_000_000_000


def test_what_a_late_venue_swept_counts_in_the_next_minute() -> None:
    story = Story()
    story.hear(closes(Venue.BINANCE, 0))
    story.hear(closes(Venue.BYBIT, 0))
    for number in (1, 2, 3):
        story.hear(closes(Venue.BINANCE, number))
    story.hear(closes(Venue.BYBIT, 1, usd=2e6, swept=4e6))
    assert judged(story)[-1] == (1, 2)
    for number in (2, 3):
        story.hear(closes(Venue.BYBIT, number, usd=2e6))
    (swept,) = {row.swept_usd for row in story.clusters if row.window_start >= START + 2 * MINUTE_MS}
    assert swept == 4_000_000_000_000


def test_history_of_a_venue_that_comes_later_changes_no_judged_minute() -> None:
    story = Story()
    for number in range(10):
        story.hear(closes(Venue.BINANCE, number))
    rows = len(story.readings)
    for number in range(9):
        story.hear(closes(Venue.BYBIT, number))
    assert len(story.readings) == rows
    story.hear(closes(Venue.BYBIT, 9))
    story.hear(closes(Venue.BINANCE, 10))
    story.hear(closes(Venue.BYBIT, 10))
    assert judged(story)[-1] == (10, 2)


def test_hours_of_history_that_come_at_once_are_no_minutes_range_or_flow() -> None:
    """As at the start of a demo: Bybit's and OKX's history comes after Binance's, with a high and a low of its own."""
    story = Story()
    for number in range(60):
        story.hear(closes(Venue.BINANCE, number, mark=0.95))
    for venue in (Venue.BYBIT, Venue.OKX):
        for number in range(60):
            window = START + number * MINUTE_MS
            low, high = (0.80, 1.20) if number == 10 else (0.95, 0.95)
            frame = heatmap_frame(window, LONGS, {1.10: 6e6}, {0.85: 6e6} if number == 10 else {})
            # $8,000 per minute: an hour of two venues is a cascade, the last minutes of it are none.
            executed = 8_000_000_000
            said = market(window, 0.95, frame, venue=venue, low=low, high=high, liquidated_long_usd=executed)
            story.hear(said)
    for venue in (Venue.BINANCE, Venue.BYBIT, Venue.OKX):
        window = START + 60 * MINUTE_MS
        story.hear(market(window, 0.95, heatmap_frame(window, LONGS, {1.10: 6e6}), venue=venue))
    assert judged(story)[-1] == (60, 3)
    assert [alert.kind for alert in story.alerts] == []
    assert {cluster.swept_usd for cluster in story.clusters} == {0}


def test_a_gap_of_hours_is_stepped_over() -> None:
    story = Story()
    story.hear(closes(Venue.BINANCE, 0))
    story.hear(closes(Venue.BINANCE, 600))
    assert judged(story) == [(0, 1), (600, 1)]
    assert story.clusters[-1].cluster_id == story.clusters[0].cluster_id


def test_a_minute_cut_into_several_batches_is_one_map() -> None:
    story, whole = Story(), Story()
    window = START
    first, second = heatmap_frame(window, {0.85: 6e6}, {}), heatmap_frame(window, {0.84: 6e6}, {})
    story.hear(market(window, 0.95, first, second))
    whole.hear(market(window, 0.95, heatmap_frame(window, {0.84: 6e6, 0.85: 6e6}, {})))
    assert repr(story.clusters) == repr(whole.clusters)


def test_a_minute_without_any_mark_says_nothing() -> None:
    story = Story()
    story.hear(market(START, float("nan"), heatmap_frame(START, LONGS, {})))
    assert story.readings == []


def test_other_outputs_are_ignored() -> None:
    story = Story()
    story.minute(0.95, longs=LONGS)
    frame = story.hear([])
    assert frame == []


@pytest.mark.parametrize(
    "kind", [Kind.CLUSTERS, Kind.CLUSTER_SHARES, Kind.ALERTS, Kind.SYMBOL_SIGNALS, Kind.MARKET_SIGNALS]
)
def test_every_kind_of_output_can_be_read_back(kind: Kind) -> None:
    from liqheat.platform.codec import decode, encode
    from processors.signals.state import SignalState

    outputs = said_of(SignalState("VIRTUAL"), market(START, 0.90, heatmap_frame(START, LONGS, {})), Story().settings)
    (batch,) = [output for output in outputs if output.kind is kind]
    assert decode(*encode(batch)).frame.equals(batch.frame)
