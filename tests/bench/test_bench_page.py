"""The page under load: 200 viewers of 20 symbols on four venues, each with a range of its own, a refresh every 5 s.

The page's own server over embedded ClickHouse with two stored days; the viewers are a process of their own
(`page_viewers`). Nothing is cached when they come, within 5 s. Printed: milliseconds from a request to its last byte,
statuses, and processor seconds of server with ClickHouse and of the viewers. Then the same viewers on a clock of their
own (`page_clock`), for processor seconds that other load on the machine changes little.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from liqheat.domain.windows import DAY_MS, MINUTE_MS
from liqheat.platform.clickhouse import open_clickhouse
from liqheat.platform.clock import Clock, SystemClock
from liqheat.platform.settings import Settings, Viewer
from liqheat.viewer.edge import BEHIND_MS
from liqheat.viewer.server import ViewerServer
from liqheat.viewer.stored import Store
from tests.bench import page_clock, page_viewers
from tests.support import stored_market

pytestmark = [pytest.mark.bench, pytest.mark.clickhouse]

VIEWERS = 200
SYMBOLS = 20
SECONDS = 120
CLOCK_SECONDS = 60
DAYS = 2
STORED_FACTOR = 5


class Counted:
    """A client that counts its queries and the seconds they take."""

    def __init__(self, client: Client, taken: list[float]) -> None:
        self._client, self._taken = client, taken

    def _timed(self, ask: Callable[..., Any], query: str, parameters: dict[str, Any] | None) -> Any:
        started = time.perf_counter()
        try:
            return ask(query, parameters=parameters)
        finally:
            self._taken.append(time.perf_counter() - started)

    def query(self, query: str, parameters: dict[str, Any] | None = None) -> Any:
        return self._timed(self._client.query, query, parameters)

    def query_np(self, query: str, parameters: dict[str, Any] | None = None) -> Any:
        return self._timed(self._client.query_np, query, parameters)

    def raw_query(self, query: str, parameters: dict[str, Any] | None = None, *, fmt: str | None = None) -> Any:
        return self._timed(partial(self._client.raw_query, fmt=fmt), query, parameters)


class YesterdayClock(SystemClock):
    """A day behind, so that minutes are stored on both sides of now."""

    def now_ms(self) -> int:
        return super().now_ms() - DAY_MS


@pytest.fixture(scope="module")
def days(module_clickhouse: Client, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """Whole days (UTC) up to the end of yesterday."""
    today = int(time.time()) // stored_market.DAY_SECONDS * stored_market.DAY_SECONDS
    first = today - DAYS * stored_market.DAY_SECONDS
    templates = stored_market.template_rows(tmp_path_factory.mktemp("templates"))
    stored_market.store_minutes(module_clickhouse, SYMBOLS * 4, first, DAYS)
    stored_market.store_levels(module_clickhouse, templates, SYMBOLS, first, DAYS)
    return module_clickhouse


async def test_two_hundred_viewers(days: Client, module_settings: Settings) -> None:
    clock: Clock = YesterdayClock()
    taken: list[float] = []

    def opened() -> Any:
        return Counted(open_clickhouse(module_settings.clickhouse, threads=1), taken)

    async with ViewerServer(Viewer(port=0), opened, STORED_FACTOR, clock) as server:
        before, loop_before = time.process_time(), time.thread_time()
        arguments = (str(server.port), str(VIEWERS), str(SECONDS), str(clock.now_ms()))
        viewers = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bench.page_viewers", *arguments, stdout=-1, cwd=Path(__file__).parents[2]
        )
        output, _ = await viewers.communicate()
        used, loop_used = time.process_time() - before, time.thread_time() - loop_before
    answer = json.loads(output)
    sys.stdout.write(f"\n{VIEWERS} viewers of {SYMBOLS} symbols for {SECONDS} s:\n")
    for kind, numbers in answer["taken"].items():
        figures = ", ".join(f"{name} {value:.0f}" for name, value in numbers.items() if name != "count")
        sys.stdout.write(f"  {kind:27} {numbers['count']:5} answers, ms: {figures}\n")
    sys.stdout.write(
        f"  statuses {answer['statuses']}, {answer['megabytes']:.0f} MB\n"
        f"  processor seconds per second: server with ClickHouse {used / SECONDS:.2f} "
        f"(of it the event loop {loop_used / SECONDS:.2f}), viewers {answer['processor'] / SECONDS:.2f}\n"
        f"  {len(taken) / SECONDS:.0f} queries per second, {1_000 * sum(taken) / max(len(taken), 1):.1f} ms each\n"
    )


def test_processor_seconds_on_a_clock_of_their_own(days: Client, module_settings: Settings) -> None:
    taken: list[float] = []
    client: Any = Counted(open_clickhouse(module_settings.clickhouse, threads=1), taken)
    store, begin = Store(5 * MINUTE_MS, edge_age_ms=BEHIND_MS), YesterdayClock().now_ms()
    spent = page_clock.play(client, store, STORED_FACTOR, begin, VIEWERS, CLOCK_SECONDS)
    sys.stdout.write(f"\n{VIEWERS} viewers of {SYMBOLS} symbols, {CLOCK_SECONDS} s on a clock of their own:\n")
    for kind, each in spent.by_kind.items():
        sys.stdout.write(f"  {kind:12} {len(each):5} times, {1_000 * sum(each) / len(each):.1f} ms of processor each\n")
    first = int(page_viewers.REFRESH_SECONDS)
    later = [spent.by_second.get(second, 0.0) for second in range(first, CLOCK_SECONDS)]
    cold = sum(spent.by_second.get(second, 0.0) for second in range(first))
    sys.stdout.write(
        f"  processor seconds: {cold:.1f} until all have come, then {sum(later) / len(later):.2f} per second, "
        f"{max(later):.2f} at most; {store.kept.nbytes / 1e6:.0f} MB kept, {len(taken)} queries\n"
    )
