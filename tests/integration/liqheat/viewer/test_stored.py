"""Pictures out of shared blocks and edges show what the direct question shows, whatever was asked before."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from clickhouse_connect.driver.client import Client

from liqheat.domain.windows import DAY_MS, HOUR_MS, MINUTE_MS
from liqheat.viewer import queries
from liqheat.viewer.columns import Columns
from liqheat.viewer.stored import OLD_KEPT_MS, YOUNG_KEPT_MS, Store
from tests.support.stored_minutes import STALE, START, SYMBOLS, asked, assert_direct, latest_of, store_minutes
from tests.support.viewer_map import NAN, Level, insert_minute

pytestmark = pytest.mark.clickhouse
clickhouse = pytest.fixture(lambda shared_clickhouse: shared_clickhouse)


@pytest.mark.parametrize(("minute", "kept_ms"), [(30, OLD_KEPT_MS), (450, YOUNG_KEPT_MS), (499, 5_000)])
def test_a_stored_correction_shows_within_the_stated_time(clickhouse: Client, minute: int, kept_ms: int) -> None:
    store, now = Store(STALE), START + 500 * MINUTE_MS
    store_minutes(clickhouse, START, 500)
    query = {"symbol": "TAO", "from": str(START), "to": str(now), "low": "0.83", "high": "1.1"}
    latest = latest_of(clickhouse)
    assert_direct(clickhouse, store, query, now, latest)
    store_minutes(clickhouse, START + minute * MINUTE_MS, 1, revision=2)

    assert_direct(clickhouse, store, query, now + kept_ms, latest)


def test_history_that_arrives_behind_shows_at_the_next_look(clickhouse: Client) -> None:
    store, now = Store(STALE), START + 500 * MINUTE_MS
    store_minutes(clickhouse, START + 300 * MINUTE_MS, 200)
    query = {"symbol": "TAO", "from": str(START), "to": str(now), "low": "0.83", "high": "1.1"}
    assert_direct(clickhouse, store, query, now, latest_of(clickhouse))
    store_minutes(clickhouse, START, 300)

    assert_direct(clickhouse, store, query, now + 3_000, latest_of(clickhouse))


@pytest.mark.parametrize("ahead", [500, 540])
def test_minutes_that_are_no_longer_recent_count_as_before(clickhouse: Client, ahead: int) -> None:
    store, now = Store(STALE), START + ahead * MINUTE_MS
    store_minutes(clickhouse, START - DAY_MS - HOUR_MS, 500 + 25 * 60)
    edges = [store.edges.of(clickhouse, "TAO", MINUTE_MS, now + after) for after in (-4_000, -600, 600, 4_000)]

    assert len({(edge.minutes, edge.generation) for edge in edges if edge}) == 1
    assert edges[0] is not None
    (stored,) = clickhouse.query("SELECT count() FROM market_minutes WHERE symbol = 'TAO'").result_rows[0]
    assert edges[0].minutes == stored


@pytest.mark.parametrize("end", [499, 480])
def test_the_state_of_markets_is_that_of_the_direct_question(clickhouse: Client, end: int) -> None:
    store, now = Store(STALE), START + 500 * MINUTE_MS
    store_minutes(clickhouse, START - DAY_MS, 1_440 + end)
    # A venue that has just come, one that has long been silent, and one of which nothing but the price is known now.
    insert_minute(clickhouse, "bitget", START + (end - 1) * MINUTE_MS, 1.0, [], symbol="TAO", late_rows=3)
    insert_minute(clickhouse, "hyperliquid", START - 300 * MINUTE_MS, 2.0, [], symbol="TAO", late_rows=5)
    unknown = dict.fromkeys(("open_interest", "open_interest_usd", "turnover_24h_usd", "funding_rate", "coverage"), NAN)
    insert_minute(clickhouse, "okx", START + (end - 1) * MINUTE_MS, 3.0, [], symbol="TAO", revision=9, **unknown)
    edge = store.edges.of(clickhouse, "TAO", MINUTE_MS, now)

    assert edge is not None
    assert edge.quality == queries.quality(clickhouse, ["TAO"], edge.end, now + MINUTE_MS - DAY_MS)["TAO"]
    assert {row["venue"] for row in edge.quality} == {"binance", "bitget", "bybit", "hyperliquid", "okx"}


@pytest.mark.parametrize("step", [MINUTE_MS, 5 * MINUTE_MS])
def test_the_newest_columns_are_those_of_the_direct_question(clickhouse: Client, step: int) -> None:
    store, now = Store(STALE), START + 504 * MINUTE_MS
    store_minutes(clickhouse, START, 503)
    # Of some minutes there is only the close, of one not even that.
    quiet = dict.fromkeys(("mark_open", "mark_high", "mark_low"), NAN)
    for minute, more in ((500, {}), (501, {"mark_close": NAN, "open_interest_usd": NAN}), (502, {})):
        start = START + minute * MINUTE_MS
        insert_minute(clickhouse, "okx", start, 2.0 + minute / 1_000, [], symbol="TAO", revision=9, **quiet, **more)
    edge = store.edges.of(clickhouse, "TAO", step, now)

    assert edge is not None
    assert edge.recent_from <= edge.open_from(step)
    expected = queries.columns(clickhouse, ["TAO"], step, edge.open_from(step), now)["TAO"]
    for name in Columns.__slots__:
        np.testing.assert_array_equal(getattr(edge.columns(step), name), getattr(expected, name), name)


@pytest.mark.parametrize("since", [300 * MINUTE_MS, 499 * MINUTE_MS, 900 * MINUTE_MS])
def test_a_page_that_holds_more_than_a_stretch_of_the_past_gets_its_last_column(clickhouse: Client, since: int) -> None:
    store, now = Store(STALE), START + 500 * MINUTE_MS
    store_minutes(clickhouse, START, 500)
    query = {"symbol": "TAO", "from": str(START), "to": str(START + 2 * HOUR_MS), "low": "0.83", "high": "1.1"}
    whole = asked(clickhouse, store, query, now)

    answer = asked(clickhouse, store, query | {"since": str(START + since), "grid": whole["grid"]["name"]}, now)

    assert (answer["state"], answer["since"]) == ("ready", START + 2 * HOUR_MS - answer["step"])


class Counting:
    """A client that counts what it is asked, by the symbols asked for."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.asked: list[list[str]] = []

    def _noted(self, ask: Callable[..., Any], query: str, parameters: dict[str, Any]) -> Any:
        self.asked.append(parameters.get("symbols") or [parameters["symbol"]])
        return ask(query, parameters=parameters)

    def query(self, query: str, parameters: dict[str, Any] | None = None) -> Any:
        return self._noted(self._client.query, query, parameters or {})

    def query_np(self, query: str, parameters: dict[str, Any] | None = None) -> Any:
        return self._noted(self._client.query_np, query, parameters or {})

    def raw_query(self, query: str, parameters: dict[str, Any] | None = None, *, fmt: str | None = None) -> Any:
        return self._noted(partial(self._client.raw_query, fmt=fmt), query, parameters or {})


