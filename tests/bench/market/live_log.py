"""A log as the real publisher writes it live: few rows per market and message, gathered by the publisher's own timers.

425 markets by default, 30 trades and 12 marks per minute each: the load of catching up. Virtual time paces the
publisher; Kafka is real.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ingest.batching import BatchPolicy
from ingest.publisher import Producer, Publisher
from liqheat.domain.events import Event, Mark, OpenInterest, Trade
from liqheat.domain.instruments import Instrument, parse_instrument
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform import kafka as kafka_clients
from liqheat.platform.settings import Ingest, Kafka
from tests.bench.market import virtual_time
from tests.bench.market.activity import PROBE, Market, markets_of

START = 1_790_000_040_000 // MINUTE_MS * MINUTE_MS
STEP_SECONDS = 0.1
_STEPS_PER_MINUTE = 600
_OPEN_INTEREST_STEPS = 150
_STEP_VOLATILITY = 6e-5


@dataclass(frozen=True, slots=True)
class LogShape:
    """How much is written: markets over the four venues, minutes, and rows per minute of each market."""

    markets: int = 425
    minutes: int = 20
    trades: float = 30.0
    marks: int = 12
    seed: int = 1


def listed(shape: LogShape) -> list[tuple[Market, Instrument]]:
    """Return the log's markets."""
    found = []
    for market in markets_of(shape.markets):
        instrument = parse_instrument(market.venue, market.name, market.contract_value)
        if instrument is not None and market.symbol != PROBE:
            found.append((market, instrument))
    return found


def steps(shape: LogShape, markets: Sequence[tuple[Market, Instrument]]) -> Iterator[list[Event]]:
    """Yield the events of each tenth of a second, trades in order of time, open interest every 15 s."""
    random = np.random.default_rng(shape.seed)
    count = len(markets)
    coin = np.array([market.coin for market, _ in markets])
    coins_per_unit = np.array([instrument.coins_per_unit for _, instrument in markets])
    price = np.array([market.unit_price for market, _ in markets]) / coins_per_unit
    held = np.array([market.open_interest_usd for market, _ in markets]) / price
    trade_usd = np.array([market.turnover_usd for market, _ in markets]) / 1_440 / shape.trades
    mark_steps = _STEPS_PER_MINUTE // shape.marks
    mark_phase = random.integers(0, mark_steps, count)
    interest_phase = random.integers(0, _OPEN_INTEREST_STEPS, count)
    for step in range(shape.minutes * _STEPS_PER_MINUTE):
        now = START + step * round(STEP_SECONDS * 1_000)
        price *= np.exp(random.normal(0, _STEP_VOLATILITY, int(coin.max()) + 1))[coin]
        events: list[Event] = []
        numbers = random.permutation(
            np.repeat(np.arange(count), random.poisson(shape.trades / _STEPS_PER_MINUTE, count))
        )
        times = np.sort(random.integers(now, now + 100, len(numbers)))
        sides = random.choice(np.array([-1, 1]), len(numbers))
        sizes = random.exponential(1.0, len(numbers)) * trade_usd[numbers] / price[numbers]
        for number, time, size, side in zip(
            numbers.tolist(), times.tolist(), sizes.tolist(), sides.tolist(), strict=True
        ):
            at = markets[number][1]
            events.append(Trade(at.venue, at.symbol, at.name, time, float(price[number]), size, side))
        for number in np.flatnonzero(mark_phase == step % mark_steps).tolist():
            at = markets[number][1]
            events.append(Mark(at.venue, at.symbol, at.name, now, float(price[number]), float(price[number]), 1e-4))
        for number in np.flatnonzero(interest_phase == step % _OPEN_INTEREST_STEPS).tolist():
            at = markets[number][1]
            held[number] *= 1 + float(random.normal(0, 1e-4))
            events.append(OpenInterest(at.venue, at.symbol, at.name, now, float(held[number])))
        yield events


def write(kafka: Kafka, shape: LogShape, producer: Producer | None = None) -> int:
    """Write the log to the topic `position-events`, first the margin tiers; return its rows.

    `producer` takes the place of one that is connected to `kafka`.
    """
    return virtual_time.run(_write(kafka, shape, producer or kafka_clients.producer(kafka)))


async def _write(kafka: Kafka, shape: LogShape, producer: Producer) -> int:
    loop = asyncio.get_running_loop()
    markets = listed(shape)
    rows = 0
    # No waiting for room: it would let virtual time run on without events.
    policy = BatchPolicy.of(Ingest(queue_rows=100_000_000))
    async with Publisher(producer, policy, kafka=kafka) as publisher:
        for market, at in markets:
            tiers = market.tiers.to_events(at.venue, at.symbol, at.name, START)
            rows += len(tiers)
            await publisher.publish(tiers)
        for step, events in enumerate(steps(shape, markets)):
            due = step * STEP_SECONDS
            await asyncio.sleep(max(0.0, due - loop.time()))
            for event in events:
                publisher.add(event)
            rows += len(events)
        await publisher.flush()
    return rows
