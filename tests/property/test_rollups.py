"""Hours and days of the map equal a recomputation from its minutes, whatever way the minutes came in."""

import math
from collections import defaultdict
from dataclasses import dataclass

import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from liqheat.domain.events import Batch
from liqheat.domain.windows import DAY_MS, HOUR_MS, MINUTE_MS
from liqheat.platform.errors import Origin
from liqheat.platform.settings import Settings
from sinks.clickhouse.rollup import hours_of
from sinks.clickhouse.rows import rows_of
from sinks.clickhouse.writer import ClickHouseWriter
from tests.support.sink_fakes import MIDNIGHT, heatmap_batch

pytestmark = pytest.mark.clickhouse


@dataclass(frozen=True)
class Minute:
    """One message: the buckets of a market's minute at a revision. Equal (venue, minute, revision) are equal rows."""

    venue: str
    minute: int
    revision: int

    @property
    def buckets(self) -> list[int]:
        return [bucket for bucket in range(4) if (self.minute * 7 + self.revision * 3 + bucket * 5) % 4]

    @property
    def at_risk(self) -> int:
        return (self.minute * 31 + self.revision * 17) % 1_000 * 1_000_000

    @property
    def opened(self) -> int:
        return (self.minute + self.revision) % 10 * 1_000_000

    def batch(self) -> Batch:
        return heatmap_batch(
            self.minute,
            venue=self.venue,
            buckets=self.buckets,
            revision=self.revision,
            at_risk=self.at_risk,
            opened=self.opened,
        )


MINUTES = st.builds(
    Minute,
    venue=st.sampled_from(["binance", "okx"]),
    # The last hour of a day, the first of the next and one far off, each with few minutes, so that they collide.
    minute=st.sampled_from([0, 1, 2, 59, 60, 61, 1_380, 1_438, 1_439, 1_440, 1_441, 1_500]),
    revision=st.integers(1, 4),
)

Cell = tuple[str, int, float]


def recomputed(messages: list[Minute], size: int) -> dict[Cell, tuple[float, float, float]]:
    """Recompute (level, peak, opened) of each (venue, period start, price) from the newest revision of every row."""
    newest: dict[tuple[str, int], Minute] = {}
    for message in sorted(messages, key=lambda message: message.revision):
        newest[message.venue, message.minute] = message
    last: dict[tuple[str, int], int] = defaultdict(int)
    for venue, minute in newest:
        market = (venue, (MIDNIGHT + minute * MINUTE_MS) // size * size)
        last[market] = max(last[market], minute)
    cells: dict[Cell, tuple[float, float, float]] = {}
    for (venue, minute), message in newest.items():
        start = (MIDNIGHT + minute * MINUTE_MS) // size * size
        for bucket in message.buckets:
            level, peak, opened = cells.get((venue, start, 100.0 + bucket), (0.0, 0.0, 0.0))
            at_risk = in_steps(message.at_risk / 1e6, 1.01)
            if minute == last[venue, start]:
                level = at_risk
            flow = opened + in_steps(message.opened / 1e6, 1.1)
            cells[venue, start, 100.0 + bucket] = (level, max(peak, at_risk), flow)
    return cells


def in_steps(usd: float, ratio: float) -> float:
    """Return what is stored of an amount."""
    return 0.01 * ratio ** round(math.log(usd / 0.01) / math.log(ratio)) if usd >= 0.01 else 0.0


def close(cells: dict[Cell, tuple[float, float, float]]) -> dict[Cell, object]:
    """Return what equals `cells` to six digits: sums of flows are stored as 32-bit floats."""
    return {cell: pytest.approx(values, rel=1e-6) for cell, values in cells.items()}


def stored(client: Client, view: str) -> dict[Cell, tuple[float, float, float]]:
    rows = client.query(
        "SELECT venue, toUnixTimestamp(window_start) * 1000, price_low, at_risk_usd, at_risk_peak_usd, opened_usd "
        f"FROM {view}"
    ).result_rows
    assert len({tuple(row[:3]) for row in rows}) == len(rows)
    return {(venue, start, price): (level, peak, opened) for venue, start, price, level, peak, opened in rows}


@hypothesis_settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(MINUTES, min_size=1, max_size=12).flatmap(
        # Replayed: some messages come again, later, with others between them; in any order.
        lambda messages: st.tuples(st.just(messages), st.permutations(messages + messages[::2]))
    ),
    st.integers(1, 9),
)
def test_rollups_equal_a_recomputation_from_minutes(
    clickhouse: Client, settings: Settings, log: tuple[list[Minute], list[Minute]], chunk: int
) -> None:
    messages, arrivals = log
    for table in ("heatmap_levels_raw", "heatmap_levels_1h_raw", "heatmap_levels_1d_raw"):
        clickhouse.command(f"TRUNCATE TABLE {table}")
    writer = ClickHouseWriter(clickhouse, settings.clickhouse)
    for first in range(0, len(arrivals), chunk):
        batches = [message.batch() for message in arrivals[first : first + chunk]]
        writer.insert("heatmap_levels_raw", [rows_of(batch, Origin("heatmap-buckets", 0, first)) for batch in batches])
        writer.roll_up(set().union(*(hours_of(batch) for batch in batches)))
    assert stored(clickhouse, "heatmap_1h") == close(recomputed(messages, HOUR_MS))
    assert stored(clickhouse, "heatmap_1d") == close(recomputed(messages, DAY_MS))


def test_a_late_rollup_of_what_was_known_before_changes_nothing(clickhouse: Client, settings: Settings) -> None:
    """A sink that lost its partitions may still write what it read then, after its heir has written more."""
    writer = ClickHouseWriter(clickhouse, settings.clickhouse)

    def write(*messages: Minute) -> None:
        for message in messages:
            writer.insert("heatmap_levels_raw", [rows_of(message.batch(), Origin("heatmap-buckets", 0, 0))])
            writer.roll_up(hours_of(message.batch()))

    write(Minute("okx", 10, revision=4))
    for table in ("heatmap_levels_1h_raw", "heatmap_levels_1d_raw"):
        clickhouse.command(f"CREATE TABLE kept_{table} ENGINE = Memory AS SELECT * FROM {table}")
    # An earlier minute that came late: no newer revision, but more is known.
    write(Minute("okx", 7, revision=3), Minute("okx", 12, revision=4))
    for table in ("heatmap_levels_1h_raw", "heatmap_levels_1d_raw"):
        clickhouse.command(f"INSERT INTO {table} SELECT * FROM kept_{table}")
    messages = [Minute("okx", 10, 4), Minute("okx", 7, 3), Minute("okx", 12, 4)]
    assert stored(clickhouse, "heatmap_1h") == close(recomputed(messages, HOUR_MS))
    assert stored(clickhouse, "heatmap_1d") == close(recomputed(messages, DAY_MS))
