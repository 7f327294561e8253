"""Random faults one after another; then ClickHouse against an uninterrupted run over the same log.

    python -m tests.chaos.run [--faults 200] [--seed 1] [--limit SECONDS] [--directory DIR]

`make chaos` runs 200. Prints a table: each fault, seconds until it was reported, seconds until all was well.
"""

import argparse
import contextlib
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from tests.chaos.exact import differences, drain, sizes, uninterrupted, where_they_differ
from tests.chaos.faults import GONE, Fault, draw
from tests.chaos.messages import MessageWriter
from tests.chaos.pipeline import CLICKHOUSE, EXCHANGE, INGESTS, SINKS, WORKERS, Pipeline, running

REPORT_SECONDS = 10.0
WELL_SECONDS = 90.0
_UNSEEN_SECONDS = 1.0
_UNDER_WAY_SECONDS = 3.0
"""So that the first fault meets messages under way."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a fault; None where it was over before it could be reported."""

    fault: str
    reported: float | None
    well: float
    missed: tuple[str, ...] = ()


def suffer(pipeline: Pipeline, fault: Fault) -> Outcome:
    """Let one fault happen, wait until it is reported, heal it, and wait until all is well."""
    began = time.monotonic()
    fault.begin()
    waiting = set(fault.expected)
    try:
        while waiting and time.monotonic() - began < REPORT_SECONDS:
            for name, (status, problems) in pipeline.ask().items():
                wanted = fault.expected.get(name)
                if (wanted == GONE and status == 0) or (wanted is not None and wanted in problems):
                    waiting.discard(name)
                elif wanted is not None and fault.heals_itself and status == 0:
                    # The service went down with what was killed, and is started again with it.
                    waiting.discard(name)
            time.sleep(0.1)
        took = time.monotonic() - began
        if not fault.expected:
            time.sleep(_UNSEEN_SECONDS)
    finally:
        fault.heal()
    well = pipeline.wait_well(WELL_SECONDS)
    if fault.heals_itself and waiting:
        # Seen by some or by none: what was killed was back before the next look of the others.
        return Outcome(fault.name, None, well)
    return Outcome(fault.name, took if fault.expected else None, well, tuple(sorted(waiting)))


def table(outcomes: Iterable[Outcome]) -> str:
    """Return the outcomes for people, by kind: how often, and the worst seconds."""
    kinds: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        kinds.setdefault(outcome.fault, []).append(outcome)
    lines = [f"{'fault':<36} {'times':>5} {'reported s':>10} {'well s':>7}"]
    for name, found in sorted(kinds.items()):
        times = [outcome.reported for outcome in found if outcome.reported is not None]
        worst = f"{max(times):.1f}" if times else "-"
        lines.append(f"{name:<36} {len(found):>5} {worst:>10} {max(outcome.well for outcome in found):>7.1f}")
    return "\n".join(lines)


