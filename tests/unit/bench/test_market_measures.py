"""The market bench's measuring: processes, the probe's clock, and what a run's figures say."""

import os
import time

import pytest

from tests.bench.market import probe
from tests.bench.market.__main__ import storms_of
from tests.bench.market.activity import PROBE, markets_of
from tests.bench.market.disk import Disk, period_of
from tests.bench.market.generator import WIRES
from tests.bench.market.measure import Run, Sample
from tests.bench.market.processes import Cost, cost_of, forget_peak, machine_busy
from tests.bench.market.report import growth_of, limit_of, text_of
from tests.bench.market.stack import CLICKHOUSE, GENERATOR, INGESTS, KAFKA, SINK, WORKER, Load
from tests.bench.market.tape import STEP_MS, Tape

START = 1_790_000_000_000
FIRST = next(iter(INGESTS))
ONE = Load(100)


def test_a_process_costs_what_its_own_clock_says() -> None:
    before, clock = cost_of(os.getpid()), time.process_time()
    while time.process_time() - clock < 0.2:
        sum(range(1_000))
    spent = cost_of(os.getpid()).processor - before.processor
    assert spent == pytest.approx(time.process_time() - clock, abs=0.05)


def test_every_ingest_has_a_venue_that_the_generator_plays() -> None:
    assert list(INGESTS.values()) == [wire.venue for wire in WIRES]


def test_the_machine_is_busy_while_this_process_works() -> None:
    before, clock = machine_busy(), time.process_time()
    while time.process_time() - clock < 0.3:
        sum(range(1_000))
    assert machine_busy() - before >= 0.25


def test_a_peak_of_memory_is_forgotten() -> None:
    ballast = bytearray(64 * 2**20)
    peak = cost_of(os.getpid()).peak
    del ballast
    forget_peak(os.getpid())
    after = cost_of(os.getpid())
    assert after.peak < peak - 32 * 2**20
    assert after.peak >= after.memory


def test_the_price_of_the_probes_mark_says_when_it_was_made() -> None:
    markets = markets_of(36)
    tape, number = Tape(markets, 1), len(markets) - 1
    assert markets[number].symbol == PROBE
    seen = []
    for count in range(1, 21):
        step = tape.step(START + count * STEP_MS, count * STEP_MS / 1_000)
        if number in step.marks.tolist():
            seen.append((step.now, float(f"{step.prices[number]:.{markets[number].price_decimals}f}")))
    assert [probe.made_at(price, START) for _, price in seen] == pytest.approx([now for now, _ in seen], abs=1.0)
    assert [now - START for now, _ in seen] == [200, 500, 700, 1_000, 1_200, 1_500, 1_700, 2_000]
    # An answer that jumps from the second mark to the sixth has brought four into sight.
    prices = [price for _, price in seen]
    between = probe.marks_between(probe.made_at(prices[1], START), probe.made_at(prices[5], START))
    assert between == [now for now, _ in seen[2:6]]


def test_storms_end_early_enough_to_be_seen_caught_up() -> None:
    assert storms_of(2.0) == ()
    assert storms_of(4.0) == (2.0,)
    assert storms_of(10.0) == (2.0, 6.0)


def run_of(worker_seconds: float, consumed: float, storms: tuple[float, ...] = (), load: Load = ONE) -> Run:
    """Return a run of 100 s in which 1,000 rows per second came in; each process but the workers spent 1 s."""

    def sample(share: float) -> Sample:
        costs = {name: Cost(share, 10 * 2**20, 20 * 2**20) for name in (*load.counted, GENERATOR, KAFKA)}
        for name in load.worker_names:
            costs[name] = Cost(share * worker_seconds / load.workers, 10 * 2**20, 20 * 2**20)
        busy = share * (os.cpu_count() or 1) * 50.0
        return Sample(100 * share, 100_000 * share, 100_000 * share * consumed, 500_000 * share, costs, busy)

    return Run(
        load=load,
        seconds=100.0,
        samples=[sample(step / 20) for step in range(21)],
        storms=list(storms),
        published_by_kind={"trades": 40_000.0, "marks": 60_000.0},
        stored_by_table={"heatmap_raw": 500_000.0},
        latencies=[1.0] * 98 + [3.0, 5.0],
        disk=Disk(
            {"heatmap_raw": 2_000_000, "heatmap_1h_raw": 500_000, "heatmap_1d_raw": 1_000_000},
            {"heatmap_raw": 100_000, "heatmap_1h_raw": 10_000, "heatmap_1d_raw": 10_000},
            {"heatmap_raw": 2, "heatmap_1h_raw": 60, "heatmap_1d_raw": 1_440},
            minutes=2,
            parts_before=7,
        ),
        load_state={
            "started": START,
            "time": START + 120_000,
            "sent": {"okx": 2_400, "binance": 12_000},
            "requests": {"binance /fapi/v1/openInterest": 240, "okx /api/v5/public/instruments": 1},
            "late_ms": 1_234,
            "most_waiting": 0,
        },
    )


