"""What a run's figures say, as text for people; pure."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.bench.market.measure import STORM_SECONDS, Run, Sample
from tests.bench.market.stack import GENERATOR, INGESTS, KAFKA, Load

_CAUGHT_UP_SECONDS = 2.0
"""A worker that is fewer seconds of rows behind has caught up."""


def budgets(load: Load) -> tuple[tuple[str, tuple[str, ...], float], ...]:
    """Return what issue 16 allows each stage at 1,700 markets, processor seconds per second, with its processes."""
    return (
        ("four ingests", tuple(INGESTS), 0.5),
        ("worker" if load.workers == 1 else f"{load.workers} workers", load.worker_names, 0.6),
        ("sink with ClickHouse" if load.sinks == 1 else f"{load.sinks} sinks, ClickHouse", load.storing, 0.4),
    )


def text_of(run: Run) -> str:
    """Return one run's figures."""
    published = run.rate(lambda sample: sample.published)
    stored = run.rate(lambda sample: sample.stored)
    lines = [
        f"{run.load.markets:,} markets, {run.seconds / 60:g} minutes, {len(run.storms)} storms",
        f"  {'':24}{'processor s/s':>14}{'to keep up':>12}{'peak memory':>14}",
    ]
    for name in (*run.load.counted, GENERATOR, KAFKA):
        peak = max(sample.costs[name].peak for sample in run.samples) / 2**20
        note = "" if name in run.load.counted else "  (not counted)"
        lines.append(f"  {name:24}{run.processor(name):14.3f}{run.needed(name):12.3f}{peak:11,.0f} MB{note}")
    kinds = ", ".join(f"{kind} {count / run.seconds:,.1f}" for kind, count in sorted(run.published_by_kind.items()))
    tables = ", ".join(f"{table} {count / run.seconds:,.1f}" for table, count in sorted(run.stored_by_table.items()))
    lines += [
        f"  rows in per second     {published:,.0f} ({kinds})",
        f"  rows stored per second {stored:,.0f} ({tables}); {stored / published:.2f} per row in" if published else "",
        f"  behind                 {_lag(run)}",
        *(f"  storm                  {sentence}" for sentence in _storms(run)),
        f"  event to queryable row {_latency(run.latencies)}",
        f"  disk after merges      {_disk(run)}",
        f"  limit                  {limit_of(run)}",
        f"  machine                {_machine(run)}",
        *(f"  load                   {sentence}" for sentence in _load(run.load_state)),
        *(f"  warned                 {problem}" for problem in run.problems),
    ]
    return "\n".join(line for line in lines if line)


def growth_of(runs: Sequence[Run]) -> str:
    """Return how cost grows with markets and with processes: seconds per second, microseconds per market and second."""
    headings = ("four ingests", "workers", "sinks and ClickHouse")
    head = f"  {'markets':>8}{'workers':>8}{'sinks':>6}{'rows/s in':>11}"
    lines = [head + "".join(f"{name:>32}" for name in headings) + f"{'sum':>10}"]
    for run in runs:
        cells, total = "", 0.0
        for _, names, _ in budgets(run.load):
            needed = sum(run.needed(name) for name in names)
            total += needed
            cells += f"{needed:12.3f} s/s {needed / run.load.markets * 1e6:8.0f} us/market"
        published = run.rate(lambda sample: sample.published)
        spread = f"{run.load.workers:8}{run.load.sinks:6}"
        lines.append(f"  {run.load.markets:8,}{spread}{published:11,.0f}{cells}{total:10.3f}")
    return "\n".join(["how cost grows (to keep up):", *lines])


def limit_of(run: Run) -> str:
    """Say which stage would be the first not to keep up."""
    shares = {name: sum(map(run.needed, names)) / budget for name, names, budget in budgets(run.load)}
    worst = max(shares, key=lambda name: shares[name])
    # One process is one event loop: beyond one core it cannot keep up, whatever the machine.
    single = {name: run.needed(name) for name in run.load.counted}
    fullest = max(single, key=lambda name: single[name])
    behind = "; it falls behind" if _is_falling_behind(run) else ""
    return (
        f"{worst} ({shares[worst]:.2f} of its budget at 1,700 markets){behind}; the fullest process is {fullest} "
        f"with {single[fullest]:.2f} of a core"
    )


