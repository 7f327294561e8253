"""The engine keeps the latest order book of each market, and hands it on with every minute that closes."""

from collections.abc import Sequence

import numpy as np

from liqheat.domain.events import Batch, Depth, Mark, to_batch
from liqheat.domain.market import Venue
from liqheat.domain.order_book import DEPTH_DISTANCES
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.codec import rows_of
from liqheat.platform.settings import Engine
from processors.heatmap import engine
from processors.heatmap.rows import ClosedMinutes
from processors.heatmap.state import PartitionState

START = 1_767_225_600_000
WHERE = (Venue.BYBIT, "VIRTUAL", "VIRTUALUSDT")
SIZE = len(DEPTH_DISTANCES)


def mark(minute: int) -> Batch:
    return to_batch([Mark(*WHERE, START + minute * MINUTE_MS, 1.0)])


def depth(second: int, bids: float, asks: float) -> Batch:
    amounts = [bids * (1 + place) for place in range(SIZE)] + [asks * (1 + place) for place in range(SIZE)]
    return to_batch([Depth(*WHERE, START + second * 1_000, 1.0, 0.999, 1.001, 3.0, 100.0, *amounts)])


def closed_by(state: PartitionState, *batches: Batch) -> list[ClosedMinutes]:
    """Apply batches together and return the minutes that they closed."""
    closed: list[ClosedMinutes] = []

    def judge(minutes: Sequence[ClosedMinutes]) -> list[Batch]:
        closed.extend(minutes)
        return []

    engine.apply_span(state, [rows_of(batch) for batch in batches], judge)
    return closed


def test_a_closed_minute_carries_the_latest_book() -> None:
    state = engine.new_state(Engine())
    (minutes,) = closed_by(state, mark(0), depth(10, 5.0, 7.0), depth(20, 50.0, 70.0), mark(2))[:1]
    assert minutes.columns["depth_time"].tolist() == [START + 20_000]
    assert minutes.columns["bid_depth_usd"].tolist() == [[50.0 * (1 + place) for place in range(SIZE)]]
    assert minutes.columns["ask_depth_usd"][0, -1] == 70.0 * SIZE
    assert (minutes.columns["bid_reach"].tolist(), minutes.columns["ask_reach"].tolist()) == ([3.0], [100.0])


def test_without_a_book_there_is_none() -> None:
    (minutes,) = closed_by(engine.new_state(Engine()), mark(0), mark(2))[:1]
    assert minutes.columns["depth_time"].tolist() == [0]
    assert np.isnan(minutes.columns["bid_depth_usd"]).all()


def test_a_book_moves_no_watermark_and_counts_as_a_row_of_the_log() -> None:
    state = engine.new_state(Engine())
    assert closed_by(state, mark(0), depth(600, 5.0, 7.0)) == []
    assert state.revisions[0] == 2


def test_a_book_outlives_a_checkpoint() -> None:
    state = engine.new_state(Engine())
    closed_by(state, mark(0), depth(10, 5.0, 7.0))
    again = engine.new_state(Engine())
    engine.load(again, engine.dump(state, "VIRTUAL"))
    (minutes,) = closed_by(again, mark(2))[:1]
    assert minutes.columns["depth_time"].tolist() == [START + 10_000]
    assert minutes.columns["ask_depth_usd"][0, 0] == 7.0


def test_the_cut_of_the_log_changes_nothing() -> None:
    log = [mark(0), depth(10, 5.0, 7.0), mark(1), depth(70, 6.0, 8.0), mark(2), depth(130, 9.0, 9.0), mark(3), mark(5)]
    together = closed_by(engine.new_state(Engine()), *log)
    state = engine.new_state(Engine())
    apart = [each for batch in log for each in closed_by(state, batch)]

    def seen(minutes: list[ClosedMinutes]) -> list[tuple[int, int, float]]:
        return [
            (int(start), int(time), float(bids[0]))
            for each in minutes
            for start, time, bids in zip(
                each.columns["window_start"], each.columns["depth_time"], each.columns["bid_depth_usd"], strict=True
            )
        ]

    assert seen(together) == seen(apart)
    # A minute closes with the first row past its lateness; a book holds from its place in the log.
    assert [bids for _, _, bids in seen(apart)][:3] == [6.0, 9.0, 9.0]
