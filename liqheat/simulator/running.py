"""The simulator as a process: history first, then one line that says where it listens, then live until stopped.

Called by `liqheat simulate`; the only part of the simulator that knows the machine's clock and signals.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import cast

from liqheat.domain.market import Venue
from liqheat.domain.windows import HOUR_MS, MINUTE_MS
from liqheat.platform.clock import SystemClock
from liqheat.platform.errors import ConfigurationError
from liqheat.platform.health import HealthServer
from liqheat.platform.settings import Service
from liqheat.simulator.exchange import Exchange
from liqheat.simulator.faults import Faults, parse_faults
from liqheat.simulator.history import VenueMarket
from liqheat.simulator.people import People
from liqheat.simulator.server import SimulatorServer, environment_of, serving
from liqheat.simulator.simulation import SimulationConfig
from liqheat.simulator.traders import LEVERAGE_MIXES, Population
from liqheat.simulator.wire.base import Wire

HISTORY_STEP_MS = 15_000
REAL_MIX = "real"
"""The mix that is no crowd: accounts as they are seen on real venues."""
WARM_UP_HOURS = 12.0


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line says; see `liqheat simulate --help`."""

    port: int
    seed: int
    hours: float
    speed: float
    symbols: tuple[str, ...]
    venues: str
    regime: str
    mix: str
    traders: int
    truth: Path | None
    faults: tuple[str, ...]
    start_ms: int
    clock_skew_seconds: float
    host: str = "127.0.0.1"
    service: Service = field(default_factory=Service)
    """Where health and metrics listen."""


def run_simulator(options: RunOptions, say: Callable[[str], None]) -> None:
    """Run until interrupted; `say` gets the lines a person reads.

    Raises:
        ConfigurationError: an option is wrong, or the port is taken.
    """
    faults = Faults(parse_faults(list(options.faults)), seed=options.seed)
    exchange = Exchange(_config(options))
    say(f"Computing {options.hours:g} h of {len(options.symbols)} markets ...")
    for _ in exchange.run_history():
        pass
    with HealthServer("simulator", lambda: None, options.service.host, options.service.port):
        asyncio.run(_serve(exchange, faults, options, say))


def wires_for(exchange: Exchange) -> Mapping[Venue, Wire]:
    """Return the wire of each venue that the exchange simulates."""
    return {venue: _wire_of(venue)(views) for venue, views in exchange.views.items() if views}


def _wire_of(venue: Venue) -> Callable[[dict[str, VenueMarket]], Wire]:
    """Return the wire class of a venue: `BybitWire` of `liqheat.simulator.wire.bybit`."""
    module = import_module(f"liqheat.simulator.wire.{venue.value}")
    return cast(Callable[[dict[str, VenueMarket]], Wire], getattr(module, f"{venue.value.capitalize()}Wire"))


def _config(options: RunOptions) -> SimulationConfig:
    try:
        venues = tuple(Venue(name.strip()) for name in options.venues.split(","))
    except ValueError:
        raise ConfigurationError(f"Expected venues out of {', '.join(Venue)}, was {options.venues!r}") from None
    if not options.symbols:
        raise ConfigurationError("Expected at least one symbol")
    now = options.start_ms or SystemClock().now_ms() + round(options.clock_skew_seconds * 1_000)
    minutes = max(round(options.hours * HOUR_MS / MINUTE_MS), 1)
    return SimulationConfig(
        seed=options.seed,
        symbols=options.symbols,
        venues=venues,
        regime=options.regime,
        hours=minutes * MINUTE_MS / HOUR_MS,
        step_ms=HISTORY_STEP_MS,
        warm_up_hours=WARM_UP_HOURS,
        open_interest_ms=MINUTE_MS,
        start_ms=now // MINUTE_MS * MINUTE_MS - minutes * MINUTE_MS,
        population=_population(options),
    )


def _population(options: RunOptions) -> Population | People:
    if options.mix == REAL_MIX:
        return People(traders=options.traders)
    if options.mix not in LEVERAGE_MIXES:
        raise ConfigurationError(f"Expected a mix out of {', '.join((REAL_MIX, *LEVERAGE_MIXES))}, was {options.mix!r}")
    return Population.with_mix(options.mix, options.traders)


async def _serve(exchange: Exchange, faults: Faults, options: RunOptions, say: Callable[[str], None]) -> None:
    clock = SystemClock()
    if not options.start_ms:
        # History ends on a full minute, and took its time: catch up, so that events are stamped about now.
        while exchange.now < clock.now_ms() + options.clock_skew_seconds * 1_000:
            exchange.advance(1_000)
    server = SimulatorServer(exchange, wires_for(exchange), clock, faults, options.truth)
    server.write_truth()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(server, options.host, options.port) as base_url:
        variables = environment_of(base_url, exchange.config.venues)
        settings = " ".join(f"{name}={value}" for name, value in variables.items())
        say(f"Simulated exchange on {base_url} (Ctrl-C stops it). Point an ingest at it with: {settings}")
        markets = asyncio.create_task(server.run(options.speed))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({markets, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if markets.done():
            markets.result()
        markets.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await markets
    server.write_truth()
    say("Simulated exchange stopped.")
