"""Any picture out of shared blocks and edges is what the direct question shows, whatever was asked before."""

import random

import pytest
from clickhouse_connect.driver.client import Client

from liqheat.domain.windows import HOUR_MS, MINUTE_MS
from liqheat.viewer.stored import Store
from tests.support.stored_minutes import (
    STALE,
    START,
    any_request,
    asked,
    assert_direct,
    latest_of,
    store_minutes,
)
from tests.support.viewer_map import insert_gap

pytestmark = pytest.mark.clickhouse


@pytest.mark.parametrize(("seed", "stale"), [(1, STALE), (2, 2 * MINUTE_MS), (3, 20 * MINUTE_MS)])
def test_any_picture_is_that_of_the_direct_question(clickhouse: Client, seed: int, stale: int) -> None:
    choose, store, minutes = random.Random(seed), Store(stale), 500
    store_minutes(clickhouse, START, minutes)
    insert_gap(clickhouse, "okx", START + 3 * HOUR_MS, START + 4 * HOUR_MS, filled=False)
    insert_gap(clickhouse, "binance", START + 4 * HOUR_MS, START + 5 * HOUR_MS, filled=True)
    held: dict[str, str] = {}
    for _ in range(4):
        now, latest = START + minutes * MINUTE_MS, latest_of(clickhouse)
        for _ in range(7):
            query = any_request(choose, START, now)
            assert_direct(clickhouse, store, query, now + choose.randrange(2_000), latest)
        if held:
            assert_direct(clickhouse, store, held, now, latest)
        held = {"symbol": "VIRTUAL", "range": "3h"}
        whole = asked(clickhouse, store, held, now)
        held |= {"since": str(whole["latest"] - MINUTE_MS), "grid": whole["grid"]["name"]}
        # Minutes go on, and others who look have had their edges read ahead.
        more = choose.randrange(1, 4)
        store_minutes(clickhouse, START + minutes * MINUTE_MS, more)
        minutes += more
        store.edges.refresh(clickhouse, START + minutes * MINUTE_MS)


def test_what_is_kept_keeps_to_its_bound(clickhouse: Client) -> None:
    store, now = Store(STALE, limit=400_000), START + 500 * MINUTE_MS
    store_minutes(clickhouse, START, 500)
    choose, most = random.Random(3), 0
    for _ in range(12):
        query = any_request(choose, START, now)
        assert_direct(clickhouse, store, query, now, latest_of(clickhouse))
        most = max(most, store.kept.nbytes)
    assert 100_000 < most <= 400_000