class TimeIsUp(BaseException):
    """The run took longer than it was given; no handler of an ordinary error may take it for one."""


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise `TimeIsUp` in the main thread after `seconds`; never for 0."""

    def ring(number: int, frame: object) -> None:
        raise TimeIsUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@dataclass(slots=True)
class Run:
    """What has become of a run so far, to be printed however it ends."""

    outcomes: list[Outcome] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    doing: str = "starting everything"


def chaos(faults: int, seed: int, directory: Path, run: Run, without: Sequence[str] = ()) -> None:
    """Run it all but faults that have one of the words `without`, and note in `run` what became of it.

    The first service that does not get well again ends the run: what comes after it would say nothing new.
    """
    chance = random.Random(seed)
    with running(directory) as (pipeline, can_fill_disk):
        _say(
            f"all well; disk full: {'yes' if can_fill_disk else 'not possible here'}; "
            f"clocks: {'yes' if pipeline.has_faketime else 'not possible here (no libfaketime)'}"
        )
        writer = MessageWriter(pipeline.kafka, seed)
        writer.start()
        time.sleep(_UNDER_WAY_SECONDS)
        drawn = draw(pipeline, writer, can_fill_disk, chance)
        wanted = (fault for fault in drawn if not any(word in fault.name for word in without))
        for number, fault in enumerate(islice(wanted, faults), start=1):
            run.doing = f"fault {number} of {faults}, {fault.name}"
            try:
                outcome = suffer(pipeline, fault)
            except TimeoutError as error:
                run.wrong.append(f"{fault.name}: {error}")
                return
            run.outcomes.append(outcome)
            times = "" if outcome.reported is None else f"reported in {outcome.reported:.1f} s, "
            _say(f"{number:>3}/{faults}  {fault.name}: {times}well in {outcome.well:.1f} s")
            run.wrong += [f"{fault.name} was not reported by {name} in {REPORT_SECONDS:g} s" for name in outcome.missed]
        run.doing = "waiting for the rest of the log"
        writer.end()
        _say(f"{writer.written:,} messages written; {run.doing}")
        supervisor = pipeline.supervisor
        supervisor.stop([*INGESTS, EXCHANGE])
        processes = supervisor.processes()
        drain(pipeline.kafka, [processes[name] for name in WORKERS], [processes[name] for name in SINKS])
        supervisor.stop([*WORKERS, *SINKS, CLICKHOUSE])
        run.doing = "an uninterrupted run over the same log"
        _say(run.doing)
        compare(pipeline, uninterrupted(pipeline.kafka, directory), run)


def compare(pipeline: Pipeline, whole: Path, run: Run) -> None:
    """Note in `run` where ClickHouse differs from the folder of the uninterrupted run, or holds nothing to compare."""
    run.doing = "comparing every row"
    lines = differences(pipeline.clickhouse_directory, whole)
    if lines:
        # The small disk is gone with the run.
        shutil.copytree(pipeline.clickhouse_directory, pipeline.directory / "clickhouse", symlinks=True)
        lines += where_they_differ(pipeline.clickhouse_directory, whole)
    run.wrong += lines
    rows = sizes(whole)
    if min(rows.get(view, 0) for view in ("heatmap", "market_minutes", "liquidations")) == 0:
        run.wrong.append(f"a view that matters is empty: {rows}")
    _say(f"{sum(rows.values()):,} rows in {len(rows)} views compared; {len(pipeline.said)} lines of restarts")


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)


def main() -> None:
    """Run from the command line; exit status 1 when something did not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=200, help="how many (default 200)")
    parser.add_argument("--seed", type=int, default=1, help="of the choice of faults and of the log (default 1)")
    parser.add_argument("--without", nargs="*", default=(), help="leave out faults whose name has one of these words")
    parser.add_argument(
        "--limit", type=float, default=0.0, help="seconds that all of it may take (default 0: no limit)"
    )
    parser.add_argument("--directory", type=Path, help="where logs and data stay; a temporary folder by default")
    arguments = parser.parse_args()
    directory = arguments.directory or Path(tempfile.mkdtemp(prefix="chaos-"))
    with contextlib.suppress(FileExistsError):
        directory.mkdir(parents=True)
    run, began = Run(), time.monotonic()
    try:
        with limited(arguments.limit):
            chaos(arguments.faults, arguments.seed, directory, run, arguments.without)
    except TimeIsUp:
        run.wrong.append(f"not done after {arguments.limit:g} s, the limit given by --limit; it was at: {run.doing}")
    finally:
        print(table(run.outcomes), flush=True)
    _say(f"{len(run.outcomes)} faults in {(time.monotonic() - began) / 60:.1f} minutes")
    for line in run.wrong:
        print(f"WRONG: {line}", file=sys.stderr)
    if run.wrong:
        print(f"Logs are in {directory}", file=sys.stderr)
        raise SystemExit(1)
    if arguments.directory is None:
        shutil.rmtree(directory, ignore_errors=True)
    print("Every row is what an uninterrupted run leaves, and health said what was the matter.")


if __name__ == "__main__":
    main()
