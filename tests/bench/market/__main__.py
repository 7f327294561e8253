"""`python -m tests.bench.market`: what the real services cost on a load like the real markets'.

Frames and REST answers come from a lean generator over loopback sockets; Apache Kafka, four `liqheat ingest`, one
`liqheat process` and one sink with embedded ClickHouse (`liqheat serve-local`) run as processes of their own, or
several of both as groups. Nothing is judged: the figures are printed, each beside its budget.
"""

import argparse
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

from liqheat.platform.errors import LiqheatError
from tests.bench.market.activity import LISTED, MEAN_TRADES_PER_SECOND
from tests.bench.market.generator import WIRES
from tests.bench.market.measure import STORM_SECONDS, Run, run
from tests.bench.market.report import growth_of, text_of
from tests.bench.market.stack import Load

_STORM_EVERY_MINUTES = 4.0


def storms_of(minutes: float) -> tuple[float, ...]:
    """Return at which minutes storms begin: every four, the last early enough to see it caught up."""
    found, at = [], 2.0
    while at + STORM_SECONDS / 60 + 1.0 <= minutes:
        found.append(at)
        at += _STORM_EVERY_MINUTES
    return tuple(found)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.market", description=__doc__)
    parser.add_argument(
        "--markets",
        default="1700",
        help="markets over four venues; several separated by commas run in turn (36,340,1700)",
    )
    parser.add_argument("--workers", default="1", help="workers that share the markets; several run in turn (1,2,4)")
    parser.add_argument(
        "--sinks", default="1", help="sinks of one group, on ClickHouse behind HTTP where more than one"
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="minutes that are watched (2 for a short look)")
    parser.add_argument("--storm", default="", help="minutes at which storms begin, separated by commas, or `none`")
    parser.add_argument("--seed", type=int, default=1, help="of the load")
    parser.add_argument("--keep", type=Path, help="new folder for data and logs; a temporary one by default")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of all services (LIQHEAT_...)"
    )
    return parser.parse_args()


def _say(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")


def main() -> int:
    """Run each size in turn and print what it measured."""
    arguments = _arguments()
    if arguments.keep and arguments.keep.exists():
        sys.stderr.write(f"{arguments.keep} exists; data of another run would be counted, so give a new folder\n")
        return 2
    sizes = [
        tuple(int(text) for text in texts)
        for texts in product(*(each.split(",") for each in (arguments.markets, arguments.workers, arguments.sinks)))
    ]
    settings = dict(pair.partition("=")[::2] for pair in arguments.set)
    storms = storms_of(arguments.minutes)
    if arguments.storm:
        storms = () if arguments.storm == "none" else tuple(float(text) for text in arguments.storm.split(","))
    for wire in WIRES:
        _say(f"{wire.venue.value}: {wire.budget}")
    _say(f"venues list {', '.join(f'{venue.value} {count}' for venue, count in LISTED.items())} at 1,700 markets")
    _say(f"{60 * MEAN_TRADES_PER_SECOND:g} trades per minute and market on average; one mark per second")
    runs: list[Run] = []
    try:
        for markets, workers, sinks in sizes:
            load = Load(markets, arguments.seed, workers, sinks)
            with tempfile.TemporaryDirectory(prefix="bench-market-") as temporary:
                directory = (arguments.keep or Path(temporary)) / f"{markets}-{workers}-{sinks}"
                runs.append(run(load, arguments.minutes, storms, directory, settings, _say))
            sys.stdout.write(text_of(runs[-1]) + "\n\n")
            sys.stdout.flush()
    except LiqheatError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        return 130
    if len(runs) > 1:
        sys.stdout.write(growth_of(runs) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
