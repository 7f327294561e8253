"""The page's queries on the migrated schema: every number by hand."""

import base64
import math
import time
from typing import Any

import numpy as np
import pytest
from clickhouse_connect.driver.client import Client

from liqheat.domain.windows import DAY_MS, MINUTE_MS
from liqheat.viewer import picture
from liqheat.viewer.grid import MAXIMUM_ROWS, display_grid
from liqheat.viewer.request import MAXIMUM_COLUMNS, BadRequest, MapRequest
from liqheat.viewer.stored import Store
from tests.support.viewer_map import Level, insert_gap, insert_liquidation, insert_minute, moment

pytestmark = pytest.mark.clickhouse
clickhouse = pytest.fixture(lambda shared_clickhouse: shared_clickhouse)

START = 1_767_225_600_000  # 2026-01-01 00:00 UTC
NOW = START + 10 * MINUTE_MS
STALE = 5 * MINUTE_MS


def shown(client: Client, **query: str) -> dict[str, Any]:
    request = MapRequest.parse({"symbol": "VIRTUAL", "range": "1h"} | query)
    return picture.heatmap_picture(Store(STALE), client, request, 5, NOW)


def cells(answer: dict[str, Any]) -> dict[tuple[int, float], tuple[float, float]]:
    """Return (column, lower price edge) -> (long USD, short USD)."""
    arrays = {
        name: np.frombuffer(base64.b64decode(answer["cells"][name]), dtype=dtype)
        for name, dtype in (("column", "<u2"), ("row", "<u2"), ("long", "<f4"), ("short", "<f4"))
    }
    edges = answer["grid"]["edges"]
    return {
        (int(column), edges[row]): (float(long), float(short))
        for column, row, long, short in zip(*arrays.values(), strict=True)
    }


def assert_cells(answer: dict[str, Any], expected: dict[tuple[int, float], tuple[float, float]]) -> None:
    """Levels are stored in steps of 1%, so a cell is right to half of that."""
    found = cells(answer)
    assert found.keys() == expected.keys()
    for key, amounts in expected.items():
        assert found[key] == pytest.approx(amounts, rel=0.006), key


def test_a_cell_is_the_sum_over_venues_and_bands_of_its_minute(clickhouse: Client) -> None:
    insert_minute(
        clickhouse, "binance", START, 1.0, [Level("long", 0.951, 100.0), Level("long", 0.951, 20.0, "25-50x")]
    )
    insert_minute(clickhouse, "bybit", START, 1.0, [Level("long", 0.9519, 3.0), Level("short", 1.052, 7.5)])
    answer = shown(clickhouse)
    assert (answer["state"], answer["columns"]) == ("ready", 60)
    assert_cells(answer, {(59, 0.95): (123.0, 0.0), (59, 1.05): (0.0, 7.5)})


def test_what_is_expected_of_one_side_is_shown_where_the_other_has_nothing(clickhouse: Client) -> None:
    levels = [Level("long", 0.951, 100.0), Level("short", 1.052, 80.0)]
    for minute in (0, 9):
        insert_minute(clickhouse, "binance", START + minute * MINUTE_MS, 1.0, levels)
    answer = shown(clickhouse, measure="expected")
    shares = {0.95: (25.0, 0.0), 1.05: (0.0, 20.0)}
    assert_cells(answer, {(column, edge): usd for column in (50, 59) for edge, usd in shares.items()})


def test_a_wide_column_shows_the_level_of_its_last_minute_and_sums_flows(clickhouse: Client) -> None:
    # Five minutes make one column of the 24 h range.
    for minute in range(5):
        insert_minute(
            clickhouse,
            "binance",
            START + minute * MINUTE_MS,
            1.0,
            [Level("long", 0.95, 100.0 + minute)],
            liquidated_long_usd=2_000_000,
        )
    answer = shown(clickhouse, range="24h")
    assert_cells(answer, {(287, 0.95): (104.0, 0.0)})
    assert answer["flows"]["liquidated_long"][287] == 10.0


