"""docs/venues.md says what is true of the venues now, and what they cost is within their budgets."""

from pathlib import Path

import pytest

from ingest.venues.registry import feed_for
from liqheat.cli.venue_page import venues_page
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Venue
from liqheat.domain.venues import VENUE_FACTS
from liqheat.platform.settings import Ingest, Settings

PAGE = Path(__file__).parents[4] / "docs" / "venues.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == venues_page(), "run: liqheat venues --write docs/venues.md"


@pytest.mark.parametrize("markets", [1, 9, 50, 300])
@pytest.mark.parametrize("venue", Venue)
def test_all_polls_together_leave_a_quarter_of_each_budget(venue: Venue, markets: int) -> None:
    """A quarter is what the client spends at once; the rest comes in evenly (`ingest.rest`)."""
    names = [VENUE_FACTS[venue].name_of(f"A{number}") for number in range(markets)]
    feed = feed_for(venue, Settings(ingest=Ingest(connections=10, depth_markets=500)))
    spent: dict[str, float] = {}
    for poll in feed.polls([Instrument(venue, name, name) for name in names]):
        for request in poll.requests:
            share = request.weight / poll.interval * request.limit.seconds / request.limit.weight
            spent[request.limit.name] = spent.get(request.limit.name, 0.0) + share
    assert max(spent.values()) <= 0.75 + 1e-9


@pytest.mark.parametrize("venue", Venue)
def test_order_books_are_off_by_a_setting_and_for_so_many_markets(venue: Venue) -> None:
    def books(ingest: Ingest) -> list[str]:
        names = [VENUE_FACTS[venue].name_of(name) for name in ("ZZZ", "YYY", "VIRTUAL")]
        instruments = [
            Instrument(venue, name, symbol) for name, symbol in zip(names, ("ZZZ", "YYY", "VIRTUAL"), strict=True)
        ]
        polls = feed_for(venue, Settings(ingest=ingest)).polls(instruments)
        requests = [request for poll in polls if poll.name == "depth" for request in poll.requests]
        return list(dict.fromkeys(request.stream.partition("@")[0] for request in requests))

    assert books(Ingest(depth=False)) == []
    assert books(Ingest(depth_markets=1)) == [VENUE_FACTS[venue].name_of("VIRTUAL")], "the watch list comes first"
    assert len(books(Ingest())) == 3
