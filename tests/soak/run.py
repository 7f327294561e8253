"""A simulated day of the whole local pipeline in minutes; prints each service's memory and open files over time.

    python -m tests.soak.run [--seconds 1800] [--speed 48] [--symbols 9] [--limit 5] [--broker auto|kafka|tansu]

`make soak` runs it. Slopes are per simulated hour, so that figures of different speeds compare; the first quarter, in
which caches fill, is left out. Exit status 1 where a service grows by more than the limit.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from liqheat.domain.instruments import DEFAULT_WATCH_LIST
from liqheat.domain.market import Venue
from liqheat.local.broker_choice import start_broker
from liqheat.local.process_facts import open_files, resident_megabytes
from liqheat.local.stack import LIQHEAT, Plan, environment_of
from liqheat.local.supervisor import Service, Supervisor, free_port
from liqheat.platform.settings import Local
from liqheat.simulator.server import environment_of as addresses_of
from tests.soak.slope import slope

_SAMPLE_SECONDS = 5.0
_LINE_SECONDS = 60.0
_FEED = (
    '<rss version="2.0"><channel><title>News</title><item><title>TAO is up</title><guid>1</guid></item></channel></rss>'
)


@dataclass
class Samples:
    """Memory (MB) and open files of one service by simulated hour."""

    memory: list[tuple[float, float]] = field(default_factory=list)
    files: list[tuple[float, float]] = field(default_factory=list)


@contextmanager
def pipeline(arguments: argparse.Namespace, directory: Path) -> Iterator[Supervisor]:
    """Run every service over an exchange that is `speed` times as fast as the clock and ends its run about now."""
    symbols = DEFAULT_WATCH_LIST[: arguments.symbols]
    venues = (Venue.BINANCE, Venue.BYBIT, Venue.OKX, Venue.HYPERLIQUID)
    local = Local(broker=arguments.broker)
    plan = Plan(venues, symbols, directory, 1, free_port(), 1, local)
    # Event times never run ahead of this machine's clock, so that nothing is refused for that.
    start_ms = round((time.time() - arguments.seconds * (arguments.speed - 1)) * 1_000)
    (directory / "feed.xml").write_text(_FEED)
    with start_broker(local, directory) as broker, Supervisor(directory / "logs") as supervisor:
        environment = environment_of(plan, broker.bootstrap_servers) | {"LIQHEAT_SINK__RETENTION_DAYS": "3"}
        exchange = free_port()
        command = [*LIQHEAT, "simulate", f"--port={exchange}", f"--speed={arguments.speed}", "--hours=1"]
        command += [f"--symbols={','.join(symbols)}", f"--venues={','.join(venues)}", f"--start={start_ms}"]
        command += [f"--traders={arguments.traders}"]
        supervisor.launch(Service("simulate", command, environment, exchange, "/_state"))
        supervisor.wait_healthy(["simulate"], 300, lambda: False)
        environment |= addresses_of(f"http://127.0.0.1:{exchange}", venues)
        commands = {"serve-local": ["serve-local"], "process": ["process"], "alerts-webhook": ["alerts-webhook"]}
        commands |= {"catalysts": ["catalyst", "watch"]}
        commands |= {f"ingest-{venue.value}": ["ingest", "--venue", venue.value] for venue in venues}
        environment |= {
            "LIQHEAT_WEBHOOK__URL": f"http://127.0.0.1:{exchange}/nowhere",
            "LIQHEAT_WEBHOOK__ATTEMPTS": "1",
            "LIQHEAT_CATALYSTS__FEEDS": json.dumps([str(directory / "feed.xml")]),
            "LIQHEAT_CATALYSTS__INTERVAL": "2",
        }
        for name, words in commands.items():
            port = free_port()
            supervisor.launch(
                Service(name, [*LIQHEAT, *words], environment | {"LIQHEAT_SERVICE__PORT": str(port)}, port)
            )
            if name == "serve-local":
                supervisor.wait_healthy([name], 120, lambda: False)
        supervisor.adopt("broker", broker.process)
        yield supervisor


def soak(arguments: argparse.Namespace, directory: Path) -> dict[str, Samples]:
    """Sample until the time is over; return the samples of each service."""
    samples: dict[str, Samples] = {}
    with pipeline(arguments, directory) as supervisor:
        began = printed_at = time.monotonic()
        while (elapsed := time.monotonic() - began) < arguments.seconds:
            supervisor.check()
            hours = elapsed * arguments.speed / 3_600
            for name, process in supervisor.processes().items():
                kept = samples.setdefault(name, Samples())
                kept.memory.append((hours, resident_megabytes(process.pid)))
                files = open_files(process.pid)
                if files is not None:
                    kept.files.append((hours, files))
            if time.monotonic() - printed_at >= _LINE_SECONDS:
                printed_at = time.monotonic()
                stored = supervisor.metric("serve-local", "liqheat_rows_inserted_total")
                print(f"{hours:5.1f} simulated hours, {stored:,.0f} rows stored", flush=True)
            time.sleep(_SAMPLE_SECONDS)
    return samples


def table(samples: dict[str, Samples], limit: float) -> tuple[str, list[str]]:
    """Return the table for people, and the services that grow by more than `limit` MB per simulated hour."""
    lines = [f"{'service':<20} {'MB at first':>11} {'MB at last':>10} {'MB per hour':>11} {'files':>6} {'per hour':>9}"]
    growing = []
    for name, kept in sorted(samples.items()):
        growth, files = slope(kept.memory), slope(kept.files)
        last_files = f"{kept.files[-1][1]:.0f}" if kept.files else "-"
        lines.append(
            f"{name:<20} {kept.memory[0][1]:>11.0f} {kept.memory[-1][1]:>10.0f} {growth:>11.2f} "
            f"{last_files:>6} {files:>9.2f}"
        )
        if growth > limit or files > 1.0:
            growing.append(name)
    return "\n".join(lines), growing


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1_800.0, help="real time (default 1800)")
    parser.add_argument("--speed", type=float, default=48.0, help="simulated seconds per second (default 48)")
    parser.add_argument("--symbols", type=int, default=3, help="coins (default 3)")
    parser.add_argument("--traders", type=int, default=200, help="simulated traders of each coin (default 200)")
    parser.add_argument("--limit", type=float, default=5.0, help="MB per simulated hour (default 5)")
    parser.add_argument("--broker", choices=("auto", "kafka", "tansu"), default="auto")
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="soak-"))
    samples = soak(arguments, directory)
    text, growing = table(samples, arguments.limit)
    print(text)
    print(f"{arguments.seconds * arguments.speed / 3_600:.1f} simulated hours; logs in {directory}")
    if growing:
        print(f"Growing: {', '.join(growing)}", file=sys.stderr)
        raise SystemExit(1)


if __name__ == "__main__":
    main()