def test_only_the_newest_revision_of_a_minute_counts(clickhouse: Client) -> None:
    insert_minute(clickhouse, "binance", START, 1.0, [Level("long", 0.95, 100.0)], revision=1)
    insert_minute(clickhouse, "binance", START, 1.01, [Level("long", 0.95, 60.0)], revision=2)
    answer = shown(clickhouse)
    assert_cells(answer, {(59, 0.95): (60.0, 0.0)})
    assert answer["price"]["close"] == [1.01]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, 111.0),
        ({"venues": "binance"}, 11.0),
        ({"venues": "hyperliquid"}, 100.0),
        ({"venues": ""}, 0.0),
        ({"bases": "observed"}, 100.0),
        ({"bases": "inferred"}, 11.0),
        ({"bands": "50x+"}, 1.0),
        ({"bands": "1-5x,50x+", "venues": "binance"}, 1.0),
    ],
)
def test_each_filter_takes_away_what_it_names(clickhouse: Client, filters: dict[str, str], expected: float) -> None:
    insert_minute(clickhouse, "binance", START, 1.0, [Level("long", 0.95, 10.0), Level("long", 0.95, 1.0, "50x+")])
    insert_minute(clickhouse, "hyperliquid", START, 1.0, [Level("long", 0.95, 100.0, basis="observed")], coverage=0.3)
    answer = shown(clickhouse, **filters)
    assert sum(long for long, _ in cells(answer).values()) == pytest.approx(expected, rel=0.006)
    assert sum(row[3] for row in answer["current"]) == pytest.approx(expected, rel=0.006)


def test_the_current_map_takes_each_venue_at_its_own_latest_minute(clickhouse: Client) -> None:
    insert_minute(clickhouse, "binance", START, 1.0, [Level("long", 0.95, 5.0)])
    insert_minute(clickhouse, "binance", START + MINUTE_MS, 1.0, [Level("long", 0.95, 10.0)])
    insert_minute(clickhouse, "bybit", START, 1.0, [Level("long", 0.95, 1.0)])
    answer = shown(clickhouse)
    row = int(np.searchsorted(answer["grid"]["edges"], 0.95))
    current = [[*each[:3], round(each[3], 1), each[4]] for each in answer["current"]]
    assert current == [[row, "binance", "inferred", 10.0, 0.0], [row, "bybit", "inferred", 1.0, 0.0]]


def test_a_page_that_holds_the_grid_gets_only_the_columns_it_asks_for(clickhouse: Client) -> None:
    for minute in range(3):
        insert_minute(clickhouse, "binance", START + minute * MINUTE_MS, 1.0, [Level("short", 1.05, 10.0 + minute)])
    whole = shown(clickhouse)
    assert whole["since"] == whole["start"]
    later = shown(clickhouse, since=str(START + 2 * MINUTE_MS), grid=whole["grid"]["name"])
    assert_cells(later, {(59, 1.05): (0.0, 12.0)})
    other = shown(clickhouse, since=str(START + 2 * MINUTE_MS), grid="another")
    assert other["since"] == other["start"]
    assert len(cells(other)) == 3


def test_the_price_drawn_is_that_of_the_largest_venue_that_is_up_to_date(clickhouse: Client) -> None:
    insert_minute(clickhouse, "binance", START, 1.0, [], open_interest_usd=90e6)
    insert_minute(clickhouse, "bybit", START, 1.1, [])
    assert shown(clickhouse)["price"]["venue"] == "binance"
    assert shown(clickhouse, venues="bybit")["price"]["venue"] == "bybit"
    insert_minute(clickhouse, "bybit", START + 9 * MINUTE_MS, 1.2, [])
    assert shown(clickhouse)["price"]["venue"] == "bybit"


def test_no_minute_is_waiting_and_no_price_says_so(clickhouse: Client) -> None:
    assert shown(clickhouse)["state"] == "waiting"
    insert_minute(clickhouse, "binance", START, math.nan, [])
    assert shown(clickhouse)["state"] == "no_price"


