"""The README that services read: its dictionary is the schema's, and its queries run and answer what they say."""

import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from clickhouse_connect.driver.client import Client

from liqheat.domain.events import Batch, Kind
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.errors import Origin
from liqheat.platform.settings import Settings
from sinks.clickhouse.dictionary import data_dictionary, with_dictionary
from sinks.clickhouse.rows import rows_of
from sinks.clickhouse.tables import STORED
from sinks.clickhouse.writer import ClickHouseWriter
from tests.support.sink_fakes import MIDNIGHT, filled_batch, heatmap_batch

pytestmark = pytest.mark.clickhouse

PAGE = (Path(__file__).parents[2] / "sinks" / "README.md").read_text(encoding="utf-8")
NOW = f"toDateTime({MIDNIGHT // 1_000 + 3_600}, 'UTC')"
"""In place of the clock, for the rows are of a day that is kept."""
YEAR_MINUTES = 365 * 24 * 60
MILLION = 1_000_000
NEWEST = 9


def blocks(heading: str, language: str) -> list[str]:
    section = re.search(rf"^##+ {heading}\n(.*?)(?=^##+ )", PAGE, re.DOTALL | re.MULTILINE)
    assert section is not None, heading
    found = re.findall(rf"^```{language}\n(.*?)^```", section[1], re.DOTALL | re.MULTILINE)
    return [block.replace("now()", NOW) for block in found]


@pytest.fixture(scope="module")
def filled(module_clickhouse: Client, module_settings: Settings) -> Client:
    """Ten minutes of two venues at a mark of 100, longs of 1 to 3 million USD below, a crash in minute 4."""
    writer = ClickHouseWriter(module_clickhouse, module_settings.clickhouse)
    for offset, batch in enumerate(_log()):
        writer.insert(STORED[batch.kind].table.name, [rows_of(batch, Origin("log", 0, offset))])
    return module_clickhouse


def _log() -> list[Batch]:
    log = []
    for venue, million in (("binance", 1), ("bybit", 2)):
        for minute in range(NEWEST + 1):
            # The bucket [95, 96) is touched by a fall to 95, the bucket [94, 95) is not.
            standing = million * MILLION * MILLION
            log.append(heatmap_batch(minute, symbol="VIRTUAL", venue=venue, buckets=(-5, -6), at_risk=standing))
            crash = 500.0 * MILLION * MILLION if minute == 4 else 0.0
            row = {
                "window_start": MIDNIGHT + minute * MINUTE_MS,
                "mark_close": 100.0,
                "mark_low": 90.0 if minute == 4 else 99.0,
                "liquidated_long_usd": int(crash),
            }
            log.append(filled_batch(Kind.MARKET_MINUTES, row, symbol="VIRTUAL", venue=venue))
    # A venue whose rows are of next year hides no other.
    odd = {"window_start": MIDNIGHT + YEAR_MINUTES * MINUTE_MS, "mark_close": 1.0}
    log.append(filled_batch(Kind.MARKET_MINUTES, odd, symbol="VIRTUAL", venue="okx"))
    early = {"window_start": MIDNIGHT + YEAR_MINUTES * MINUTE_MS, "cluster_id": "early", "side": 1, "state": "born"}
    log.append(filled_batch(Kind.CLUSTERS, early | {"price_low": 1.0, "price_high": 2.0}, symbol="TAO", venue="all"))
    for symbol, usd, width, state in (
        ("VIRTUAL", 6.0, 2.0, "grown"),
        ("TAO", 5.0, 1.0, "born"),
        ("TAO", 99.0, 1.0, "swept"),
    ):
        cluster = {
            "window_start": MIDNIGHT,
            "cluster_id": f"{symbol}-{state}",
            "side": 1,
            "state": state,
            "price_low": 100.0,
            "price_high": 100.0 + width,
            "at_risk_usd": int(usd * MILLION * MILLION),
        }
        log.append(filled_batch(Kind.CLUSTERS, cluster, symbol=symbol, venue="all"))
    held = [
        {
            "account": name,
            "event_time": MIDNIGHT,
            "side": 1,
            "quantity": quantity,
            "entry_price": 1.0,
            "leverage": leverage,
        }
        for name, quantity, leverage in (("0xa", 300.0, 3.0), ("0xb", 100.0, 5.0), ("0xc", 0.0, 5.0))
    ]
    log.append(filled_batch(Kind.POSITIONS, *held, symbol="VIRTUAL", venue="hyperliquid"))
    hour = {"window_start": MIDNIGHT, "predicted_long_usd": 5 * MILLION, "executed_long_usd": 4 * MILLION}
    log.append(filled_batch(Kind.TRACK_RECORD, hour | {"feed": "whole"}, symbol="VIRTUAL"))
    return log


