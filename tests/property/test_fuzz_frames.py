"""Spoilt frames by the hundred thousand: nothing but declared errors, no hang, no insane number, no neighbour lost.

`make fuzz` does a million per venue; `--frames` sets how many.
"""

import random
import time
from typing import Any

import msgspec
import pytest

from ingest.sanity import UNEXPECTED, read_frame
from ingest.venues.registry import mapper_for
from liqheat.domain.events import Event, Trade
from liqheat.domain.market import Venue
from tests.support.fuzzing import CONTRACT_VALUES, GOOD_SYMBOLS, NOW, bad_row, frames_of, is_sane, spoilt

VENUES = pytest.mark.parametrize("venue", list(Venue), ids=str)
_SLOW_SECONDS = 1.0
_LOOK_EVERY = 4
"""Spoilt frames between two looks whether a good trade is still read."""
_MAPPER_LASTS = 2_000
"""Frames after which a new mapper begins, so that what a spoilt frame taught does not outlive it for ever."""


@VENUES
def test_a_spoilt_frame_is_refused_or_read_sanely_and_silences_nothing(venue: Venue, frames: int) -> None:
    generator = random.Random(f"{venue} frames")
    mapper = mapper_for(venue, contract_values=CONTRACT_VALUES)
    slowest = 0.0
    good: list[Any] = []
    frames_since: list[bytes] = []
    for number in range(1, frames + 1):
        if number % _MAPPER_LASTS == 0:
            mapper = mapper_for(venue, contract_values=CONTRACT_VALUES)
        if number % _LOOK_EVERY == 1:
            good, frames_since = frames_of(venue, number), []
        rows, wrap = generator.choice(good)
        frame = spoilt(generator, msgspec.json.encode(wrap(rows)))
        frames_since.append(frame)
        started = time.perf_counter()
        reading = read_frame(mapper, frame, NOW)
        slowest = max(slowest, time.perf_counter() - started)
        assert not reading.poison.startswith(UNEXPECTED), (frame, reading.poison)
        for event in reading.events:
            assert is_sane(event), (frame, event)
        if number % _LOOK_EVERY == 0:
            # A spoilt frame may have held the very trade that follows; this one has a number of its own.
            rows, wrap = frames_of(venue, number + 10**12)[0]
            after = read_frame(mapper, msgspec.json.encode(wrap(rows)), NOW + number + 10**12)
            assert [event for event in after.events if isinstance(event, Trade)], (frames_since, after)
    assert slowest < _SLOW_SECONDS, f"a frame took {slowest:.1f} s"


@VENUES
def test_a_bad_row_in_a_good_frame_changes_nothing_else(venue: Venue, frames: int) -> None:
    generator = random.Random(f"{venue} rows")
    for number in range(1, frames // 4 + 1):
        if number % _MAPPER_LASTS == 1:
            plain = mapper_for(venue, contract_values=CONTRACT_VALUES)
            disturbed = mapper_for(venue, contract_values=CONTRACT_VALUES)
        rows, wrap = generator.choice(frames_of(venue, number))
        expected = _of_good(read_frame(plain, msgspec.json.encode(wrap(rows)), NOW).events)
        with_bad = list(rows)
        if not _is_single(wrap(rows)):
            with_bad.insert(generator.randint(0, len(rows)), bad_row(generator, venue, rows[0]))
        frame = msgspec.json.encode(wrap(with_bad))
        found = _of_good(read_frame(disturbed, frame, NOW).events)
        assert _comparable(found) == _comparable(expected), frame


def _of_good(events: list[Event]) -> list[Event]:
    """Return the events of the instruments of good rows; a bad row may be good enough for events of its own."""
    return [event for event in events if event.symbol in GOOD_SYMBOLS]


def _comparable(events: list[Event]) -> list[str]:
    """Return the events as text, in which what is not known is equal to itself."""
    return sorted(map(repr, events))


def _is_single(frame: object) -> bool:
    """Whether a frame holds one row by its nature."""
    return isinstance(frame, dict) and frame.get("channel") == "activeAssetCtx"