def test_a_minute_without_a_mark_keeps_the_price_of_the_one_before(clickhouse: Client) -> None:
    """As after a pause in which nothing came: the engine knows the price, but not what it did meanwhile."""
    nan = math.nan
    insert_minute(clickhouse, "binance", START, 1.0, [])
    later = START + MINUTE_MS
    insert_minute(clickhouse, "binance", later, 1.1, [], mark_open=nan, mark_high=nan, mark_low=nan)
    price = shown(clickhouse)["price"]
    assert {name: price[name] for name in ("open", "high", "low", "close")} == {
        name: [1.0, 1.1] for name in ("open", "high", "low", "close")
    }
    wide = shown(clickhouse, range="24h")["price"]
    assert (wide["open"], wide["high"], wide["low"], wide["close"]) == ([1.0], [1.1], [1.0], [1.1])


def test_liquidations_gaps_and_quality_come_with_their_numbers(clickhouse: Client) -> None:
    insert_minute(clickhouse, "binance", START, 1.0, [], expected_scale_long=0.8, late_rows=3)
    insert_liquidation(clickhouse, "binance", START + 5_000, "long", 0.99, 200.0)
    insert_liquidation(clickhouse, "bybit", START + 6_000, "short", 1.01, 100.0)
    insert_gap(clickhouse, "binance", START - 60_000, START - 30_000, filled=False)
    answer = shown(clickhouse, venues="binance")
    assert answer["executed"] == [[START + 5_000, "binance", "long", 0.99, 198.0]]
    assert answer["gaps"] == [[START - 60_000, START - 30_000, "binance", "trades", 12, "disconnected", False]]
    quality = answer["quality"][0]
    assert (quality["venue"], quality["scale_long"], quality["late_rows"]) == ("binance", 0.8, 3)
    assert quality["next_funding_time"] == START + 90 * MINUTE_MS
    assert answer["heat"]["adv_usd"] == 50e6


def test_clusters_alerts_conviction_and_news_are_those_of_the_symbol_and_the_time(clickhouse: Client) -> None:
    insert_minute(clickhouse, "binance", START, 1.0, [])
    standing = ["VIRTUAL", moment(START), "standing", "long", "steady", 0.94, 0.95, 0.95, 6_000_000_000_000]
    swept = ["VIRTUAL", moment(START), "swept", "short", "swept", 1.04, 1.05, 1.04, 1_000_000_000_000]
    names = ["symbol", "window_start", "cluster_id", "side", "state", "price_low", "price_high", "nearer_edge"]
    clickhouse.insert("clusters_raw", [standing, swept], column_names=[*names, "at_risk_micro_usd"])
    minutes = [["VIRTUAL", moment(START), 1.0], ["VIRTUAL", moment(NOW + 365 * DAY_MS), 9.0]]
    clickhouse.insert("symbol_signals_raw", minutes, column_names=["symbol", "window_start", "mark_price"])
    alerts = [
        ["VIRTUAL", moment(START + 1_000), "entered-a", "entered", "long", "price entered"],
        ["VIRTUAL", moment(START + 1_000), "swept-a", "swept", "long", "price swept"],
        ["TAO", moment(START + 1_000), "b", "entered", "long", "another token's"],
        ["VIRTUAL", moment(START - 90 * MINUTE_MS), "c", "entered", "long", "before the hour"],
    ]
    names = ["symbol", "event_time", "alert_id", "kind", "side", "message"]
    clickhouse.insert("alerts_raw", alerts, column_names=names)
    signals = shown(clickhouse)["signals"]
    assert [(one["price_low"], one["at_risk_usd"]) for one in signals["clusters"]] == [(0.94, 6e6)]
    assert [(one["event_time"], one["message"]) for one in signals["alerts"]] == [
        (START + 1_000, "price swept"),
        (START + 1_000, "price entered"),
    ]
    # A row of next year hides nothing.
    assert signals["reading"]["mark_price"] == 1.0
    assert (signals["venues"], signals["catalysts"]) == ([], [])


def test_a_minute_of_the_far_future_hides_no_symbol_and_no_minute(clickhouse: Client) -> None:
    insert_minute(clickhouse, "binance", START, 1.0, [Level("long", 0.95, 10.0)])
    insert_minute(clickhouse, "bybit", NOW + 365 * DAY_MS, 5.0, [Level("long", 4.5, 99.0)])
    insert_minute(clickhouse, "binance", NOW + 365 * DAY_MS, 5.0, [], symbol="TAO")

    answer = shown(clickhouse)

    assert (answer["latest"], answer["price"]["close"]) == (START, [1.0])
    assert [row["venue"] for row in answer["quality"]] == ["binance"]
    assert [row[1] for row in answer["current"]] == ["binance"]
    assert [item["symbol"] for item in picture.market_list(clickhouse, NOW)["symbols"]] == ["VIRTUAL"]


