"""The sink and the database: rows/s into tables, rollup time, and query times over 30 days of 9 symbols on 4 venues."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from liqheat.domain.instruments import DEFAULT_WATCH_LIST
from liqheat.domain.market import LEVERAGE_BANDS, Venue
from liqheat.domain.windows import HOUR_MS, window_start
from liqheat.platform.clock import ManualClock
from liqheat.platform.errors import Origin
from liqheat.platform.settings import Settings
from liqheat.platform.topics import Topic
from sinks.clickhouse.rollup import MarketHour
from sinks.clickhouse.rows import rows_of
from sinks.clickhouse.writer import ClickHouseWriter
from sinks.loop import SinkLoop
from tests.support.sink_fakes import MIDNIGHT, MemoryDeadLetters, MemorySource, heatmap_batch

pytestmark = [pytest.mark.bench, pytest.mark.clickhouse]

DAYS = 30
BUCKETS_A_MINUTE = 100
"""Rows of a market's minute: 50 price buckets a side, one leverage band each."""
LAST_MINUTE = MIDNIGHT // 1_000 - 60
ROUNDS = 5


def median_ms(run: Callable[[], object]) -> float:
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        run()
        taken.append((time.perf_counter() - start) * 1_000)
    return sorted(taken)[ROUNDS // 2]


def report(line: str) -> None:
    sys.stdout.write(f"\n{line}")


def _names(values: tuple[str, ...]) -> str:
    return "[" + ", ".join(f"'{value}'" for value in values) + "]"


@pytest.fixture(scope="module")
def month(module_clickhouse: Client, module_settings: Settings) -> Client:
    """A month of hours and market minutes, and a day of minutes, for all markets."""
    symbols, venues = _names(DEFAULT_WATCH_LIST), _names(tuple(Venue))
    markets = len(DEFAULT_WATCH_LIST) * len(Venue)

    def fill(table: str, periods: int, seconds: int, revision: str, *extra: str) -> None:
        module_clickhouse.command(
            f"""
            INSERT INTO {table} (symbol, venue, side, basis, leverage_band, window_start, price_low, price_high,
                at_risk_micro_usd, opened_micro_usd, {revision} {"".join(f", {column}" for column in extra)})
            SELECT {symbols}[1 + market % 9], {venues}[1 + intDiv(market, 9)], if(bucket < 50, 'long', 'short'),
                'inferred', {_names(LEVERAGE_BANDS)}[1 + bucket % 5],
                toDateTime({LAST_MINUTE} - {LAST_MINUTE} % {seconds} - period * {seconds}, 'UTC') AS start,
                1 + bucket / 200, 1 + (bucket + 1) / 200, rand(bucket) % 1000000000000, rand(period) % 1000000000, 1
                {", 0" * len(extra)}
            FROM (
                SELECT number % {BUCKETS_A_MINUTE} AS bucket, intDiv(number, {BUCKETS_A_MINUTE}) % {markets} AS market,
                    intDiv(number, {BUCKETS_A_MINUTE * markets}) AS period
                FROM numbers({BUCKETS_A_MINUTE * markets * periods})
            )
            """
        )

    fill("heatmap_raw", 1_440, 60, "revision")
    fill("heatmap_1h_raw", DAYS * 24, 3_600, "version", "at_risk_peak_micro_usd")
    module_clickhouse.command(
        f"""
        INSERT INTO market_minutes_raw
            (symbol, venue, window_start, mark_open, mark_high, mark_low, mark_close, revision)
        SELECT {symbols}[1 + number % 9], {venues}[1 + intDiv(number, 9) % 4],
            toDateTime({LAST_MINUTE} - intDiv(number, {markets}) * 60, 'UTC'), 1.2, 1.3, 1.1, 1.2, 1
        FROM numbers({DAYS * 1_440 * markets})
        """
    )
    return module_clickhouse


QUERIES = {
    "current map": """
        SELECT side, price_low, price_high, sum(at_risk_usd) AS usd FROM heatmap
        WHERE symbol = 'VIRTUAL' AND (window_start, venue) IN (
            SELECT max(window_start), venue FROM market_minutes WHERE symbol = 'VIRTUAL' GROUP BY venue)
        GROUP BY side, price_low, price_high ORDER BY price_low""",
    "5% drop": """
        WITH latest AS (SELECT venue, max(window_start) AS minute, argMax(mark_close, window_start) AS mark
            FROM market_minutes WHERE symbol = 'VIRTUAL' AND mark_close IS NOT NULL GROUP BY venue)
        SELECT venue, sum(at_risk_usd) FROM heatmap
        JOIN latest ON heatmap.venue = latest.venue AND heatmap.window_start = latest.minute
        WHERE symbol = 'VIRTUAL' AND window_start IN (SELECT minute FROM latest)
          AND side = 'long' AND price_high > mark * 0.95
        GROUP BY venue""",
    "map of 6 hours by the minute": f"""
        SELECT window_start, price_low, sum(at_risk_usd) FROM heatmap
        WHERE symbol = 'VIRTUAL' AND side = 'long' AND window_start > toDateTime({LAST_MINUTE}, 'UTC') - INTERVAL 6 HOUR
        GROUP BY window_start, price_low ORDER BY window_start, price_low""",
    "map of 24 hours by 5 minutes": f"""
        SELECT step, price_low, sum(usd) FROM (
            SELECT toStartOfFiveMinutes(window_start) AS step, venue, price_low, leverage_band,
                argMax(at_risk_usd, window_start) AS usd
            FROM heatmap
            WHERE symbol = 'VIRTUAL' AND side = 'long'
              AND window_start > toDateTime({LAST_MINUTE}, 'UTC') - INTERVAL 24 HOUR
            GROUP BY step, venue, price_low, leverage_band)
        GROUP BY step, price_low ORDER BY step, price_low""",
    "map of 30 days by the hour": """
        SELECT window_start, price_low, sum(at_risk_usd) FROM heatmap_1h
        WHERE symbol = 'VIRTUAL' AND side = 'long' GROUP BY window_start, price_low ORDER BY window_start, price_low""",
    "price of 30 days by the hour": """
        SELECT toStartOfHour(window_start) AS hour, argMax(mark_close, window_start) FROM market_minutes
        WHERE symbol = 'VIRTUAL' AND venue = 'binance' GROUP BY hour ORDER BY hour""",
    "all symbols now": f"""
        SELECT symbol, side, sum(at_risk_usd) FROM heatmap
        WHERE window_start = toDateTime({LAST_MINUTE}, 'UTC') GROUP BY symbol, side""",
}


def test_query_times_over_a_month(month: Client) -> None:
    rows = {
        table: month.query(f"SELECT count() FROM {table}").result_rows[0][0]
        for table in ("heatmap_raw", "heatmap_1h_raw", "market_minutes_raw")
    }
    report("stored: " + ", ".join(f"{table} {count:,} rows" for table, count in rows.items()))
    for name, query in QUERIES.items():
        answered = len(month.query(query).result_rows)
        report(f"  {name:32} {median_ms(lambda query=query: month.query(query)):7.0f} ms  {answered:8,} rows")  # type: ignore[misc]


def test_rollup_time_of_the_running_hour(month: Client, module_settings: Settings) -> None:
    writer = ClickHouseWriter(month, module_settings.clickhouse)
    hours = {MarketHour(symbol, window_start(LAST_MINUTE * 1_000, HOUR_MS)) for symbol in DEFAULT_WATCH_LIST}
    report(f"rollup of one hour and day, 36 markets: {median_ms(lambda: writer.roll_up(hours)):.0f} ms")


def test_rows_a_second_into_the_database(module_clickhouse: Client, module_settings: Settings, tmp_path: Path) -> None:
    batch = heatmap_batch(buckets=range(500), symbol="BENCH")
    frames = [rows_of(batch, Origin("heatmap-buckets", 0, offset)) for offset in range(100)]
    writer = ClickHouseWriter(module_clickhouse, module_settings.clickhouse)
    milliseconds = median_ms(lambda: writer.insert("heatmap_raw", frames))
    report(f"insert of 50,000 rows: {milliseconds:.0f} ms, {50_000 / milliseconds * 1_000:,.0f} rows/s")

    source = MemorySource()
    for minute in range(400):
        source.add(Topic.HEATMAP_BUCKETS, heatmap_batch(minute, buckets=range(500), symbol="LOOP"))
    loop = SinkLoop(module_settings, source, writer, MemoryDeadLetters(source.steps), ManualClock())
    start = time.perf_counter()
    while not source.exhausted:
        loop.step()
    assert loop.finish()
    taken = time.perf_counter() - start
    report(f"messages to rows, rolled up: 200,000 rows in {taken:.2f} s, {200_000 / taken:,.0f} rows/s")
