"""Raw frames with their receive times in compressed files: written by `liqheat record`, read by `liqheat replay`.

One JSON object per line (`Recorded`), Zstandard-compressed, a new file each hour or past a size.
"""

import io
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import msgspec
import structlog
import zstandard

from ingest.sanity import read_frame
from ingest.venues.interface import Mapper
from ingest.venues.wire import timely
from liqheat.domain.events import Event
from liqheat.domain.market import Venue
from liqheat.domain.windows import HOUR_MS, window_start
from liqheat.platform.errors import PoisonMessage

log = structlog.get_logger(__name__)

OnPoison = Callable[[bytes, str, str], None]
"""Called with a frame that cannot be read, the reason, and the name of its stream."""

OnBadLine = Callable[[bytes, str], None]
"""Called with a line that is no recorded frame, and the reason."""

# Frames of several sockets are written as they come; more than this between neighbours is another order.
_DISORDER_MS = 1_000
SUFFIX = ".jsonl.zst"
_ROTATE_BYTES = 256 * 1024 * 1024


class Recorded(msgspec.Struct, frozen=True, omit_defaults=True):
    """One frame as received: text, or base64 where it was not UTF-8."""

    received_at: int
    stream: str
    frame: str = ""
    binary: bytes = b""

    @property
    def raw(self) -> bytes:
        """The frame, byte for byte."""
        return self.binary or self.frame.encode()

    @classmethod
    def of(cls, received_at: int, stream: str, frame: bytes) -> "Recorded":
        """Wrap a frame."""
        try:
            return cls(received_at, stream, frame=frame.decode())
        except UnicodeDecodeError:
            return cls(received_at, stream, binary=frame)


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Recorded, strict=False)


class Recorder:
    """Writes frames into `directory/<venue>-<time>.jsonl.zst`; a context manager."""

    def __init__(self, venue: Venue, directory: Path, rotate_bytes: int = _ROTATE_BYTES) -> None:
        self._venue = venue
        self._directory = directory
        self._rotate_bytes = rotate_bytes
        self._writer: zstandard.ZstdCompressionWriter | None = None
        self._hour = -1
        self._written = 0
        self.frames = 0

    def __enter__(self) -> "Recorder":
        self._directory.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()  # type: ignore[no-untyped-call]

    def write(self, received_at: int, stream: str, frame: bytes) -> None:
        """Append one frame, in a new file where the hour or the size asks for it."""
        hour = window_start(received_at, HOUR_MS)
        if self._writer is None or hour != self._hour or self._written >= self._rotate_bytes:
            self._rotate(received_at)
            self._hour = hour
        assert self._writer is not None  # noqa: S101 - just opened
        line = _ENCODER.encode(Recorded.of(received_at, stream, frame)) + b"\n"
        self._writer.write(line)
        self._written += len(line)
        self.frames += 1

    def flush(self) -> None:
        """Put what was written on disk as a readable block, so that a crash loses little."""
        if self._writer is not None:
            self._writer.flush(zstandard.FLUSH_BLOCK)

    def _rotate(self, received_at: int) -> None:
        if self._writer is not None:
            self._writer.close()  # type: ignore[no-untyped-call]
        moment = datetime.fromtimestamp(received_at / 1_000, UTC)
        path = self._directory / f"{self._venue.value}-{moment:%Y%m%dT%H%M%S}.{received_at % 1_000:03d}{SUFFIX}"
        self._writer = zstandard.ZstdCompressor(level=6).stream_writer(path.open("xb"))
        self._written = 0


def read_recording(path: Path, on_bad_line: OnBadLine | None = None) -> Iterator[Recorded]:
    """Yield the frames of one file; a last line cut short by a crash ends it.

    A line that is no recorded frame goes to `on_bad_line` and is passed over; so does what follows a damaged place of
    the compression, and the file ends there.

    Raises:
        PoisonMessage: it cannot be opened, its compression or a line in the middle is broken, and nobody takes bad
            lines.
    """
    try:
        opened = path.open("rb")
    except OSError as error:
        reason = f"{path.name} cannot be read: {error.strerror}"
        if on_bad_line is None:
            raise PoisonMessage(reason) from error
        on_bad_line(b"", reason)
        return
    with opened as file:
        reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        lines = io.BufferedReader(cast(io.RawIOBase, reader), 1 << 20)
        for number, line in enumerate(_lines(lines, path, on_bad_line), start=1):
            try:
                recorded = _DECODER.decode(line)
                # Events without a time take this one, and other times are judged by it.
                timely(recorded.received_at, 0)
            except (msgspec.DecodeError, UnicodeDecodeError, PoisonMessage) as error:
                if not line.endswith(b"\n") and not isinstance(error, PoisonMessage):
                    return
                reason = f"Line {number} of {path.name} is no recorded frame: {error}"
                if on_bad_line is None:
                    raise PoisonMessage(reason) from error
                on_bad_line(line, reason)
            else:
                yield recorded


def _lines(lines: Iterator[bytes], path: Path, on_bad_line: OnBadLine | None) -> Iterator[bytes]:
    number = 0
    try:
        for line in lines:
            yield line
            number += 1
    except zstandard.ZstdError as error:
        what = f"is damaged after line {number}" if number else "is no Zstandard file"
        reason = f"{path.name} {what}: {error}"
        if on_bad_line is None:
            raise PoisonMessage(reason) from error
        on_bad_line(b"", reason)


def replayed(mapper: Mapper, paths: Iterable[Path], on_poison: OnPoison) -> Iterator[Event]:
    """Map the frames of recorded files in order; holes are logged, and that times go back is logged once per file.

    What cannot be read goes to `on_poison(frame or row, reason, stream)`: a line that is no recorded frame, a frame,
    a row of one, or a file from where it is damaged; the rest and the next files go on.
    """
    latest = 0
    for path in paths:
        is_disordered = False
        for recorded in read_recording(path, lambda line, reason: on_poison(line, reason, "recording")):
            if recorded.received_at < latest - _DISORDER_MS and not is_disordered:
                is_disordered = True
                log.warning(
                    "The recording is out of order: a frame was received before one that comes earlier in it",
                    file=path.name,
                    received_at=recorded.received_at,
                    after=latest,
                )
            latest = max(latest, recorded.received_at)
            reading = read_frame(mapper, recorded.raw, recorded.received_at)
            yield from reading.events
            for refusal in reading.refused:
                on_poison(refusal.row, f"{refusal.instrument}: {refusal.reason}", recorded.stream)
            if reading.poison:
                on_poison(recorded.raw, reading.poison, recorded.stream)
            for gap in reading.gaps:
                log.warning("The recording has a hole", stream=gap.stream, missing=gap.missing)


class MinuteSlicer:
    """Cuts a stream of events into slices of one minute per symbol, to be published whole.

    Fast playback through batches by rows would let one kind run minutes ahead of another, and the engine
    closes a minute when any later row arrives.
    """

    def __init__(self) -> None:
        self._slices: dict[str, tuple[int, list[Event]]] = {}

    def add(self, event: Event) -> list[Event]:
        """Take an event; return the slice that it completes, or an empty list."""
        minute = window_start(event.event_time)
        current, events = self._slices.setdefault(event.symbol, (minute, []))
        if minute <= current:
            events.append(event)
            return []
        self._slices[event.symbol] = (minute, [event])
        return events

    def rest(self) -> list[list[Event]]:
        """Return the slices still open."""
        slices = [events for _, events in self._slices.values()]
        self._slices.clear()
        return slices