def test_a_venue_that_fell_silent_is_not_in_the_map_of_now_and_is_marked(clickhouse: Client) -> None:
    insert_minute(clickhouse, "binance", START + 9 * MINUTE_MS, 1.0, [Level("long", 0.95, 10.0)])
    insert_minute(clickhouse, "bybit", START + 3 * MINUTE_MS, 1.0, [Level("long", 0.95, 7.0)])

    answer = shown(clickhouse)

    assert [(row["venue"], row["is_stale"]) for row in answer["quality"]] == [("binance", False), ("bybit", True)]
    assert [row[1] for row in answer["current"]] == ["binance"]
    assert answer["heat"]["adv_usd"] == 50e6


def test_an_open_minute_without_levels_yet_does_not_empty_the_last_column(clickhouse: Client) -> None:
    insert_minute(clickhouse, "binance", START, 1.0, [Level("long", 0.951, 100.0)])
    insert_minute(clickhouse, "binance", START + 1 * MINUTE_MS, 1.0, [])
    insert_minute(clickhouse, "binance", START + 6 * MINUTE_MS, 1.0, [Level("long", 0.951, 50.0)])
    insert_minute(clickhouse, "binance", START + 7 * MINUTE_MS, 1.0, [])

    answer = shown(clickhouse, range="24h")

    assert answer["step"] == 5 * MINUTE_MS
    # The second minute closed without levels: then there were none.
    assert_cells(answer, {(answer["columns"] - 1, 0.95): (50.0, 0.0)})


def test_open_interest_is_that_of_the_venues_which_are_there_throughout(clickhouse: Client) -> None:
    for minute in range(10):
        insert_minute(clickhouse, "binance", START + minute * MINUTE_MS, 1.0, [], open_interest_usd=30e6)
    for minute in (0, 1, 2, 7, 8, 9):
        insert_minute(clickhouse, "okx", START + minute * MINUTE_MS, 1.0, [], open_interest_usd=5e6)
    for minute in range(6, 10):
        insert_minute(clickhouse, "bybit", START + minute * MINUTE_MS, 1.0, [], open_interest_usd=20e6)

    flows = shown(clickhouse)["flows"]

    assert flows["open_interest_venues"] == ["binance", "okx"]
    assert flows["open_interest"][50:] == [35e6] * 10
    assert shown(clickhouse, venues="bybit")["flows"]["open_interest"][56:] == [20e6] * 4


def test_a_small_venue_with_a_longer_history_does_not_hide_the_open_interest_of_the_others(clickhouse: Client) -> None:
    for minute in range(10):
        insert_minute(clickhouse, "bybit", START + minute * MINUTE_MS, 1.0, [], open_interest_usd=1e6)
    for venue in ("binance", "okx"):
        for minute in range(5, 10):
            insert_minute(clickhouse, venue, START + minute * MINUTE_MS, 1.0, [], open_interest_usd=20e6)

    flows = shown(clickhouse)["flows"]

    assert flows["open_interest_venues"] == ["binance", "bybit", "okx"]
    assert flows["open_interest"][50:] == [None] * 5 + [41e6] * 5


def test_a_stretch_chosen_by_hand_gets_the_narrowest_columns_and_its_own_prices(clickhouse: Client) -> None:
    for minute in range(10):
        insert_minute(clickhouse, "binance", START + minute * MINUTE_MS, 1.0, [Level("long", 0.951, 10.0 + minute)])
    stretch = {"from": str(START + 2 * MINUTE_MS + 5_000), "to": str(START + 5 * MINUTE_MS)}

    answer = shown(clickhouse, low="0.94", high="1.01", **stretch)

    assert (answer["step"], answer["columns"]) == (MINUTE_MS, 3)
    assert [long for long, _ in cells(answer).values()] == pytest.approx([12.0, 13.0, 14.0], rel=0.006)
    assert answer["grid"]["edges"][0] <= 0.94
    assert answer["grid"]["edges"][-1] >= 1.01
    assert answer["latest"] == START + 4 * MINUTE_MS
    wide = MapRequest.parse({"symbol": "VIRTUAL", "from": str(START), "to": str(START + 30 * DAY_MS)})
    assert wide.length // wide.step <= MAXIMUM_COLUMNS


