"""The watch over single streams: what is lost is told in time, what is only quiet is not."""

import random

from ingest.watch import Stream, StreamWatch
from liqheat.domain.events import Kind

TRADES = Stream("TAOUSDT", Kind.TRADES)
MARKS = Stream("TAOUSDT", Kind.MARKS)
OPEN_INTEREST = Stream("TAOUSDT", Kind.OPEN_INTEREST)
LIMIT = 120.0


def watch_at(now: float) -> StreamWatch:
    watch = StreamWatch(["TAOUSDT"], LIMIT)
    watch.restart(now)
    return watch


def test_trades_that_stop_are_told_though_marks_go_on() -> None:
    watch = watch_at(1_000.0)
    told = {}
    for now in range(1_000, 1_300):
        watch.heard([MARKS, TRADES] if now < 1_050 else [MARKS], now)
        if overdue := watch.overdue(now):
            told[now] = overdue
    assert told == {1_049 + 120: [TRADES], 1_049 + 240: [TRADES]}


def test_a_stream_that_was_never_heard_is_told_where_it_is_expected() -> None:
    watch = watch_at(0.0)
    assert watch.overdue(LIMIT - 1) == []
    assert watch.overdue(LIMIT) == [MARKS, TRADES]
    watch.heard([OPEN_INTEREST, Stream("TAOUSDT", Kind.LIQUIDATIONS)], LIMIT)
    assert watch.overdue(2 * LIMIT - 1) == []
    assert watch.overdue(2 * LIMIT) == [MARKS, OPEN_INTEREST, TRADES], "liquidations come when they come"


def test_a_market_that_trades_in_bursts_is_left_in_peace_once_it_is_known() -> None:
    """Bursts with pauses of 1 to 4 min: a loss is suspected a few times at first, then no more."""
    generator = random.Random(5)
    watch = watch_at(0.0)
    now, next_burst = 0.0, 0.0
    suspected = []
    while now < 86_400:
        now += 5
        watch.heard([MARKS], now)
        if now >= next_burst:
            watch.heard([TRADES], now)
            next_burst = now + generator.uniform(60, 240)
        suspected += [now] if watch.overdue(now) else []
    assert 1 <= len(suspected) <= 5
    assert suspected[-1] < 3_600
    last_trade = now
    while not watch.overdue(now):
        now += 5
        watch.heard([MARKS], now)
    assert now - last_trade <= 3 * 240 + 240, "and its loss is seen all the same"


def test_what_one_subscription_carried_is_told_together() -> None:
    watch = watch_at(0.0)
    watch.heard([MARKS, OPEN_INTEREST, TRADES], 10.0)
    watch.heard([MARKS], 14.0)
    for now in range(15, 132):
        watch.heard([TRADES], now)
    assert watch.overdue(129.9) == []
    assert watch.overdue(131.0) == [MARKS, OPEN_INTEREST], "marks, last heard 4 s later, are lost as well"


def test_a_long_pause_is_forgotten_with_time() -> None:
    watch = watch_at(0.0)
    watch.heard([TRADES, MARKS], 0.0)
    watch.heard([TRADES], 3_000.0)
    for now in range(3_000, 60_000, 10):
        watch.heard([TRADES, MARKS], now)
    assert watch.overdue(59_990 + LIMIT - 1) == []
    assert watch.overdue(59_990 + LIMIT) == [MARKS, TRADES]


def test_time_in_which_nothing_was_read_does_not_count() -> None:
    watch = watch_at(0.0)
    watch.heard([TRADES, MARKS], 1.0)
    watch.restart(500.0)
    assert watch.overdue(500.0 + LIMIT - 1) == []
    assert watch.overdue(500.0 + LIMIT) == [MARKS, TRADES]
    watch.restart(700.0)
    assert watch.overdue(740.0) == [MARKS, TRADES], "240 s after they were last heard; a told loss stays one"
