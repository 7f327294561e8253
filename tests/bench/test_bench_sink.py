"""The sink and the database at the size of a whole market: 1,700 markets on four venues.

Market minutes, readings and clusters of all markets for a week; maps of 80 markets for a day, of one symbol for a
week, and hours of 80 markets for 30 days (a map's cost depends on its own symbol, so the rest of the market is not
stored). Printed: milliseconds of wall clock and of processor for every page and dashboard query, bytes per market and
day, rollups, and the processor time of the sink with ClickHouse per second of live operation.
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from liqheat.domain.windows import HOUR_MS
from liqheat.platform.clickhouse import open_clickhouse
from liqheat.platform.clock import ManualClock
from liqheat.platform.settings import Settings, Sink
from liqheat.platform.topics import Topic
from liqheat.viewer import picture
from liqheat.viewer.request import RANGES, MapRequest
from liqheat.viewer.stored import Store
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.rollup import MarketHour
from sinks.clickhouse.writer import ClickHouseWriter
from sinks.loop import SinkLoop
from tests.support import live_messages, stored_market
from tests.support.grafana_macros import Dashboard, expand
from tests.support.sink_fakes import MemoryDeadLetters, MemorySource

pytestmark = [pytest.mark.bench, pytest.mark.clickhouse]

MARKETS = 1_700
MAP_SYMBOLS = 20
DAYS = 7
ROUNDS = 3
QUERIES = Path(__file__).parents[2] / "deploy" / "grafana" / "queries"
VARIABLES = {
    "symbol": ["VIRTUAL"],
    "venue": ["okx"],
    "leverage_band": ["1-5x"],
    "basis": ["inferred"],
    "span": ["10"],
    "amount": ["expected_usd"],
    "price_step": ["0.01"],
    "price_low": ["0.8"],
    "price_rows": ["60"],
}


def report(line: str) -> None:
    sys.stdout.write(f"\n{line}")


def best_ms(run: Callable[[], object]) -> str:
    """Return the best of a few runs: milliseconds of wall clock, and of processor over all threads."""
    taken = []
    for _ in range(ROUNDS):
        wall, processor = time.perf_counter(), time.process_time()
        run()
        taken.append(((time.perf_counter() - wall) * 1_000, (time.process_time() - processor) * 1_000))
    return f"{min(wall for wall, _ in taken):7.0f} ms, processor {min(processor for _, processor in taken):7.0f} ms"


@pytest.fixture(scope="module")
def week(module_clickhouse: Client, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """The stored market, up to the end of today (UTC)."""
    today = int(time.time()) // stored_market.DAY_SECONDS * stored_market.DAY_SECONDS
    first = today - (DAYS - 1) * stored_market.DAY_SECONDS
    templates = stored_market.template_rows(tmp_path_factory.mktemp("templates"))
    stored_market.store_minutes(module_clickhouse, MARKETS, first, DAYS)
    stored_market.store_levels(module_clickhouse, templates, MAP_SYMBOLS, today, 1)
    stored_market.store_levels(module_clickhouse, templates, 1, first, DAYS - 1)
    stored_market.store_hours(module_clickhouse, MAP_SYMBOLS, today, 30)
    return module_clickhouse


def test_disk_per_market_and_day(week: Client) -> None:
    stored_days = {
        "heatmap_levels_raw": MAP_SYMBOLS * 4 + 4 * (DAYS - 1),
        "market_minutes_raw": MARKETS * DAYS,
        "market_hours_raw": MARKETS * DAYS,
        "symbol_signals_raw": MARKETS * DAYS,
        "clusters_raw": MARKETS * DAYS,
    }
    total = 0.0
    for table, market_days in stored_days.items():
        week.command(f"OPTIMIZE TABLE {table} FINAL")
        size = week.query(
            "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase() "
            "AND table = {table:String}",
            parameters={"table": table},
        ).result_rows[0][0]
        total += size / market_days
        report(f"  {table:24} {size / market_days / 1e6:6.3f} MB per market and day")
    report(f"disk per market and day after merges: {total / 1e6:.2f} MB")


def test_page_queries(week: Client) -> None:
    now = round(time.time() * 1_000)
    for name in RANGES:
        request = MapRequest.parse({"symbol": "VIRTUAL", "range": name})
        store = Store(300_000)
        report(f"  page, {name:12} {best_ms(lambda: picture.heatmap_picture(Store(300_000), week, request, 5, now))}")  # noqa: B023
        picture.heatmap_picture(store, week, request, 5, now)
        again = partial(picture.heatmap_picture, store, week, request, 5, now)
        report(f"  page, {name:4} shared {best_ms(again)}")
    report(f"  page, market list  {best_ms(lambda: picture.market_list(week, now))}")


@pytest.mark.parametrize(("hours", "interval"), [(6, 60), (720, 3_600)])
def test_dashboard_queries(week: Client, hours: int, interval: int) -> None:
    now = int(time.time())
    for path in sorted(QUERIES.glob("*/*.sql")):
        if hours > 6 and path.parent.name != "heatmap":
            continue
        text = path.read_text().replace("{side}", "long").replace("{kind}", "approaching")
        sql = expand(text, Dashboard(now - hours * 3_600, now, interval, VARIABLES))
        report(f"  {path.parent.name}/{path.stem:28} {hours:3} h {best_ms(lambda sql=sql: week.query(sql))}")  # type: ignore[misc]


def test_rollup_of_a_whole_hour(week: Client, module_settings: Settings) -> None:
    writer = ClickHouseWriter(week, module_settings.clickhouse)
    symbols = week.query("SELECT DISTINCT symbol FROM heatmap_levels_raw").result_rows
    start = int(time.time()) // stored_market.DAY_SECONDS * stored_market.DAY_SECONDS * 1_000 + HOUR_MS
    hours = {MarketHour(symbol, start) for (symbol,) in symbols}
    report(f"rollup of one hour and its day, {len(symbols) * 4} markets: {best_ms(lambda: writer.roll_up(hours))}")


def test_processor_time_of_the_sink_with_clickhouse_live(module_settings: Settings) -> None:
    settings = module_settings.model_copy(
        update={"sink": Sink(retention_days=20_000), "clickhouse": _other_database(module_settings)}
    )
    client = open_clickhouse(settings.clickhouse)
    migrate(client, settings)
    source, clock = MemorySource(), ManualClock()
    writer = ClickHouseWriter(client, settings.clickhouse)
    loop = SinkLoop(settings, source, writer, MemoryDeadLetters(source.steps), clock)
    minutes, rows, used = 3, 0, 0.0
    for seconds, batches in live_messages.live(MARKETS, minutes):
        for topic, batch in batches:
            source.add(Topic[topic], batch)
            rows += batch.frame.height
        before = time.process_time()
        while not source.exhausted:
            loop.step(0)
        clock.advance(seconds)
        loop.step(0)
        used += time.process_time() - before
        source.forget()
    before = time.process_time()
    assert loop.finish()
    used += time.process_time() - before
    report(
        f"sink with ClickHouse, {MARKETS} markets live: {used / (60 * minutes):.3f} processor seconds per second, "
        f"{rows / (60 * minutes):,.0f} rows per second in"
    )
    parts = client.query(
        "SELECT max(parts) FROM (SELECT count() AS parts FROM system.parts WHERE active "
        "AND database = currentDatabase() GROUP BY table, partition)"
    ).result_rows[0][0]
    report(f"most active parts of a partition after {minutes} minutes: {parts}")
    client.command(f"DROP DATABASE {settings.clickhouse.database} SYNC", use_database=False)
    client.close()


def _other_database(settings: Settings) -> object:
    return settings.clickhouse.model_copy(update={"database": settings.clickhouse.database + "_live"})
