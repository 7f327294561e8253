"""Frames that are no JSON: what keeps a socket alive or speaks of maintenance is a notice, the rest a clear refusal."""

import pytest

from ingest.sanity import read_frame
from ingest.venues.registry import mapper_for
from liqheat.domain.market import Venue

NOW = 1_795_000_000_000


@pytest.mark.parametrize("venue", list(Venue))
@pytest.mark.parametrize(
    ("frame", "notice"),
    [
        (b"pong", ""),
        (b" PONG\n", ""),
        (b"Service is under maintenance, please try again later", "a text about limits or maintenance"),
        (b"Too many requests", "a text about limits or maintenance"),
    ],
)
def test_a_text_that_is_a_notice_is_no_dead_letter(venue: Venue, frame: bytes, notice: str) -> None:
    mapper = mapper_for(venue)
    reading = read_frame(mapper, frame, NOW)
    assert not reading.events
    assert not list(reading.problems())
    assert dict(mapper.report.notices) == ({notice: 1} if notice else {})


@pytest.mark.parametrize("venue", list(Venue))
@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (b"hello", "it is no JSON but a text: hello"),
        (b"\xff\xfe", "it is no JSON but a text"),
        (b"<html>maintenance</html>", "it is a web page (HTML)"),
        (b"{broken", "malformed"),
    ],
)
def test_other_texts_are_refused_by_what_they_are(venue: Venue, frame: bytes, sentence: str) -> None:
    mapper = mapper_for(venue)
    (problem,) = read_frame(mapper, frame, NOW).problems()
    assert sentence in problem
    assert not mapper.report.notices
