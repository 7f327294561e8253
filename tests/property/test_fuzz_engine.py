"""Rows that every reader takes but no market sends, between good ones: nothing that follows is refused or silenced.

Any field may hold the least or the most that its unit admits, and what is sent again confirms itself, so that no check
of plausibility holds it back. `make fuzz` plays more of it; `--frames` sets how much.
"""

import math
import random
from collections.abc import Iterator, Sequence

import msgspec
import pytest

from liqheat.domain.events import (
    Batch,
    Contract,
    Depth,
    Event,
    Kind,
    Liquidation,
    Mark,
    OpenInterest,
    Position,
    Trade,
    Turnover,
    to_batch,
)
from liqheat.domain.market import Venue
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.codec import decode, encode, rows_of
from liqheat.platform.codec_blocks import blocks_of
from liqheat.platform.errors import PoisonMessage
from liqheat.platform.settings import Engine, Signals
from processors.pipeline import Pipeline, PipelineState

START = 1_767_225_600_000
MARKETS = [(venue, symbol) for venue in (Venue.BINANCE, Venue.BYBIT, Venue.HYPERLIQUID) for symbol in ("V", "W")]
NUMBERS = (0.0, 1e-320, 1e-170, 1e-12, 1e-6, 1.0, 1e3, 1e9, 1e11, 1e12, 1e15, 1e18, 1e300, math.nan)
WHOLE_NUMBERS = (0, 1, -1, 2, 8, 255, 2**31, 2**62)
TIMES = (-(10**12), -30 * 3_600_000, -120_000, -1, 50_000)
_DEPTH = [1e4, 2e4, 4e4, 8e4, 12e4, 20e4, 30e4]
_KEPT = ("venue", "symbol", "instrument", "event_time")
_ROWS_PER_SEED = 8_000


class World:
    """Two coins on three venues, and what goes wrong with them."""

    def __init__(self, seed: int, odd_share: float) -> None:
        self.random = random.Random(seed)
        self.odd_share = odd_share
        self.time = START
        self.prices = {"V": 1.3, "W": 250.0}
        self.interest = dict.fromkeys(MARKETS, 1e6)

    def step(self) -> Iterator[tuple[Event, bool]]:
        """Yield the events of some seconds in log order, each with whether it is a good one."""
        self.time += self.random.choice((2_000, 5_000, 10_000)) if self.random.random() < 0.98 else 3_600_000
        for symbol in self.prices:
            self.prices[symbol] *= math.exp(self.random.gauss(0, 0.002))
        for venue, symbol in MARKETS:
            self.interest[venue, symbol] *= math.exp(self.random.gauss(0, 0.001))
            every = self._every(venue, symbol)
            for event in self._chosen(every):
                if self.random.random() < self.odd_share:
                    odd = self._odd(self.random.choice((event, *every)))
                    # The same again is what a check of plausibility takes for a confirmation.
                    yield from [(odd, False)] * self.random.choice((1, 1, 3))
                yield event, True

    def _every(self, venue: Venue, symbol: str) -> list[Event]:
        at = (venue, symbol, f"{symbol}USDT", self.time)
        price, side = self.prices[symbol], self.random.choice((1, -1))
        size = self.random.expovariate(1 / 300)
        return [
            Mark(*at, price, price, 1e-4, 0),
            Trade(*at, price, size, side),
            OpenInterest(*at, self.interest[venue, symbol]),
            Depth(*at, price, price * 0.9999, price * 1.0001, 10.0, 10.0, *_DEPTH, *_DEPTH),
            Liquidation(*at, side, price, size),
            Turnover(*at, 1e8),
            Position(*at, f"0x{self.random.randrange(3)}", side, 1e3, price, 10.0, False, price * (1 - side * 0.09)),
            Contract(*at, "trading", 0.1, 0.1, 1.0, 0),
        ]

    def _chosen(self, every: Sequence[Event]) -> list[Event]:
        shares = (1.0, 1.0, 0.3, 0.2, 0.05, 0.02, 0.05, 0.0)
        return [event for event, share in zip(every, shares, strict=True) if self.random.random() < share]

    def _odd(self, event: Event) -> Event:
        names = [
            name for name in event.__struct_fields__ if name not in ("venue", "symbol", "instrument", "event_time")
        ]
        changes: dict[str, object] = {}
        for name in self.random.sample(names, min(len(names), self.random.choice((1, 1, 2, 3)))):
            value = getattr(event, name)
            if isinstance(value, bool):
                changes[name] = not value
            elif isinstance(value, float):
                changes[name] = self.random.choice(NUMBERS) * self.random.choice((1, 1, 1, -1))
            elif isinstance(value, int):
                changes[name] = self.random.choice(WHOLE_NUMBERS)
        if self.random.random() < 0.1:
            changes["event_time"] = event.event_time + self.random.choice(TIMES)
        return msgspec.structs.replace(event, **changes)


def read(event: Event) -> Batch | None:
    """Return what a reader of the log has of `event`; None where its own check refuses it."""
    try:
        return decode(*encode(to_batch([event])))
    except (PoisonMessage, TypeError, OverflowError):
        return None


class Play:
    """An engine that plays a world; a finding is anything that must not be."""

    def __init__(self) -> None:
        self.pipeline = Pipeline(Signals(cluster_usd=1e4))
        self.state: PipelineState = self.pipeline.new_state(Engine())
        self.closed: dict[tuple[str, str], int] = {}
        self.findings: list[str] = []
        self.rows = 0

    def take(self, event: Event, is_good: bool) -> None:
        batch = read(event)
        if batch is None:
            return
        self.rows += 1
        try:
            outputs = self.pipeline.apply(self.state, blocks_of([rows_of(batch)]))
        except PoisonMessage as error:
            if is_good or "engine refuses" in error.reason:
                self.findings.append(f"{'good' if is_good else 'odd'} {event}: {error.reason}")
            return
        self.hear(outputs)

    def hear(self, outputs: Sequence[Batch]) -> None:
        for batch in outputs:
            try:
                decode(*encode(batch))
            except PoisonMessage as error:
                self.findings.append(f"{batch.kind.value}: {error.reason}")
            if batch.kind is Kind.MARKET_MINUTES:
                windows = zip(batch.frame["symbol"], batch.frame["window_start"], strict=True)
                self.closed.update({(batch.venue, symbol): window for symbol, window in windows})


@pytest.mark.parametrize(("seed", "odd_share"), [(1, 0.1), (2, 0.5), (3, 0.5)])
def test_rows_at_the_ends_of_their_units_neither_stop_nor_silence_what_follows(
    seed: int, odd_share: float, frames: int
) -> None:
    world, play = World(seed, odd_share), Play()
    while play.rows < _ROWS_PER_SEED * frames / 100_000:
        for event, is_good in world.step():
            play.take(event, is_good)
        if world.random.random() < 0.02:
            play.hear(play.pipeline.snapshot(play.state))
            again = play.pipeline.new_state(Engine())
            for symbol in world.prices:
                play.pipeline.load(again, play.pipeline.dump(play.state, symbol))
    assert not play.findings, play.findings[:5]
    late = {market: (world.time - window) // MINUTE_MS for market, window in play.closed.items()}
    assert len(late) == len(MARKETS)
    assert max(late.values()) <= 2, late
