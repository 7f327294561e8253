"""Spoilt Kafka messages by the hundred thousand: each is read sanely or refused, and nothing dies of one.

Runs in a process of its own, for a broken message must not be able to end its reader, let alone the tests. `make fuzz`
does a million; `--frames` sets how many.
"""

import math
import random
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import polars as pl

from liqheat.domain.events import Batch, Event, Liquidation, MarginTier, Mark, OpenInterest, Position, Trade, to_batch
from liqheat.domain.market import Venue
from liqheat.platform import codec
from liqheat.platform.errors import PoisonMessage

ROOT = Path(__file__).parents[2]
WLD = (Venue.BINANCE, "WLD", "WLDUSDT", 1_795_000_000_000)
_SLOW_SECONDS = 2.0
_ODD_HEADERS = (b"", b"\xff", b"x" * 300, b"trades", b"999", b"-1", "币".encode(), b"binance\x00")
_ODD_NUMBERS = (math.nan, math.inf, -math.inf, -1.0, 1e308, 1e-320, 0.0, 2.0**63, -0.0)


def messages() -> list[tuple[codec.Headers, bytes, Batch]]:
    kinds: list[list[Event]] = [
        [Trade(*WLD, 1.0 + number, 5.0, 1, number) for number in range(20)],
        [Mark(*WLD, 1.0, math.nan, 0.0001)],
        [OpenInterest(*WLD, 7.0)],
        [Liquidation(*WLD, 1, 1.0, 5.0, 0.9)],
        [Position(*WLD, "0xa", 1, 5.0)],
        [MarginTier(*WLD, 1, 1, 0.0, 1e6, 50.0, 0.01, 0.0)],
    ]
    batches = [to_batch(events) for events in kinds]
    return [(*codec.encode(batch), batch) for batch in batches]


def spoilt_headers(generator: random.Random, headers: codec.Headers) -> list[tuple[str, bytes]]:
    found = list(headers)
    place = generator.randrange(len(found))
    way = generator.random()
    if way < 0.3:
        del found[place]
    elif way < 0.9:
        found[place] = (found[place][0], generator.choice(_ODD_HEADERS))
    else:
        found.append(found[place])
    return found


def spoilt_bytes(generator: random.Random, value: bytes) -> bytes:
    changed = bytearray(value)
    for _ in range(generator.randint(1, 4)):
        place = generator.randrange(len(changed) or 1)
        way = generator.randrange(4)
        if way == 0:
            del changed[place:]
        elif way == 1:
            changed[place : place + 1] = bytes([generator.randrange(256)])
        elif way == 2:
            changed[place : place + 8] = generator.randbytes(8)
        else:
            changed[place:place] = changed[place : place + 64]
    return bytes(changed)


def spoilt_frame(generator: random.Random, batch: Batch) -> bytes:
    """Return the value of a message whose columns are not those of its kind: odd numbers, types, names, sizes."""
    frame = batch.frame
    name = generator.choice(frame.columns)
    way = generator.randrange(6)
    if way == 0:
        frame = frame.drop(name)
    elif way == 1:
        frame = frame.rename({name: f"{name}_"})
    elif way == 2:
        frame = frame.with_columns(pl.lit(None).alias(name))
    elif way == 3:
        frame = frame.with_columns(pl.col(name).cast(pl.String).alias(name))
    elif way == 4 and frame[name].dtype == pl.Float64:
        values = frame[name].to_numpy().copy()
        values[generator.randrange(len(values))] = generator.choice(_ODD_NUMBERS)
        frame = frame.with_columns(pl.Series(name, values))
    else:
        frame = frame.clear() if generator.random() < 0.5 else pl.concat([frame] * generator.randint(2, 9))
    _, value = codec.encode(Batch(batch.kind, batch.venue, frame))
    return value


def read_all(count: int) -> float:
    """Read `count` spoilt messages; return how long the slowest took, in seconds."""
    generator = random.Random("messages")
    good = messages()
    slowest = 0.0
    for number in range(count):
        headers, value, batch = good[number % len(good)]
        way = generator.random()
        given: list[tuple[str, bytes]] = list(headers)
        if way < 0.15:
            given = spoilt_headers(generator, headers)
        elif way < 0.35:
            value = spoilt_frame(generator, batch)
        else:
            value = spoilt_bytes(generator, value)
        started = time.perf_counter()
        with suppress(PoisonMessage):
            assert_sane(codec.decode(given, value))
        with suppress(PoisonMessage):
            codec.decode_rows(given, value)
        slowest = max(slowest, time.perf_counter() - started)
    return slowest


def assert_sane(batch: Batch) -> None:
    for name in batch.frame.columns:
        series = batch.frame[name]
        if series.dtype == pl.Float64:
            values = series.to_numpy()
            assert not np.isinf(values).any(), name
            if name in ("price", "mark_price", "quantity", "notional_floor", "notional_cap"):
                assert (values >= 0).all(), name


def test_a_spoilt_message_is_refused_or_read_sanely_and_ends_nothing(frames: int) -> None:
    script = f"from tests.property.test_fuzz_messages import read_all; print(read_all({frames}))"
    answer = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, timeout=3_600)
    said = answer.stderr.decode(errors="replace")[-2_000:]
    assert answer.returncode == 0, f"the reader died ({answer.returncode}): {said}"
    assert float(answer.stdout.decode().split()[-1]) < _SLOW_SECONDS
