"""`liqheat normalise`, `record` and `replay`: raw frames to events outside the live service."""

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from liqheat.domain.market import Venue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ingest.venues.interface import Mapper
    from liqheat.cli.bad_lines import BadLines


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(normalise)
    app.command()(record)
    app.command()(replay)


def normalise(
    venue: Venue = typer.Option(..., help="The venue that the frames are of.", case_sensitive=False),
    contract_values: Path | None = typer.Option(
        None, help="JSON file of coins per contract by instrument, for venues that count in contracts."
    ),
    strict: bool = typer.Option(False, "--strict", help="Stop at the first line that cannot be read whole."),
) -> None:
    """Turn raw frames on standard input, one JSON per line, into events on standard output, one JSON per line.

    A line, or a row within it, that cannot be read is said on standard error with its number; the rest goes on, and the
    exit status is 1 at the end.
    """
    from ingest.bounded_json import BOM
    from ingest.event_json import event_line
    from ingest.sanity import read_frame
    from ingest.venues.registry import mapper_for
    from liqheat.cli.bad_lines import BadLines
    from liqheat.cli.packed_files import lines_of
    from liqheat.platform.clock import SystemClock

    mapper = mapper_for(venue, contract_values=_read_contract_values(contract_values))
    clock = SystemClock()
    bad_lines = BadLines(strict)
    for number, line in lines_of(None, bad_lines):
        if not (frame := line.strip().removeprefix(BOM)):
            continue
        reading = read_frame(mapper, frame, clock.now_ms())
        for event in reading.events:
            sys.stdout.buffer.write(event_line(event))
        sys.stdout.buffer.flush()
        for problem in reading.problems():
            bad_lines.add(number, problem)
        for gap in reading.gaps:
            bad_lines.note(number, str(gap))
    _say_notices(mapper)
    bad_lines.end()


def record(
    venue: Venue = typer.Option(..., help="The venue to listen to.", case_sensitive=False),
    out: Path = typer.Option(..., help="Folder for the compressed files."),
    symbols: str = typer.Option("", help="Symbols separated by commas, or `all`; default: LIQHEAT_INGEST__SYMBOLS."),
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
    venue: Venue = typer.Option(..., help="The venue that the recording is of.", case_sensitive=False),
    stdout: bool = typer.Option(False, "--stdout", help="Print events as JSON lines instead of publishing them."),
    contract_values: Path | None = typer.Option(None, help="As for `normalise`, where the recording has no listing."),
    strict: bool = typer.Option(False, "--strict", help="Stop at the first frame that cannot be read whole."),
) -> None:
    """Feed recorded frames through the venue's mapper, to Kafka or to standard output.

    What cannot be read is said on standard error, becomes a dead letter where Kafka is fed, and the rest goes on; the
    exit status is then 1 at the end.
    """
    from liqheat.cli.bad_lines import BadLines

    values = _read_contract_values(contract_values)
    bad_lines = BadLines(strict)
    if stdout:
        from ingest.event_json import event_line
        from ingest.recording.frames import replayed
        from ingest.venues.registry import mapper_for

        def say(_: bytes, reason: str, place: str) -> None:
            sys.stdout.buffer.flush()
            bad_lines.add(place, reason, what="frame of")

        mapper = mapper_for(venue, contract_values=values)
        for event in replayed(mapper, files, say):
            sys.stdout.buffer.write(event_line(event))
        sys.stdout.buffer.flush()
        _say_notices(mapper)
    else:
        _replay_to_kafka(venue, files, values, bad_lines)
    bad_lines.end()


def _replay_to_kafka(venue: Venue, files: list[Path], values: "Mapping[str, float]", bad_lines: "BadLines") -> None:
    import asyncio

    from ingest.batching import BatchPolicy
    from ingest.publisher import Publisher
    from ingest.recording.frames import MinuteSlicer, replayed
    from ingest.venues.registry import mapper_for
    from liqheat.cli.ingest import run_until_stopped
    from liqheat.platform import logging, settings
    from liqheat.platform.errors import Origin
    from liqheat.platform.kafka import create_topics, producer

    loaded, mapper = settings.load(), mapper_for(venue, contract_values=values)
    logging.configure(loaded.service.log_level, loaded.service.log_style)
    create_topics(loaded.kafka)

    async def run() -> None:
        slicer = MinuteSlicer()
        connected = await asyncio.to_thread(producer, loaded.kafka)
        async with Publisher(connected, BatchPolicy.of(loaded.ingest), kafka=loaded.kafka) as publisher:

            def dead_letter(frame: bytes, reason: str, place: str) -> None:
                publisher.dead_letter(frame, reason, Origin(f"{venue.value}:{place}"))
                bad_lines.add(place, reason, what="frame of")

            for event in replayed(mapper, files, dead_letter):
                if complete := slicer.add(event):
                    await publisher.publish(complete)
            for remaining in slicer.rest():
                await publisher.publish(remaining)

    run_until_stopped(run())
    _say_notices(mapper)


def _say_notices(mapper: "Mapper") -> None:
    if notices := mapper.report.notices:
        print("notices:", ", ".join(f"{kind} ({count})" for kind, count in sorted(notices.items())), file=sys.stderr)


def _read_contract_values(path: Path | None) -> dict[str, float]:
    """Read the file of `--contract-values`.

    Raises:
        ConfigurationError: it is not there, or no JSON object of numbers above 0.
    """
    import msgspec

    from ingest.bounded_json import BOM
    from liqheat.platform.errors import ConfigurationError

    if path is None:
        return {}
    try:
        values = msgspec.json.decode(path.read_bytes().removeprefix(BOM), type=dict[str, float], strict=False)
    except OSError as error:
        raise ConfigurationError(f"Cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"Expected a JSON object of coins a contract in {path}: {error}") from error
    if wrong := [name for name, value in values.items() if not 0 < value < math.inf]:
        raise ConfigurationError(f"Expected coins a contract above 0 in {path}, was {values[wrong[0]]} for {wrong[0]}")
    return values