def test_a_worker_that_falls_behind_is_charged_for_what_it_left() -> None:
    run = run_of(worker_seconds=50.0, consumed=0.25)
    assert run.processor(WORKER) == pytest.approx(0.5)
    assert run.needed(WORKER) == pytest.approx(2.0)
    assert run.needed(SINK) == 4 * run.processor(SINK) == pytest.approx(0.04)
    assert run.needed(FIRST) == run.processor(FIRST) == pytest.approx(0.01)
    assert limit_of(run).startswith("worker (3.33 of its budget")
    assert "it falls behind" in limit_of(run)
    assert "falls behind" not in limit_of(run_of(worker_seconds=50.0, consumed=1.0))


def test_the_report_says_rows_lag_latency_and_disk() -> None:
    text = text_of(run_of(worker_seconds=5.0, consumed=1.0, storms=(10.0,)))
    assert "rows in per second     1,000 (marks 600.0, trades 400.0)" in text
    assert "rows stored per second 5,000 (heatmap_raw 5,000.0); 5.00 per row in" in text
    assert "p50 1.00 s, p90 1.00 s, p99 3.02 s, most 5.00 s (100 marks)" in text
    # Of 100 markets: 2 MB in 2 minutes, half a MB in the hour's rollup, a whole one in the day's.
    assert "14.53 MB per market and day, from 2 minutes (heatmap_raw 14.400 (20.0 bytes per row)" in text
    assert "heatmap_1h_raw 0.120 (50.0 bytes per row), heatmap_1d_raw 0.010 (100.0" in text
    assert "lag and latency are not this run's alone" in text, "half of the machine was busy, 0.12 cores with the run"
    assert "caught up 0 s after its end" in text
    assert "frames per second, start included: binance 100, okx 20" in text
    assert "requests per minute: binance /fapi/v1/openInterest 120\n" in text
    assert "a step was 1,234 ms late at most" in text


def test_a_tables_name_says_how_often_its_rows_are_written() -> None:
    names = ("heatmap_levels_raw", "heatmap_levels_1h_raw", "heatmap_1d_raw", "contracts_raw", "positions_observed_raw")
    assert [period_of(name) for name in names] == [1, 60, 1_440, 60, 1]


def test_growth_shows_each_size_with_its_cost_per_market() -> None:
    lines = growth_of([run_of(5.0, 1.0), run_of(50.0, 1.0)]).splitlines()
    assert len(lines) == 4
    assert "0.050 s/s      500 us/market" in lines[2]
    assert "0.500 s/s     5000 us/market" in lines[3]


def test_several_workers_and_sinks_are_added_up_to_what_a_market_costs() -> None:
    load = Load(100, workers=4, sinks=2)
    assert load.worker_names == ("worker 1", "worker 2", "worker 3", "worker 4")
    assert load.storing == ("sink 1", "sink 2", CLICKHOUSE)
    assert ONE.counted == (*INGESTS, WORKER, SINK)
    one, spread = growth_of([run_of(50.0, 1.0), run_of(50.0, 1.0, load=load)]).splitlines()[2:]
    assert one.split()[:3] == ["100", "1", "1"]
    assert spread.split()[:3] == ["100", "4", "2"]
    assert "0.500 s/s     5000 us/market" in one
    assert "0.500 s/s     5000 us/market" in spread, "four workers that share the work cost what one does"
    assert "0.030 s/s      300 us/market" in spread, "two sinks and ClickHouse"
