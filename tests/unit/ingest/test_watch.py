"""The watch over single streams: what is lost is reported in time, what is only quiet is not."""

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


def test_trades_that_stop_are_reported_though_marks_go_on() -> None:
    watch = watch_at(1_000.0)
    reported = {}
    for now in range(1_000, 1_300):
        watch.heard([MARKS, TRADES] if now < 1_050 else [MARKS], now)
        if overdue := watch.overdue(now):
            reported[now] = overdue
    assert reported == {1_049 + 120: [TRADES], 1_049 + 240: [TRADES]}


def test_a_stream_that_was_never_heard_is_reported_where_it_is_expected() -> None:
    watch = watch_at(0.0)
    assert watch.overdue(LIMIT - 1) == []
    assert watch.overdue(LIMIT) == [MARKS, TRADES]
    watch.heard([OPEN_INTEREST, Stream("TAOUSDT", Kind.LIQUIDATIONS)], LIMIT)
    assert watch.overdue(2 * LIMIT - 1) == []
    assert watch.overdue(2 * LIMIT) == [MARKS, OPEN_INTEREST, TRADES], "liquidations come when they come"


def test_a_market_that_trades_in_bursts_is_left_in_peace() -> None:
    """Bursts with pauses of 1 to 4 min, of which the limit alone would suspect every second one."""
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
    assert suspected == []
    last_trade = now
    while not watch.overdue(now):
        now += 5
        watch.heard([MARKS], now)
    assert now - last_trade <= 12.5 * 150, "and its loss is seen all the same, after some twelve usual pauses"


def test_the_quiet_tail_of_a_venue_is_left_in_peace_and_every_loss_is_seen() -> None:
    """Trades by chance, from one per second down to one in 150 s, in each market: four hours, then all are lost."""
    generator = random.Random(7)
    gaps = {f"COIN{number}": 150 ** (number / 99) for number in range(100)}
    watch = StreamWatch(gaps, LIMIT)
    watch.restart(0.0)
    next_trade = {name: generator.expovariate(1 / gap) for name, gap in gaps.items()}
    suspected: list[Stream] = []
    for now in range(0, 4 * 3_600, 5):
        spoke = [Stream(name, Kind.MARKS) for name in gaps]
        for name, at in next_trade.items():
            if at <= now:
                spoke.append(Stream(name, Kind.TRADES))
                next_trade[name] = now + generator.expovariate(1 / gaps[name])
        watch.heard(spoke, float(now))
        suspected += watch.overdue(float(now))
    assert len(suspected) <= 2, suspected
    seen: dict[str, int] = {}
    for now in range(4 * 3_600, 5 * 3_600, 5):
        watch.heard([Stream(name, Kind.MARKS) for name in gaps], float(now))
        for stream in watch.overdue(float(now)):
            seen.setdefault(stream.instrument, now - 4 * 3_600)
    assert len(seen) == 100
    busiest = [name for name, gap in gaps.items() if gap < 4]
    assert max(seen[name] for name in busiest) <= LIMIT + 5, "as soon as before where trades come often"


def test_trades_never_heard_are_reported_though_marks_go_on() -> None:
    watch = watch_at(0.0)
    reported = []
    for now in range(0, 2_000, 5):
        watch.heard([MARKS], float(now))
        reported += [now] if watch.overdue(float(now)) else []
    assert reported == [8 * 120, 2 * 8 * 120]


def test_what_one_subscription_carried_is_reported_together() -> None:
    watch = watch_at(0.0)
    watch.heard([MARKS, OPEN_INTEREST, TRADES], 10.0)
    watch.heard([MARKS], 14.0)
    for now in range(15, 132):
        watch.heard([TRADES], now)
    assert watch.overdue(129.9) == []
    assert watch.overdue(131.0) == [MARKS, OPEN_INTEREST], "marks, last heard 4 s later, are lost as well"


def test_what_one_subscription_carried_of_all_instruments_is_reported_together() -> None:
    """Marks and open interest of both are lost at once; a pause before makes the second's overdue long after it."""
    other_marks, other_trades = Stream("WLDUSDT", Kind.MARKS), Stream("WLDUSDT", Kind.TRADES)
    watch = StreamWatch(["TAOUSDT", "WLDUSDT"], LIMIT)
    watch.restart(0.0)
    for now in range(0, 201, 5):
        watch.heard([MARKS, TRADES, other_trades], now)
        if now == 195:
            watch.heard([OPEN_INTEREST], now)
        if now in (0, 200):
            watch.heard([other_marks], now)
    for now in range(205, 315, 5):
        watch.heard([TRADES, *([other_trades] if now < 250 else [])], now)
        assert watch.overdue(now) == []
    assert watch.overdue(315.0) == [MARKS, OPEN_INTEREST, other_marks], "trades may be silent by chance"


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
    assert watch.overdue(740.0) == [MARKS, TRADES], "240 s after they were last heard; a reported loss stays one"
