"""The generator as a process: `python -m tests.bench.market.generator`, started by the bench.

Steps of a tenth of a second at real speed; a late step is sent as soon as possible and none is left out. How late
it was is in the state (`/_state`), for it adds to the latency that is measured.
"""

import argparse
import asyncio
import contextlib
import signal
import time
from collections.abc import Sequence

from tests.bench.market.activity import Market, markets_of
from tests.bench.market.server import LoadServer, serving
from tests.bench.market.tape import STEP_MS, Storm, Tape
from tests.bench.market.venues.base import VenueWire
from tests.bench.market.venues.binance import BinanceLoad
from tests.bench.market.venues.bybit import BybitLoad
from tests.bench.market.venues.hyperliquid import HyperliquidLoad
from tests.bench.market.venues.okx import OkxLoad

WIRES = (BinanceLoad, BybitLoad, OkxLoad, HyperliquidLoad)


def wires_of(markets: Sequence[Market], seed: int) -> list[VenueWire]:
    """Return the four venues' wires over one list of markets."""
    return [BinanceLoad(markets), BybitLoad(markets), OkxLoad(markets), HyperliquidLoad(markets, seed)]


class Generator:
    """The tape and its server, paced by the machine's clock from its construction on."""

    def __init__(self, markets: Sequence[Market], seed: int) -> None:
        self._tape = Tape(markets, seed)
        self.now = time.time_ns() // 1_000_000 // STEP_MS * STEP_MS
        self._started = self.now
        self.server = LoadServer(wires_of(markets, seed), self._started, lambda: self.now, self._begin_storm)

    def _begin_storm(self, seconds: float) -> None:
        self._tape.add_storm(Storm((self.now - self._started) / 1_000, seconds))

    async def run(self) -> None:
        """Step until cancelled."""
        while True:
            due = self.now + STEP_MS
            if (ahead := due / 1_000 - time.time()) > 0:
                await asyncio.sleep(ahead)
            self.now = due
            self.server.late_ms = max(self.server.late_ms, time.time_ns() // 1_000_000 - due)
            self.server.publish(self._tape.step(due, (due - self._started) / 1_000))


async def _main(arguments: argparse.Namespace) -> None:
    generator = Generator(markets_of(arguments.markets, arguments.seed), arguments.seed)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with serving(generator.server, arguments.port):
        running = asyncio.create_task(generator.run())
        stopping = asyncio.create_task(stopped.wait())
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markets", type=int, required=True, help="markets over four venues")
    parser.add_argument("--port", type=int, required=True, help="where to listen on loopback")
    parser.add_argument("--seed", type=int, default=1, help="of the tape")
    asyncio.run(_main(parser.parse_args()))


if __name__ == "__main__":
    main()
