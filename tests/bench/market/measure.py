"""One run: the stack settles, is watched for some minutes, then probed; what it cost is returned.

The probe comes after the watched time, for its queries cost the sink something. Storms begin within the watched
time and end a minute before it does, so that catching up is seen.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.market import probe
from tests.bench.market.disk import Disk
from tests.bench.market.processes import Cost, cost_of, forget_peak, machine_busy
from tests.bench.market.stack import (
    CONSUMED,
    GENERATOR,
    INGESTS,
    INSERTED,
    KAFKA,
    PUBLISHED,
    Load,
    Stack,
)

SETTLE_SECONDS = 20.0
STORM_SECONDS = 60.0
PROBE_SECONDS = 60.0
_EVERY = 5.0
_GAPS = "gaps"
"""Published to a topic of their own, which the worker does not read."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What was so at one moment: rows published, consumed and stored since the start, and what each process cost.

    `busy` is the processor time of the whole machine, others' processes included.
    """

    at: float
    published: float
    consumed: float
    stored: float
    costs: Mapping[str, Cost]
    busy: float = 0.0

    @property
    def behind(self) -> float:
        """Rows that were published and not yet consumed."""
        return max(0.0, self.published - self.consumed)


@dataclass(frozen=True, slots=True)
class Run:
    """What one run measured; samples are `_EVERY` seconds apart, `storms` the monotonic times at which they began."""

    load: Load
    seconds: float
    samples: list[Sample]
    storms: list[float]
    published_by_kind: Mapping[str, float]
    stored_by_table: Mapping[str, float]
    latencies: list[float]
    disk: Disk
    load_state: Mapping[str, Any]
    problems: list[str] = field(default_factory=list)

    def processor(self, name: str) -> float:
        """Return processor seconds per second of a process over the watched time."""
        first, last = self.samples[0], self.samples[-1]
        return (last.costs[name].processor - first.costs[name].processor) / (last.at - first.at)

    def rate(self, of: Callable[[Sample], float]) -> float:
        """Return how fast a count rose over the watched time, per second."""
        first, last = self.samples[0], self.samples[-1]
        return (of(last) - of(first)) / (last.at - first.at)

    def needed(self, name: str) -> float:
        """Return the processor seconds per second that keeping up would take.

        For workers, and for sinks, which are given what workers make: what was used, per row consumed, times the rows
        published.
        """
        used = self.processor(name)
        if name not in (*self.load.worker_names, *self.load.storing):
            return used
        consumed = self.rate(lambda sample: sample.consumed)
        return used * self.rate(lambda sample: sample.published) / consumed if consumed else float("inf")


def run(
    load: Load,
    minutes: float,
    storms: tuple[float, ...],
    directory: Path,
    settings: Mapping[str, str],
    say: Callable[[str], None],
) -> Run:
    """Start everything in `directory`, watch it for `minutes`, and stop it.

    `storms` are the minutes of the watched time at which one begins.

    Raises:
        FatalError: a service ended or did not come up.
    """
    with Stack(load, directory, settings, say) as stack:
        say(f"{load.markets:,} markets: settling for {SETTLE_SECONDS:g} s")
        time.sleep(SETTLE_SECONDS)
        for name in load.counted:
            forget_peak(stack.pids[name])
        kinds_before, tables_before = _by_kind(stack), stack.counts(load.sink_names, INSERTED, "table")
        samples, begun = _watch(stack, load, minutes * 60, [minute * 60 for minute in storms], say)
        kinds, tables = _by_kind(stack), stack.counts(load.sink_names, INSERTED, "table")
        latencies = _probed(stack, load, say)
        stack.stop([*INGESTS])
        stack.stop(load.worker_names)
        stack.stop_storing()
        state = stack.load_state()
    say("merging what is on disk")
    return Run(
        load,
        minutes * 60,
        samples,
        begun,
        _less(kinds, kinds_before),
        _less(tables, tables_before),
        latencies,
        _disk_of(stack.data_directory),
        state,
        _problems_in(directory / "logs"),
    )


def _probed(stack: Stack, load: Load, say: Callable[[str], None]) -> list[float]:
    """Return the seconds from events to what the page shows; none where several sinks have no page."""
    if load.sinks > 1:
        return []
    say(f"probing for {PROBE_SECONDS:g} s")
    found = probe.latencies(stack.page, int(stack.load_state()["started"]), PROBE_SECONDS)
    stack.check()
    return found


def _watch(
    stack: Stack, load: Load, seconds: float, storms: list[float], say: Callable[[str], None]
) -> tuple[list[Sample], list[float]]:
    samples = [_sample(stack, load)]
    started = samples[0].at
    begun: list[float] = []
    while (elapsed := time.monotonic() - started) < seconds:
        if len(begun) < len(storms) and elapsed >= storms[len(begun)]:
            say("a storm begins")
            stack.begin_storm(STORM_SECONDS)
            begun.append(time.monotonic())
        time.sleep(min(_EVERY, seconds - elapsed))
        stack.check()
        samples.append(_sample(stack, load))
        if len(samples) % 6 == 0:
            _say_progress(samples, load, seconds, say)
    return samples, begun


def _say_progress(samples: list[Sample], load: Load, seconds: float, say: Callable[[str], None]) -> None:
    now, before = samples[-1], samples[-6]
    span = now.at - before.at
    spent = sum(now.costs[name].processor - before.costs[name].processor for name in load.counted) / span
    say(
        f"{(now.at - samples[0].at) / seconds:4.0%}  {(now.published - before.published) / span:,.0f} rows/s in, "
        f"{now.behind:,.0f} behind, {(now.stored - before.stored) / span:,.0f} rows/s stored, {spent:.2f} cores"
    )


def _sample(stack: Stack, load: Load) -> Sample:
    published = sum(_by_kind(stack).values())
    consumed = sum(stack.counts(load.worker_names, CONSUMED, "kind").values())
    stored = sum(stack.counts(load.sink_names, INSERTED, "table").values())
    costs = {name: cost_of(stack.pids[name]) for name in (*load.counted, GENERATOR, KAFKA)}
    return Sample(time.monotonic(), published, consumed, stored, costs, machine_busy())


def _by_kind(stack: Stack) -> dict[str, float]:
    total: dict[str, float] = {}
    for name in INGESTS:
        for kind, count in stack.counts([name], PUBLISHED, "kind").items():
            if kind != _GAPS:
                total[kind] = total.get(kind, 0.0) + count
    return total


def _less(after: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    return {key: count - before.get(key, 0.0) for key, count in after.items() if count > before.get(key, 0.0)}


def _disk_of(directory: Path) -> Disk:
    command = [sys.executable, "-m", "tests.bench.market.disk", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Disk(**json.loads(done.stdout.splitlines()[-1]))


def _problems_in(logs: Path) -> list[str]:
    """Return how often each service warned, with its first warning."""
    found = []
    for log in sorted(logs.glob("*.log")):
        lines = [line for line in log.read_text(errors="replace").splitlines() if '"level": "' in line]
        serious = [line for line in lines if '"level": "info"' not in line]
        if serious:
            found.append(f"{log.stem}: {len(serious)} warnings, the first: {serious[0][:200]}")
    return found