def sql(client: Client, heading: str) -> list[dict[str, object]]:
    (query,) = blocks(heading, "sql")
    return [dict(row) for row in client.query(query).named_results()]


def python(client: Client, heading: str) -> list[dict[str, object]]:
    (opening,) = blocks("Worked queries", "python")
    # The reader's own connection is the one thing that a test has to replace.
    helpers = re.sub(r"^client = clickhouse_connect\.get_client\([^)]*\)$", "", opening, flags=re.MULTILINE)
    (code,) = blocks(heading, "python")
    names: dict[str, object] = {"client": client}
    exec(compile(helpers + code, "sinks/README.md", "exec"), names)  # noqa: S102 - our own page
    result = names["result"]
    assert isinstance(result, pl.DataFrame)
    return result.to_dicts()


Run = Callable[[Client, str], list[dict[str, object]]]


def test_the_dictionary_is_the_schemas(module_clickhouse: Client, module_settings: Settings) -> None:
    current = with_dictionary(PAGE, data_dictionary(module_clickhouse, module_settings.clickhouse.database))
    assert current == PAGE, "run `liqheat dictionary --write sinks/README.md`"


@pytest.mark.parametrize("run", [sql, python])
def test_the_current_map_is_the_newest_minute_over_all_venues(filled: Client, run: Run) -> None:
    rows = run(filled, "The current map")
    assert [(row["side"], row["price_low"]) for row in rows] == [("long", 94.0), ("long", 95.0)]
    assert [row["usd"] for row in rows] == pytest.approx([3e6, 3e6], rel=0.005)


@pytest.mark.parametrize("run", [sql, python])
def test_a_five_percent_drop_takes_the_buckets_that_it_touches(filled: Client, run: Run) -> None:
    rows = run(filled, "What a 5% drop would liquidate")
    assert [row["venue"] for row in rows] == ["binance", "bybit"]
    assert [row["liquidated_usd"] for row in rows] == pytest.approx([1e6, 2e6], rel=0.005)


@pytest.mark.parametrize("run", [sql, python])
def test_the_densest_cluster_leads_and_ended_ones_are_left_out(filled: Client, run: Run) -> None:
    rows = run(filled, "The densest clusters of all symbols")
    assert [(row["symbol"], row["usd_a_percent"]) for row in rows] == [("TAO", 5e6), ("VIRTUAL", 3e6)]


@pytest.mark.parametrize("run", [sql, python])
def test_the_record_by_month_is_judged(filled: Client, run: Run) -> None:
    (month,) = run(filled, "What was predicted and what was executed")
    assert (month["judged"], month["proven"], month["ratio"]) == (1, False, pytest.approx(1.25))


@pytest.mark.parametrize("run", [sql, python])
def test_history_around_the_crash_is_all_of_it(filled: Client, run: Run) -> None:
    rows = run(filled, "History around a crash")
    assert len(rows) == NEWEST + 1
    assert [row["executed_usd"] for row in rows] == [0.0] * 4 + [1e9] + [0.0] * 5
