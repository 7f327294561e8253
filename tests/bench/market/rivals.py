"""The same trades the usual ways, beside the worker: plain Faust, Quix Streams, and a bare polars pass over the log.

Each runs as a process of its own and prints rows per second of its processor time, from its first row to its last.
Quix Streams is installed into a throwaway environment; where that fails, the reason is printed in its place.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import NewTopic

from liqheat.domain.events import Kind
from liqheat.platform import kafka as kafka_clients
from liqheat.platform.codec import decode
from liqheat.platform.settings import Kafka
from liqheat.platform.topics import Topic
from tests.bench.market.live_log import LogShape, listed, steps
from tests.bench.plain_faust import PlainWorker

QUIX = Path(__file__).parent / "quix_streams.py"
_TIMEOUT = 600.0
_PASSES = 5


def write_plain_events(kafka: Kafka, topic: str, shape: LogShape, most: int) -> int:
    """Write up to `most` of the log's trades as one JSON event per message; return how many."""
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    admin.create_topics([NewTopic(name=topic, num_partitions=kafka.partitions, replication_factor=1)])
    admin.close()
    sender = kafka_clients.producer(kafka)
    written = 0
    for events in steps(shape, listed(shape)):
        for event in events:
            # Marks and open interest open no position in the plain way.
            taker_side = getattr(event, "taker_side", 0)
            if not taker_side or written == most:
                continue
            row = {"symbol": event.symbol, "price": event.price, "quantity": event.quantity}  # type: ignore[union-attr]
            body = json.dumps(row | {"side": taker_side, "leverage": 10.0})
            # Stamped with the time of writing: the broker deletes what looks older than its retention.
            sender.send(topic, key=event.symbol.encode(), value=body.encode())
            written += 1
    sender.flush()
    sender.close()
    return written


def plain_faust(bootstrap_servers: str, name: str, partitions: int, events: int) -> float:
    """Return rows per second of processor time of a Faust agent with a windowed table."""

    async def timed() -> float:
        worker = PlainWorker(bootstrap_servers, name, partitions)
        running = asyncio.create_task(worker.run_until(events))
        while not worker.events:  # noqa: ASYNC110 - an event would slow what is measured
            await asyncio.sleep(0.001)
        first, started = worker.events, time.process_time()
        while worker.events < events:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.005)
        rate = (events - first) / (time.process_time() - started)
        await running
        return rate

    return asyncio.run(timed())


def bare_polars(kafka: Kafka) -> tuple[float, float, int]:
    """Sum the log's notional by symbol, minute, side and price bucket in one pass, with one thread of polars.

    Returns rows per second of processor time with and without reading the messages from Kafka (the best pass of a
    few), and the groups found. Rows of all kinds count, for all are read.
    """
    topic = kafka.topic(Topic.POSITION_EVENTS)
    reader = kafka_clients.consumer(kafka, group=None)
    partitions = [TopicPartition(topic, number) for number in sorted(reader.partitions_for_topic(topic) or ())]
    reader.assign(partitions)
    ends = reader.end_offsets(partitions)
    reader.seek_to_beginning()
    started = time.process_time()
    frames, rows = [], 0
    while any(reader.position(partition) < ends[partition] for partition in partitions):
        for messages in reader.poll(timeout_ms=1_000, max_records=5_000).values():
            for message in messages:
                batch = decode(message.headers, message.value)
                rows += batch.frame.height
                if batch.kind is Kind.TRADES:
                    frames.append(batch.frame)
    read = time.process_time() - started
    reader.close()
    trades = pl.concat(frames)
    spent = []
    # The first pass pays for what polars sets up once.
    for _ in range(_PASSES):
        begun = time.process_time()
        groups = _pass_over(trades)
        spent.append(time.process_time() - begun)
    return rows / (read + min(spent)), rows / min(spent), groups


def _pass_over(trades: pl.DataFrame) -> int:
    return (
        trades.with_columns(
            (pl.col("price") * (1 - pl.col("taker_side") / 10.0))
            .log10()
            .mul(1_000)
            .floor()
            .cast(pl.Int32)
            .alias("bucket"),
            (pl.col("event_time") // 60_000).alias("minute"),
            (pl.col("price") * pl.col("quantity") * 1e6).round().cast(pl.Int64).alias("usd"),
        )
        .group_by("symbol", "minute", "taker_side", "bucket")
        .agg(pl.col("usd").sum())
        .height
    )


def quix_environment(folder: Path) -> Path:
    """Install Quix Streams into a new environment in `folder`; return its interpreter.

    Raises:
        RuntimeError: it does not install here; with the reason.
    """
    python, uv = folder / "bin" / "python", str(Path(sys.executable).with_name("uv"))
    try:
        subprocess.run([uv, "venv", "-q", str(folder)], check=True, capture_output=True, timeout=120)
        install = [uv, "pip", "install", "-q", "--python", str(python), "quixstreams"]
        subprocess.run(install, check=True, capture_output=True, timeout=_TIMEOUT)
    except subprocess.CalledProcessError as error:
        raise RuntimeError(error.stderr.decode(errors="replace").strip()[-300:]) from error
    except (OSError, subprocess.SubprocessError) as error:
        raise RuntimeError(str(error)) from error
    return python


def apart(command: list[str], say: Callable[[str], None]) -> list[float] | None:
    """Run a rival as a process; return the numbers of its last line, None where it failed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT)
    except subprocess.TimeoutExpired:
        say(f"{command[-3]} did not end in {_TIMEOUT:g} s")
        return None
    if done.returncode:
        say(f"{command[1]} failed: {done.stderr.strip()[-500:]}")
        return None
    return [float(text) for text in done.stdout.splitlines()[-1].split()]


if __name__ == "__main__":
    which, bootstrap = sys.argv[1], sys.argv[2]
    if which == "faust":
        sys.stdout.write(f"{plain_faust(bootstrap, sys.argv[3], int(sys.argv[4]), int(sys.argv[5])):.0f}\n")
    else:
        figures = bare_polars(Kafka(bootstrap_servers=bootstrap, partitions=int(sys.argv[3])))
        sys.stdout.write(" ".join(f"{figure:.0f}" for figure in figures) + "\n")
