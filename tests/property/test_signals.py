"""What must hold of signals over any stretch of time: one identity, one alert, whatever the cuts and restarts."""

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqheat.domain.events import Batch
from liqheat.domain.market import Side, Venue
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.state_codec import pack, unpack
from processors.signals.curves import cumulative
from processors.signals.state import SignalState
from tests.support.signal_cases import FACTOR, START, Story, book, heatmap_frame, liquidated_by, market

VENUES = (Venue.BINANCE, Venue.BYBIT, Venue.OKX)
MINUTES = 24 * 60


def day(seed: int, minutes: int = MINUTES) -> list[list[Batch]]:
    """Return what three venues close in a day: drifting humps of liquidations, noise, and a price that wanders.

    What price reaches is swept; humps drift, swell and shrink slowly, each bucket by 10 % noise a minute.
    """
    random_ = np.random.default_rng(seed)
    prices = np.round(np.arange(0.50, 1.00, 0.01), 2)
    centres = np.array([0.66, 0.75, 0.83, 0.95, 0.985])
    mark = 0.90
    outputs: list[list[Batch]] = []
    alive = np.ones(len(prices), dtype=bool)
    for number in range(minutes):
        before = mark
        mark = float(np.clip(mark * np.exp(random_.normal(0, 0.0012)), 0.70, 0.97))
        low, high = min(before, mark) * 0.9995, max(before, mark) * 1.0005
        humps = sum(
            (4e6 + 1.5e6 * np.sin(number / 200 + index))
            * np.exp(-(((prices + 0.005 - centre - 0.004 * np.sin(number / 300 + 2 * index)) / 0.012) ** 2))
            for index, centre in enumerate(centres)
        )
        touched = (prices + 0.01 > low) & (prices <= high)
        # What was swept fills again only slowly.
        alive = (alive | (random_.random(len(prices)) < 1 / 300)) & ~touched
        window = START + number * MINUTE_MS
        for venue in VENUES:
            amounts = (humps + 0.15e6) * random_.uniform(0.9, 1.1, len(prices)) / len(VENUES)
            longs = {float(p): float(a) for p, a, ok in zip(prices, amounts, alive, strict=True) if ok and p < mark}
            shorts = {float(p): float(a) for p, a, ok in zip(prices, amounts, alive, strict=True) if ok and p > mark}
            swept = {float(p): float(a) for p, a in zip(prices[touched], amounts[touched], strict=True)}
            frame = heatmap_frame(
                window,
                longs,
                shorts,
                {p: a for p, a in swept.items() if p <= before},
                {p: a for p, a in swept.items() if p > before},
            )
            executed = int(random_.exponential(3e9))
            outputs.append(market(window, mark, frame, venue=venue, low=low, high=high, liquidated_long_usd=executed))
    return outputs


DAY = day(1)


@pytest.fixture(scope="module")
def uninterrupted() -> Story:
    story = Story(cluster_usd=1e6)
    for outputs in DAY:
        story.hear(outputs)
    return story


def test_a_cluster_that_persists_keeps_its_identity_in_99_percent_of_windows(uninterrupted: Story) -> None:
    """Follow each hump by what cluster holds its centre, minute by minute; a change of id is a break."""
    by_window: dict[int, list[tuple[float, float, str, int]]] = {}
    for row in uninterrupted.clusters:
        if row.state not in ("swept", "gone"):
            place = (row.price_low, row.price_high, row.cluster_id, row.side)
            by_window.setdefault(row.window_start, []).append(place)
    kept = total = 0
    windows = sorted(by_window)
    assert len(windows) > MINUTES - 10
    for before, now in pairwise(windows):
        for low, high, name, side in by_window[before]:
            same_place = [row for row in by_window[now] if row[3] == side and row[0] < high and low < row[1]]
            if same_place:
                total += 1
                kept += any(row[2] == name for row in same_place)
    assert total > 3 * MINUTES
    assert kept / total >= 0.99
    # And not because everything has one name: identities end and begin where price went through.
    assert 5 < len({row.cluster_id for row in uninterrupted.clusters}) < 150


def test_no_alert_is_sent_twice_and_none_is_missing_over_twenty_random_restarts(uninterrupted: Story) -> None:
    """Killed twenty times: each time it goes on from its last checkpoint and hears again what came after it."""
    random_ = random.Random(7)
    kills = set(random_.sample(range(100, len(DAY)), 20))
    story = Story(cluster_usd=1e6)
    position, saved = 0, (0, pack(story.state))
    while position < len(DAY):
        story.hear(DAY[position])
        position += 1
        if random_.random() < 0.03:
            saved = position, pack(story.state)
        if position in kills:
            kills.remove(position)
            position, state = saved
            story.state = unpack(state, SignalState)
    assert not kills
    sent = [alert.alert_id for alert in uninterrupted.alerts]
    assert len(sent) == len(set(sent))
    assert {alert.kind for alert in uninterrupted.alerts} >= {"approaching", "entered", "swept"}
    repeated = [alert.alert_id for alert in story.alerts]
    assert len(repeated) > len(sent), "the kills must have repeated something, or this proves nothing"
    assert list(dict.fromkeys(repeated)) == sent


def test_a_replay_sends_the_same_again(uninterrupted: Story) -> None:
    again = Story(cluster_usd=1e6)
    for outputs in DAY[: len(DAY) // 3]:
        again.hear(outputs)
    assert again.alerts
    assert again.alerts == uninterrupted.alerts[: len(again.alerts)]
    # As text, since an ended cluster's shares are NaN.
    assert repr(again.clusters) == repr(uninterrupted.clusters[: len(again.clusters)])


@settings(max_examples=6, deadline=None)
@given(cuts=st.lists(st.integers(1, 30), min_size=1, max_size=20), restart=st.booleans())
def test_however_one_venues_minutes_are_gathered_the_rows_are_the_same(cuts: list[int], restart: bool) -> None:
    """The position engine closes many minutes at once after a backfill, one by one when live."""
    minutes = [outputs for outputs in DAY if outputs[-1].venue == Venue.BINANCE][:120]
    single, gathered = Story(), Story()
    for outputs in minutes:
        single.hear(outputs)
    position = 0
    while position < len(minutes):
        size = cuts[position % len(cuts)]
        gathered.hear([batch for outputs in minutes[position : position + size] for batch in outputs])
        position += size
        if restart:
            gathered.restart()
    assert repr(gathered.readings) == repr(single.readings)
    assert repr(gathered.clusters) == repr(single.clusters)
    assert gathered.alerts == single.alerts


@settings(max_examples=50, deadline=None)
@given(
    amounts=st.lists(st.integers(0, 10_000_000), min_size=20, max_size=20),
    price=st.floats(0.75, 0.95),
)
def test_the_curve_agrees_with_a_sum_by_hand(amounts: list[int], price: float) -> None:
    levels = {round(0.75 + 0.01 * number, 2): float(amount) for number, amount in enumerate(amounts)}
    map_ = book(Side.LONG, levels, factor=FACTOR)
    expected = sum(amount * min(max((low + 0.01 - price) / 0.01, 0.0), 1.0) for low, amount in levels.items() if amount)
    assert liquidated_by(map_, price) / 1e6 == pytest.approx(expected, abs=1)
    assert int(cumulative(map_).usd[-1]) == sum(amounts) * 1_000_000
