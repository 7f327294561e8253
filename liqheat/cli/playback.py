"""`liqheat normalise`, `record` and `replay`: raw frames to events outside the live service."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from liqheat.domain.market import Venue

if TYPE_CHECKING:
    from collections.abc import Mapping


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(normalise)
    app.command()(record)
    app.command()(replay)


def normalise(
    venue: Venue = typer.Option(..., help="The venue that the frames are of."),
    contract_values: Path | None = typer.Option(
        None, help="JSON file of coins a contract by instrument, for venues that count in contracts."
    ),
) -> None:
    """Turn raw frames on standard input, one JSON a line, into events on standard output, one JSON a line.

    A line that cannot be read is told on standard error with its number; the rest goes on, and the exit
    status is 1 at the end.
    """
    from ingest.event_json import event_line
    from ingest.sanity import sane_events
    from ingest.venues.registry import mapper_for
    from liqheat.platform.clock import SystemClock
    from liqheat.platform.errors import PoisonMessage, SequenceGap

    mapper = mapper_for(venue, contract_values=_read_contract_values(contract_values))
    clock = SystemClock()
    bad_lines = 0
    for number, line in enumerate(sys.stdin.buffer, start=1):
        if not (frame := line.strip()):
            continue
        try:
            for event in sane_events(mapper, frame, clock.now_ms()):
                sys.stdout.buffer.write(event_line(event))
        except PoisonMessage as poison:
            bad_lines += 1
            print(f"line {number}: {poison.reason}", file=sys.stderr)
        except SequenceGap as gap:
            print(f"line {number}: {gap}", file=sys.stderr)
        sys.stdout.buffer.flush()
    if bad_lines:
        raise typer.Exit(1)


def record(
    venue: Venue = typer.Option(..., help="The venue to listen to."),
    out: Path = typer.Option(..., help="Folder for the compressed files."),
    symbols: str = typer.Option("", help="Symbols parted by commas, or `all`; default: LIQHEAT_INGEST__SYMBOLS."),
) -> None:
    """Keep a venue's raw frames with their receive times until stopped: no broker needed."""
    from ingest.recording.frames import Recorder
    from ingest.recording.service import record_venue
    from liqheat.cli.ingest import run_until_stopped, with_symbols
    from liqheat.platform import logging, settings
    from liqheat.platform.clock import SystemClock

    loaded = with_symbols(settings.load(), symbols)
    logging.configure(loaded.service.log_level, loaded.service.log_style)
    with Recorder(venue, out) as recorder:
        run_until_stopped(record_venue(loaded, venue, recorder, SystemClock()))
    print(f"Recorded {recorder.frames} frames of {venue.value} into {out}")


def replay(
    files: list[Path] = typer.Argument(..., help="Recorded files, in the order of their times.", exists=True),
    venue: Venue = typer.Option(..., help="The venue that the recording is of."),
    stdout: bool = typer.Option(False, "--stdout", help="Print events as JSON lines instead of publishing them."),
    contract_values: Path | None = typer.Option(None, help="As for `normalise`, where the recording has no listing."),
) -> None:
    """Feed recorded frames through the venue's mapper, to Kafka or to standard output."""
    values = _read_contract_values(contract_values)
    if stdout:
        from ingest.event_json import event_line
        from ingest.recording.frames import replayed
        from ingest.venues.registry import mapper_for

        for event in replayed(mapper_for(venue, contract_values=values), files, _tell):
            sys.stdout.buffer.write(event_line(event))
        sys.stdout.buffer.flush()
    else:
        _replay_to_kafka(venue, files, values)


def _replay_to_kafka(venue: Venue, files: list[Path], values: "Mapping[str, float]") -> None:
    import asyncio

    from ingest.publisher import BatchPolicy, Publisher
    from ingest.recording.frames import MinuteSlicer, replayed
    from ingest.venues.registry import mapper_for
    from liqheat.cli.ingest import run_until_stopped
    from liqheat.platform import logging, settings
    from liqheat.platform.errors import Origin
    from liqheat.platform.kafka import create_topics, producer

    loaded = settings.load()
    logging.configure(loaded.service.log_level, loaded.service.log_style)
    create_topics(loaded.kafka)

    async def run() -> None:
        slicer = MinuteSlicer()
        connected = await asyncio.to_thread(producer, loaded.kafka)
        async with Publisher(connected, BatchPolicy.of(loaded.ingest), name_of=loaded.kafka.topic) as publisher:

            def dead_letter(frame: bytes, reason: str, place: str) -> None:
                publisher.dead_letter(frame, reason, Origin(f"{venue.value}:{place}"))

            for event in replayed(mapper_for(venue, contract_values=values), files, dead_letter):
                if complete := slicer.add(event):
                    await publisher.publish(complete)
            for remaining in slicer.rest():
                await publisher.publish(remaining)

    run_until_stopped(run())


def _tell(_: bytes, reason: str, place: str) -> None:
    print(f"{place}: {reason}", file=sys.stderr)


def _read_contract_values(path: Path | None) -> dict[str, float]:
    """Read the file of `--contract-values`.

    Raises:
        ConfigurationError: it is not there, or no JSON object of numbers above 0.
    """
    import msgspec

    from liqheat.platform.errors import ConfigurationError

    if path is None:
        return {}
    try:
        values = msgspec.json.decode(path.read_bytes(), type=dict[str, float])
    except OSError as error:
        raise ConfigurationError(f"Cannot read {path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"Expected a JSON object of coins a contract in {path}: {error}") from error
    if wrong := [name for name, value in values.items() if not value > 0]:
        raise ConfigurationError(f"Expected coins a contract above 0 in {path}, was {values[wrong[0]]} for {wrong[0]}")
    return values
