"""After a reconnect only the hole is read again: a page of trades reaches back further, to what was given on before."""

import pytest

from ingest.batching import BatchPolicy
from ingest.intake import Intake
from ingest.publisher import Publisher
from liqheat.domain.events import Kind
from liqheat.domain.market import Venue
from liqheat.platform.clock import ManualClock
from tests.support.kept_messages import KeptMessages
from tests.unit.ingest.venues.test_odd_pages import NEWEST, NOW, STEP, Pages, feed_of, instrument_of, time_of

HOLE = 5 * STEP


@pytest.mark.parametrize("venue", list(Venue))
async def test_trades_before_the_hole_are_not_given_on_again(venue: Venue) -> None:
    kept, feed, instrument = KeptMessages(), feed_of(venue), instrument_of(venue)
    (connection,) = feed.connections([instrument])
    async with Publisher(kept, BatchPolicy(age=0.01)) as publisher:
        # A mapper without memory stands for one that has seen too many trades of others since.
        intake = Intake(feed, feed.mapper([instrument]), [instrument], publisher, Pages(venue), ManualClock(NOW))
        await intake.recover(connection, NOW - HOLE, NOW, "disconnected")
    times = [row["event_time"] for row in kept.rows(Kind.TRADES)]
    assert times == [time_of(number) for number in range(NEWEST - HOLE // STEP, NEWEST + 1)]
