"""Bounds on raw JSON: judged as a plain recursive reader would, in linear time, on every way in."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.bounded_json import MAXIMUM_DEPTH, depth_of, refusal
from ingest.sanity import read_frame
from ingest.venues.registry import feed_for
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Venue
from liqheat.domain.venues import VENUE_FACTS
from liqheat.platform.settings import Settings

TEXT = st.text(alphabet='ab[]{}\\"\n\u00e9')
VALUES = st.recursive(
    st.none() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=40,
)


def depth(value: Any) -> int:
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 0


@given(VALUES, st.booleans())
def test_depth_is_what_a_recursive_reader_finds(value: Any, ascii_only: bool) -> None:
    assert depth_of(json.dumps(value, ensure_ascii=ascii_only).encode()) == depth(value)


@pytest.mark.parametrize(
    "frame",
    [
        b"[" * 1_000_000,
        b'{"a":' * 1_000_000,
        b'{"stream":"x","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'["\\\\",' * 50_000,
        b"a" * 40_000_000,
    ],
)
def test_what_is_too_deep_or_too_long_is_refused_in_linear_time(frame: bytes) -> None:
    began = time.process_time()
    assert refusal(frame) is not None
    assert time.process_time() - began < 1.0


def test_brackets_in_strings_are_no_depth() -> None:
    assert refusal(json.dumps(["[{" * 500, '\\"[' * 500]).encode()) is None
    assert refusal(b"[" * MAXIMUM_DEPTH + b"]" * MAXIMUM_DEPTH) is None
    assert refusal(b"[" * (MAXIMUM_DEPTH + 1)) is not None


@pytest.mark.parametrize("venue", list(Venue))
@pytest.mark.parametrize(
    "frame",
    [b"[" * 200_000, b'{"data":' * 200_000, b'{"topic":"a","stream":"b","channel":"c","data":' + b"[" * 200_000],
)
def test_a_deep_frame_is_poison_at_every_venue(venue: Venue, frame: bytes) -> None:
    instrument = Instrument(venue, VENUE_FACTS[venue].name_format.format(base="WLD"), "WLD", 1.0)
    mapper = feed_for(venue, Settings()).mapper([instrument])

    reading = read_frame(mapper, frame, 1_700_000_000_000)

    assert "levels of arrays" in reading.poison
    assert reading.events == []