def test_the_selector_lists_the_largest_token_first_with_its_change(clickhouse: Client) -> None:
    insert_minute(clickhouse, "binance", START - MINUTE_MS, 1.0, [])
    insert_minute(clickhouse, "binance", START + MINUTE_MS, 1.1, [])
    insert_minute(clickhouse, "binance", START + MINUTE_MS, 300.0, [], symbol="TAO", turnover_24h_usd=90e6)
    symbols = picture.market_list(clickhouse, NOW)["symbols"]
    assert [item["symbol"] for item in symbols] == ["TAO", "VIRTUAL"]
    assert symbols[1]["change"] == pytest.approx(0.1)
    assert symbols[1]["latest"] == START + MINUTE_MS


def test_a_day_of_four_venues_is_quick(clickhouse: Client) -> None:
    clickhouse.command(
        "INSERT INTO heatmap_raw (symbol, venue, side, basis, leverage_band, window_start, price_low, price_high,"
        " at_risk_micro_usd, revision) SELECT 'VIRTUAL', ['binance','bybit','okx','hyperliquid'][number % 4 + 1],"
        " if(number % 2, 'long', 'short'), 'inferred', '10-25x', toDateTime(1767225600 + 60 * intDiv(number, 400)),"
        " 0.8 + 0.005 * (intDiv(number, 4) % 100), 0.805 + 0.005 * (intDiv(number, 4) % 100), 1000000, 1"
        " FROM numbers(576000)"
    )
    for venue in ("binance", "bybit", "okx", "hyperliquid"):
        insert_minute(clickhouse, venue, START + 1_439 * MINUTE_MS, 1.0, [])
    shown(clickhouse, range="24h")
    started = time.perf_counter()
    shown(clickhouse, range="24h")
    # Far above what it takes, far below what a scan of every minute would: it samples 1 minute in 5.
    assert time.perf_counter() - started < 2.0


@pytest.mark.parametrize(
    "query",
    [
        {"symbol": "VIRTUAL'; DROP TABLE heatmap_raw; --"},
        {"symbol": ""},
        {"symbol": "VIRTUAL", "range": "5y"},
        {"symbol": "VIRTUAL", "span": "7"},
        {"symbol": "VIRTUAL", "span": "-1"},
        {"symbol": "VIRTUAL", "venues": "binance,mtgox"},
        {"symbol": "VIRTUAL", "since": "9" * 30},
        {"symbol": "VIRTUAL", "bands": "x' OR 1=1"},
        {"symbol": "VIRTUAL", "measure": "at_risk_usd) FROM system.users --"},
        {"symbol": "VIRTUAL", "from": "2000", "to": "1000"},
        {"symbol": "VIRTUAL", "from": "1"},
        {"symbol": "VIRTUAL", "from": "0", "to": str(START)},
        {"symbol": "VIRTUAL", "low": "nan", "high": "1"},
        {"symbol": "VIRTUAL", "low": "2", "high": "1"},
        {"symbol": "VIRTUAL", "low": "-1"},
    ],
)
def test_a_wrong_parameter_is_refused_with_a_sentence(query: dict[str, str]) -> None:
    with pytest.raises(BadRequest, match=r"^Expected "):
        MapRequest.parse(query)


@pytest.mark.parametrize(("lowest", "highest"), [(0.9, 1.1), (0.000011, 0.000014), (60_000.0, 130_000.0), (1e-12, 1e9)])
def test_the_grid_nests_the_stored_buckets_and_fits_the_screen(lowest: float, highest: float) -> None:
    grid = display_grid(lowest, highest, 5)
    edges = grid.edges()
    assert grid.rows <= MAXIMUM_ROWS
    assert grid.factor % 5 == 0
    assert (np.diff(edges) > 0).all()
    assert edges[0] <= lowest
