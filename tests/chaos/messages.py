"""The log's second writer: seeded batches of other coins, some of them duplicated, held back, misplaced or poisoned."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl

from liqheat.domain.events import Batch, Kind
from liqheat.platform.codec import encode
from liqheat.platform.kafka import producer
from liqheat.platform.partitions import partition_of
from liqheat.platform.settings import Kafka
from liqheat.platform.topics import Topic
from tests.support.log_maker import make_log

_Message = tuple[int, list[tuple[str, bytes]], bytes]
"""Partition, headers and value."""
_KEPT = 200
_HOUR_MS = 3_600_000


class MessageWriter(threading.Thread):
    """Writes the seeded log at an even pace until stopped; `inject` adds what should not be there."""

    def __init__(self, kafka: Kafka, seed: int, batches_per_second: float = 12.0) -> None:
        super().__init__(name="chaos writer", daemon=True)
        self._kafka = kafka
        self._log = make_log(symbols=6, minutes=100_000, trades_a_minute=120, seed=seed)
        self._pause = 1 / batches_per_second
        self._chance = random.Random(seed)
        self._producer: Any = producer(kafka)
        self._lock = threading.Lock()
        self._recent: list[_Message] = []
        self._held: list[_Message] = []
        self._hold_until = 0.0
        self._stop_asked = threading.Event()
        self.written = 0

    def run(self) -> None:
        """Write until `end`; a broker that is away delays the log, it loses none of it."""
        while not self._stop_asked.is_set():
            batch = next(self._log)
            headers, value = encode(batch)
            message = partition_of(batch.symbols[0], self._kafka.partitions), headers, value
            with self._lock:
                if time.monotonic() < self._hold_until:
                    self._held.append(message)
                else:
                    for held in self._held:
                        self._send(held)
                    self._held.clear()
                    self._send(message)
                self._recent = [*self._recent[1 - _KEPT :], message]
            self._stop_asked.wait(self._pause)

    def end(self) -> None:
        """Stop, and return once everything is with the broker."""
        self._stop_asked.set()
        self.join()
        for held in self._held:
            self._send(held)
        self._producer.flush()
        self._producer.close()

    def inject(self, name: str) -> None:
        """Do one of `INJECTIONS`."""
        with self._lock:
            INJECTIONS[name](self)

    def _send(self, message: _Message, partition: int | None = None) -> None:
        own, headers, value = message
        where = own if partition is None else partition
        self._producer.send(self._kafka.topic(Topic.POSITION_EVENTS), headers=headers, value=value, partition=where)
        self.written += 1

    def _some(self) -> _Message:
        return self._chance.choice(self._recent)

    def _duplicate(self) -> None:
        for message in self._recent[-20:]:
            self._send(message)

    def _reorder(self) -> None:
        for message in self._chance.sample(self._recent, min(20, len(self._recent))):
            self._send(message)

    def _delay(self) -> None:
        self._hold_until = time.monotonic() + 3.0

    def _misplace(self) -> None:
        message = self._some()
        for partition in range(self._kafka.partitions):
            self._send(message, partition)

    def _random_bytes(self) -> None:
        place, headers, _ = self._some()
        self._send((place, headers, self._chance.randbytes(500)))

    def _cut(self) -> None:
        own, headers, value = self._some()
        self._send((own, headers, value[: len(value) // 2]))

    def _damaged(self) -> None:
        own, headers, value = self._some()
        # Past the first words, where a length may be hit as well as a value.
        for _ in range(4):
            place = self._chance.randrange(8, len(value))
            self._send((own, headers, value[:place] + self._chance.randbytes(1) + value[place + 1 :]))

    def _without_headers(self) -> None:
        own, _, value = self._some()
        self._send((own, [], value))

    def _empty(self) -> None:
        place, headers, _ = self._some()
        self._send((place, headers, b""))

    def _future(self, ahead_ms: int) -> None:
        times = [int(time.time() * 1_000) + ahead_ms]
        frame = pl.DataFrame(
            {"event_time": times, "price": [1.0], "quantity": [1.0], "taker_side": [1], "trade_id": [1]},
            schema_overrides={"taker_side": pl.Int8},
        )
        headers, value = encode(Batch.of_market(Kind.TRADES, "binance", "COIN0", "COIN0USDT", frame))
        self._send((partition_of("COIN0", self._kafka.partitions), headers, value))


INJECTIONS: dict[str, Callable[[MessageWriter], None]] = {
    "duplicated messages": MessageWriter._duplicate,
    "reordered messages": MessageWriter._reorder,
    "delayed messages": MessageWriter._delay,
    "messages on wrong partitions": MessageWriter._misplace,
    "poison: random bytes": MessageWriter._random_bytes,
    "poison: cut in half": MessageWriter._cut,
    "poison: damaged bytes": MessageWriter._damaged,
    "poison: no headers": MessageWriter._without_headers,
    "poison: empty": MessageWriter._empty,
    "an event 59 minutes ahead": lambda writer: writer._future(59 * 60_000),
    "an event a year ahead": lambda writer: writer._future(365 * 24 * _HOUR_MS),
}


def names() -> Iterator[str]:
    """Return what can be injected."""
    yield from INJECTIONS
