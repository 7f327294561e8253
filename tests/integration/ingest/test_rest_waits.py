"""How long the REST client waits: as long as a busy venue asks, and never for a count that no budget can hold."""

import pytest
from aiohttp import web

from ingest.venues.interface import RateLimit, Request
from tests.integration.ingest.test_rest import LIMIT, served


async def test_a_venue_at_maintenance_is_asked_again_when_it_says() -> None:
    def answer(number: int) -> web.Response:
        return web.Response(status=503, headers={"Retry-After": "120"}) if number == 1 else web.Response(body=b"up")

    async with served(answer) as venue:
        started = venue.clock.monotonic()
        assert await venue.client.fetch(venue.request()) == b"up"
        assert venue.clock.monotonic() - started >= 120


@pytest.mark.parametrize("used", ["999999999999", "inf", "-inf", "nan", "-500000", "many"])
async def test_a_wild_count_stops_nothing_for_longer_than_the_budget_takes_to_refill(used: str) -> None:
    async with served(lambda _: web.Response(text="[]", headers={"x-used": used})) as venue:
        for _ in range(2):
            await venue.client.fetch(venue.request())
        assert sum(venue.clock.slept) <= 2 * LIMIT.seconds


async def test_a_count_below_nothing_gives_no_more_than_the_budget() -> None:
    limit = RateLimit("small", weight=4, seconds=10, used_header="x-used")
    async with served(lambda _: web.Response(text="[]", headers={"x-used": "-1000"})) as venue:
        for _ in range(9):
            await venue.client.fetch(Request(venue.url, limit))
        assert sum(venue.clock.slept) >= 10