def test_viewers_of_one_symbol_share_what_was_read_whatever_their_ranges(clickhouse: Client) -> None:
    store, client, now = Store(STALE), Counting(clickhouse), START + 500 * MINUTE_MS
    store_minutes(clickhouse, START, 500)
    asked(client, store, {"symbol": "TAO", "range": "6h"}, now)  # type: ignore[arg-type]
    client.asked.clear()

    for query in ({"range": "3h"}, {"range": "1h", "span": "5"}, {"range": "6h", "low": "0.9", "high": "1"}):
        asked(client, store, {"symbol": "TAO"} | query, now + 1_000)  # type: ignore[arg-type]

    assert client.asked == []
    # Prices further away are read once, and serve the nearer ones too.
    asked(client, store, {"symbol": "TAO", "range": "6h", "span": "40"}, now + 1_000)  # type: ignore[arg-type]
    asked(client, store, {"symbol": "TAO", "range": "6h"}, now + 1_000)  # type: ignore[arg-type]
    assert len(client.asked) == 1


def test_edges_of_all_symbols_that_are_looked_at_are_read_together(clickhouse: Client) -> None:
    store, client, now = Store(STALE), Counting(clickhouse), START + 500 * MINUTE_MS
    for venue in ("binance", "okx"):
        for symbol in SYMBOLS:
            insert_minute(clickhouse, venue, now - MINUTE_MS, 1.0, [Level("long", 0.95, 10.0)], symbol=symbol)
    for symbol in SYMBOLS:
        asked(client, store, {"symbol": symbol, "range": "1h"}, now)  # type: ignore[arg-type]
    client.asked.clear()

    assert store.edges.refresh(client, now + 2_500) == 2
    assert {tuple(sorted(symbols)) for symbols in client.asked} == {("TAO", "VIRTUAL")}
    client.asked.clear()
    for symbol in SYMBOLS:
        asked(client, store, {"symbol": symbol, "range": "1h"}, now + 3_500)  # type: ignore[arg-type]
    assert client.asked == []
    # Nobody looks any more.
    assert store.edges.refresh(client, now + DAY_MS) == 0