def _is_falling_behind(run: Run) -> bool:
    rate = run.rate(lambda sample: sample.published)
    return run.samples[-1].behind > 10 * rate


def _load(state: Mapping[str, Any]) -> list[str]:
    """Return what the generator sent, what it was asked, and whether it kept its pace."""
    if not state:
        return []
    seconds = (state["time"] - state["started"]) / 1_000
    frames = ", ".join(f"{venue} {count / seconds:,.0f}" for venue, count in sorted(state["sent"].items()))
    often = {path: count / seconds * 60 for path, count in state["requests"].items() if count > seconds / 60}
    requests = ", ".join(f"{path} {rate:,.0f}" for path, rate in sorted(often.items(), key=lambda item: -item[1]))
    return [
        f"frames per second, start included: {frames}",
        f"requests per minute: {requests}",
        f"a step was {state['late_ms']:,} ms late at most; {state['most_waiting']:,} bytes waited for a reader at most",
    ]


def _machine(run: Run) -> str:
    """Say how much of the machine others took: latency and lag are this run's own only on a machine of its own."""
    cores = os.cpu_count() or 1
    busy = run.rate(lambda sample: sample.busy)
    ours = sum(map(run.processor, (*run.load.counted, GENERATOR, KAFKA)))
    others = max(0.0, busy - ours)
    crowded = "; lag and latency are not this run's alone" if others > 0.25 * cores else ""
    return f"{cores} cores, {busy:.2f} of them busy: {ours:.2f} with this run, {others:.2f} with others{crowded}"


def _lag(run: Run) -> str:
    rate = max(run.rate(lambda sample: sample.published), 1.0)
    behind = [sample.behind for sample in run.samples]
    return (
        f"median {np.median(behind):,.0f} rows ({np.median(behind) / rate:.2f} s), most {max(behind):,.0f} "
        f"({max(behind) / rate:.1f} s), at the end {behind[-1]:,.0f} ({behind[-1] / rate:.1f} s)"
    )


def _storms(run: Run) -> list[str]:
    sentences = []
    for begun in run.storms:
        end = begun + STORM_SECONDS
        during = [sample for sample in run.samples if begun <= sample.at <= end]
        after = [sample for sample in run.samples if sample.at >= end]
        rate = (during[-1].published - during[0].published) / max(during[-1].at - during[0].at, 1e-9)
        spent = {
            name: (during[-1].costs[name].processor - during[0].costs[name].processor)
            / max(during[-1].at - during[0].at, 1e-9)
            for name in run.load.counted
        }
        costs = ", ".join(f"{name} {cost:.2f}" for name, cost in spent.items())
        sentences.append(
            f"{rate:,.0f} rows/s; most behind {max(sample.behind for sample in during):,.0f}; "
            f"{_caught_up(run, after, end)}; processor s/s: {costs}"
        )
    return sentences


def _caught_up(run: Run, after: Sequence[Sample], end: float) -> str:
    rate = run.rate(lambda sample: sample.published)
    for sample in after:
        if sample.behind < _CAUGHT_UP_SECONDS * rate:
            return f"caught up {sample.at - end:.0f} s after its end"
    return "not caught up by the end"


def _latency(latencies: Sequence[float]) -> str:
    if not latencies:
        return "no mark of the probe came into sight"
    p50, p90, p99 = np.quantile(latencies, [0.5, 0.9, 0.99])
    return f"p50 {p50:.2f} s, p90 {p90:.2f} s, p99 {p99:.2f} s, most {max(latencies):.2f} s ({len(latencies)} marks)"


def _disk(run: Run) -> str:
    disk = run.disk
    scale = 1 / run.load.markets / 1e6
    largest = sorted(disk.bytes_by_table, key=disk.per_day, reverse=True)[:6]
    tables = ", ".join(
        f"{table} {disk.per_day(table) * scale:.3f} "
        f"({disk.bytes_by_table[table] / max(disk.rows_by_table[table], 1):.1f} bytes per row)"
        for table in largest
    )
    total = sum(map(disk.per_day, disk.bytes_by_table)) * scale
    return (
        f"{total:.2f} MB per market and day, from {disk.minutes} minutes ({tables}); {disk.parts_before} parts before"
    )
