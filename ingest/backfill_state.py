"""Which history has been published, in a small JSON file: an interrupted backfill goes on where it stopped."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from liqheat.domain.instruments import Instrument
from liqheat.platform.errors import ConfigurationError

Span = tuple[int, int]


class Progressed:
    """Which spans of each instrument's history were published, kept in a small JSON file (or only in memory).

    A window is among them when all its streams were published; of another those that were are kept by themselves, so
    that the next run asks for the rest only, and no trade is published twice.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Read `path` if it is there.

        Raises:
            ConfigurationError: the file is not one of ours.
        """
        self._path = path
        self._spans: dict[str, list[Span]] = {}
        if path is not None and path.exists():
            try:
                kept = msgspec.json.decode(path.read_bytes(), type=dict[str, list[int | list[int]]])
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise ConfigurationError(f"{path} is no backfill state ({error}); remove it to begin again") from error
            # Until version 0.2 there was one span per instrument.
            self._spans = {key: _spans_of(spans) for key, spans in kept.items()}

    def missing(self, instrument: Instrument, start: int, end: int) -> list[Span]:
        """Return the parts of `[start, end)` (ms) that were not published, oldest first."""
        parts: list[Span] = []
        for first, last in self._spans.get(_key(instrument), []):
            if first > start:
                parts.append((start, min(first, end)))
            start = max(start, last)
            if start >= end:
                break
        if start < end:
            parts.append((start, end))
        return [(first, last) for first, last in parts if first < last]

    def has(self, instrument: Instrument, stream: str, start: int, end: int) -> bool:
        """Whether `[start, end)` (ms) of one stream was published."""
        return any(first <= start and end <= last for first, last in self._spans.get(_key(instrument, stream), []))

    def note(self, instrument: Instrument, start: int, end: int, stream: str = "") -> None:
        """Remember that `[start, end)` (ms) was published, of all streams or of one."""
        key = _key(instrument, stream)
        joined: list[Span] = []
        for first, last in sorted([*self._spans.get(key, []), (start, end)]):
            if joined and first <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(joined[-1][1], last))
            else:
                joined.append((first, last))
        self._spans[key] = joined
        if self._path is not None:
            part = self._path.with_suffix(".part")
            part.write_bytes(msgspec.json.encode(self._spans))
            part.replace(self._path)


def _spans_of(kept: Sequence[int | list[int]]) -> list[Span]:
    pairs = [kept] if kept and isinstance(kept[0], int) else kept
    return [(pair[0], pair[1]) for pair in pairs if isinstance(pair, list) and len(pair) == 2]


def _key(instrument: Instrument, stream: str = "") -> str:
    """Return the name of a span in the file; streams bring the instrument's name along, or the address they are at."""
    return f"{instrument.venue.value}:{instrument.name}" + (f":{stream}" if stream else "")
