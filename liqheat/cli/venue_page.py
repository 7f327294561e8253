"""`liqheat venues`: what is true of each venue and what reading it costs, from the records and the feeds themselves."""

from collections.abc import Iterator
from pathlib import Path

import typer

from liqheat.cli.output_files import check_output

HEADING = """# Venues

Made by `liqheat venues --write docs/venues.md` from `liqheat/domain/venues.py` and the feeds; a test holds it current.
How to add one: [add-a-venue.md](add-a-venue.md).

"""
FACTS = """## What differs

Fee: taker fee rate that the liquidation rule counts as margin needed. Compared: its open interest counts in the
agreement of the large venues.

| venue | name of VIRTUAL | liquidations published | margin model | fee | funding | open interest counts | compared |
|---|---|---|---|---|---|---|---|
"""
POLLS = """
## What is polled, and what it costs

Streams cost nothing of these budgets. A poll is slower than its setting where it would take more of a budget than its
part, so that listings, margin tiers, holes and history always find room. Order books (`depth`) are read for at most
`LIQHEAT_INGEST__DEPTH_MARKETS` markets per venue, those of the default watch list first; `LIQHEAT_INGEST__DEPTH=false`
turns them off.

| venue | poll | budget | 9 markets: every | part of the budget | 50 markets: every | part of the budget |
|---|---|---|---|---|---|---|
"""
MARKETS = (9, 50)


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("venues")(venues)


def venues(write: Path = typer.Option(None, help="Write the page to this file instead of printing it.")) -> None:
    """Describe each venue in Markdown: what differs, what is polled, and what that takes of its rate limits."""
    check_output(write)
    page = venues_page()
    if write is None:
        print(page, end="")
    else:
        write.write_text(page, encoding="utf-8")


def venues_page() -> str:
    """Return the Markdown page."""
    return HEADING + FACTS + "".join(_facts()) + POLLS + "".join(_polls())


def _facts() -> Iterator[str]:
    from liqheat.domain.venues import VENUE_FACTS
    from liqheat.domain.windows import HOUR_MS

    for facts in VENUE_FACTS.values():
        cells = (
            facts.label,
            f"`{facts.name_of('VIRTUAL')}`",
            {"whole": "all", "sampled": "a sample", "silent": "none"}[facts.liquidation_feed],
            facts.margin_model.value,
            f"{facts.taker_fee_in_margin:g}",
            f"{facts.funding_interval / HOUR_MS:g} h",
            "one side" if facts.open_interest_sides == 1 else "both sides (halved)",
            "yes" if facts.is_compared else "no",
        )
        yield f"| {' | '.join(cells)} |\n"


def _polls() -> Iterator[str]:
    from ingest.venues.registry import feed_for
    from liqheat.domain.instruments import Instrument
    from liqheat.domain.venues import VENUE_FACTS
    from liqheat.platform.settings import Settings

    settings = Settings.model_construct()
    for venue, facts in VENUE_FACTS.items():
        feed = feed_for(venue, settings)
        names = [facts.name_of(f"A{number}") for number in range(max(MARKETS))]
        instruments = [Instrument(venue, name, name) for name in names]
        for small, large in zip(*(feed.polls(instruments[:count]) for count in MARKETS), strict=True):
            limit = small.requests[0].limit
            cells = [facts.label, small.name, f"{limit.weight:g} in {limit.seconds:g} s"]
            for poll in (small, large):
                weight = sum(request.weight for request in poll.requests)
                part = weight / poll.interval * limit.seconds / limit.weight
                cells += [f"{poll.interval:.0f} s", f"{part:.1%}"]
            yield f"| {' | '.join(cells)} |\n"
