"""`liqheat simulate`: a fake exchange on loopback that speaks the real venues' formats, its positions known."""

from pathlib import Path
from typing import Annotated, Any

import typer

from liqheat.domain.instruments import DEFAULT_WATCH_LIST
from liqheat.domain.market import Venue


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(simulate)


def simulate(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 takes a free one.")] = 9010,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 only inside a container.")] = "127.0.0.1",
    seed: Annotated[int, typer.Option(help="Same seed and start: same positions, same events.")] = 1,
    hours: Annotated[float, typer.Option(help="Hours of history computed before it goes live.", min=0.1)] = 6.0,
    speed: Annotated[float, typer.Option(help="How much faster than real time it runs live.", min=0.1)] = 1.0,
    symbols: Annotated[str, typer.Option(help="Canonical symbols, separated by commas.")] = ",".join(
        DEFAULT_WATCH_LIST
    ),
    venues: Annotated[str, typer.Option(help="Venues, separated by commas.")] = ",".join(Venue),
    regime: Annotated[
        str, typer.Option(help="trending, ranging, crash, squeeze, bleed, mixed, or btc-2022-01 (recorded).")
    ] = "mixed",
    mix: Annotated[
        str, typer.Option(help="real: accounts as on venues. A crowd: balanced, cautious, degen, two-humps.")
    ] = "real",
    traders: Annotated[int, typer.Option(help="Open positions of each coin, about.", min=10)] = 1_800,
    truth: Annotated[
        Path | None, typer.Option(help="Folder for the true positions and maps (Parquet), hourly and at the end.")
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=PROBABILITY of a frame (disconnect, gap, duplicate, malformed, unsubscribe) or of a "
            "request (rate_limit, ban, maintenance); may be given again. POST /_faults triggers one at once."
        ),
    ] = None,
    start: Annotated[
        int, typer.Option(help="When live trading begins, ms UTC; 0 is now. Give it for identical times.")
    ] = 0,
    clock_skew: Annotated[float, typer.Option(help="Seconds that the exchange's clock is ahead of ours.")] = 0.0,
) -> None:
    """Run a fake exchange on this machine, with known positions and faults on demand.

    It computes the history, prints the environment variables that point an ingest at it, and runs until
    Ctrl-C. POST /_faults {"fault": "disconnect", "venue": "binance", "count": 1} makes one happen at once.
    """
    _run(dict(locals()))


def _run(options: dict[str, Any]) -> None:
    """Run the exchange with the command's options by name."""
    from functools import partial

    from liqheat.platform.settings import load
    from liqheat.simulator.running import RunOptions, run_simulator

    options["symbols"] = tuple(part.strip() for part in options["symbols"].split(",") if part.strip())
    options["faults"] = tuple(options.pop("fault") or ())
    options["start_ms"] = options.pop("start")
    options["clock_skew_seconds"] = options.pop("clock_skew")
    run_simulator(RunOptions(**options, service=load().service), partial(print, flush=True))
