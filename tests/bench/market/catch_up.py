"""`python -m tests.bench.market.catch_up`: how fast the worker reads a log written live, beside the usual ways.

The log: 425 markets, 30 trades and 12 marks per minute each, from the real publisher at live pacing (virtual time),
on Apache Kafka. The worker is `liqheat process` with signals; its processor time is read from /proc from when it has
partitions to when the last row was applied. Beside it, in the same run, on the same trades: plain Faust and Quix
Streams (one JSON event per message), and one bare polars pass over the log itself.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from liqheat.local.broker import start_apache_kafka
from liqheat.platform.errors import LiqheatError
from liqheat.platform.kafka import create_topics
from liqheat.platform.settings import Kafka
from tests.bench.market import live_log, rivals
from tests.bench.market.live_log import LogShape
from tests.bench.market.processes import cost_of
from tests.bench.market.stack import CONSUMED, KAFKA_JARS, Load, Stack

_QUIET_SECONDS = 5.0
"""After the last row: for the checkpoints and outputs that belong to it."""
_LIMIT_SECONDS = 900.0


class _WorkersAlone(Stack):
    """Only the workers, on a broker that runs already."""

    def __init__(self, kafka: Kafka, workers: int, directory: Path, say: Callable[[str], None]) -> None:
        settings = {"LIQHEAT_KAFKA__TOPIC_PREFIX": kafka.topic_prefix}
        super().__init__(Load(0, workers=workers), directory, settings, say)
        self._bootstrap_servers = kafka.bootstrap_servers

    def _start(self) -> None:
        self._start_workers(self._environment(self._bootstrap_servers))


def worker_rate(
    kafka: Kafka, rows: int, directory: Path, say: Callable[[str], None], workers: int = 1
) -> tuple[float, float]:
    """Return rows per second of processor time, of all workers together, and of wall time: from ready to the last row.

    Raises:
        FatalError: a worker ended.
    """
    names = Load(0, workers=workers).worker_names
    with _WorkersAlone(kafka, workers, directory, say) as stack:
        consumed = before = sum(stack.counts(names, CONSUMED, "kind").values())
        spent, begun = _spent(stack, names), time.monotonic()
        while consumed < rows and time.monotonic() - begun < _LIMIT_SECONDS:
            time.sleep(1.0)
            stack.check()
            consumed = sum(stack.counts(names, CONSUMED, "kind").values())
        wall = time.monotonic() - begun
        time.sleep(_QUIET_SECONDS)
        processor = _spent(stack, names) - spent
    say(f"{consumed:,.0f} of {rows:,} rows applied in {wall:.0f} s, {processor:.1f} s of processor time")
    return (consumed - before) / processor, (consumed - before) / wall


def _spent(stack: Stack, names: Sequence[str]) -> float:
    return sum(cost_of(stack.pids[name]).processor for name in names)


def main() -> int:
    """Write the log, let each read it, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.market.catch_up", description=__doc__)
    parser.add_argument("--markets", type=int, default=LogShape().markets)
    parser.add_argument("--minutes", type=int, default=LogShape().minutes, help="minutes of the log")
    parser.add_argument("--plain-events", type=int, default=20_000, help="events for plain Faust and Quix Streams")
    parser.add_argument("--workers", default="", help="only this: how many share the log; several run in turn (1,2,4)")
    parser.add_argument("--keep", type=Path, help="folder for data and logs; a temporary one by default")
    arguments = parser.parse_args()
    shape = LogShape(arguments.markets, arguments.minutes)
    workers = [int(text) for text in arguments.workers.split(",") if text]

    def say(line: str) -> None:
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")

    try:
        with tempfile.TemporaryDirectory(prefix="bench-catch-up-") as temporary:
            directory = arguments.keep or Path(temporary)
            if workers:
                _measure_spread(shape, workers, directory, say)
            else:
                _measure(shape, arguments.plain_events, directory, say)
    except LiqheatError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        return 130
    return 0


def _measure_spread(shape: LogShape, workers: Sequence[int], directory: Path, say: Callable[[str], None]) -> None:
    """Have the same log, written again each time, read by that many workers; print what they cost together."""
    with start_apache_kafka(KAFKA_JARS, directory / "kafka") as broker:
        for count in workers:
            kafka = Kafka(bootstrap_servers=broker.bootstrap_servers, topic_prefix=f"of-{count}-")
            create_topics(kafka)
            rows = live_log.write(kafka, shape)
            ours, wall = worker_rate(kafka, rows, directory / str(count), say, count)
            sys.stdout.write(
                f"{count} workers: {ours:,.0f} rows per second of processor time, {1e6 / ours:.1f} us per row "
                f"({wall:,.0f} rows per second of wall time)\n"
            )
            sys.stdout.flush()


def _measure(shape: LogShape, plain_events: int, directory: Path, say: Callable[[str], None]) -> None:
    with start_apache_kafka(KAFKA_JARS, directory / "kafka") as broker:
        kafka = Kafka(bootstrap_servers=broker.bootstrap_servers)
        create_topics(kafka)
        say("writing the log")
        rows = live_log.write(kafka, shape)
        written = rivals.write_plain_events(kafka, "plain-events", shape, plain_events)
        say("the worker reads it")
        ours, wall = worker_rate(kafka, rows, directory, say)
        here = [sys.executable, "-m", "tests.bench.market.rivals"]
        say("plain Faust")
        count = str(kafka.partitions)
        faust = rivals.apart([*here, "faust", broker.bootstrap_servers, "plain", count, str(written)], say)
        say("bare polars")
        polars = rivals.apart([*here, "polars", broker.bootstrap_servers, count], say)
        quix = _quix(broker.bootstrap_servers, written, directory, say)
    lines = [
        f"{rows:,} rows: {shape.markets} markets, {shape.minutes} minutes, "
        f"{shape.trades:g} trades and {shape.marks} marks per minute each",
        f"  {'':34}{'rows/s of processor time':>26}{'liqheat is':>12}",
        f"  {'liqheat worker with signals':34}{ours:26,.0f}{'':12}  ({wall:,.0f} rows/s of wall time)",
        _line("plain Faust, JSON, windowed table", faust[0] if faust else None, ours),
        _line("Quix Streams, JSON, tumbling sum", quix, ours),
        _line("bare polars pass, with reading", polars[0] if polars else None, ours),
        _line("bare polars pass, without", polars[1] if polars else None, ours),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def _quix(bootstrap_servers: str, events: int, directory: Path, say: Callable[[str], None]) -> float | None:
    say("Quix Streams: installing it")
    try:
        python = rivals.quix_environment(directory / "quix")
    except RuntimeError as error:
        say(f"Quix Streams does not install here: {error}")
        return None
    command = [str(python), str(rivals.QUIX), bootstrap_servers, "plain-events", str(events), str(directory / "state")]
    answer = rivals.apart(command, say)
    return answer[0] if answer else None


def _line(name: str, rate: float | None, ours: float) -> str:
    return f"  {name:34}" + (f"{rate:26,.0f}{ours / rate:11.2f}x" if rate else f"{'not measured':>26}")


if __name__ == "__main__":
    sys.exit(main())
