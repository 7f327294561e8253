"""A listing changes while the service runs: each trade is read once, at the contract value that holds, on every venue.

The exchange is the simulated one; only what it lists is changed on the way. What was published is held against its
tape, as where no listing changes.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ingest.venues.interface import Listings, Rest, VenueFeed
from liqheat.domain.events import Contract, Kind
from liqheat.domain.market import Venue
from tests.support.simulated_venue import SimulatedVenue, simulated

VENUES = pytest.mark.parametrize("venue", list(Venue), ids=str)
INTERVAL = 5.0
Change = Callable[[Contract], Contract | None]


class Changeable:
    """A feed whose listing goes through `change`, contract by contract; None leaves a contract out."""

    def __init__(self, feed: VenueFeed) -> None:
        self._feed = feed
        self.change: Change = lambda contract: contract
        self.readings = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._feed, name)

    async def listings(self, rest: Rest, event_time: int) -> Listings:
        found = await self._feed.listings(rest, event_time)
        self.readings += 1
        changed = [self.change(contract) for contract in found.contracts]
        return replace(found, contracts=tuple(contract for contract in changed if contract is not None))


def of_wld(change: Change) -> Change:
    return lambda contract: change(contract) if contract.symbol == "WLD" else contract


async def read_again(service: SimulatedVenue, feed: Changeable, times: int = 1) -> None:
    """Let the service read the listing that number of times, and go on a little."""
    until = feed.readings + times
    await service.step_until(lambda: feed.readings >= until)
    await service.step(2)


def statuses(service: SimulatedVenue) -> list[str]:
    return [row["status"] for row in service.kept.rows(Kind.CONTRACTS) if row["symbol"] == "WLD"]


def values_of(service: SimulatedVenue) -> list[float]:
    return [row["contract_value"] for row in service.kept.rows(Kind.CONTRACTS) if row["symbol"] == "WLD"]


@VENUES
async def test_a_contract_missing_once_or_suspended_for_a_while_is_read_on_by_its_reader(venue: Venue) -> None:
    feeds: list[Changeable] = []

    def changeable(feed: VenueFeed) -> Any:
        feeds.append(Changeable(feed))
        return feeds[0]

    async with simulated(venue, reference_interval=INTERVAL, feed_of=changeable) as service:
        (feed,) = feeds
        feed.change = of_wld(lambda contract: None)
        await read_again(service, feed)
        feed.change = lambda contract: contract
        await read_again(service, feed, 2)
        assert set(statuses(service)) == {"trading"}, "missing from one listing is no delisting"
        feed.change = of_wld(lambda contract: replace_status(contract, "suspend"))
        await service.step_until(lambda: statuses(service)[-1] == "suspend")
        feed.change = lambda contract: contract
        await service.step_until(lambda: statuses(service)[-1] == "trading")
        # A trade lost is listed as missing, one published twice as invented.
        assert await service.compare() == 0


@VENUES
async def test_a_contract_delisted_and_listed_again_is_read_by_one_reader(venue: Venue) -> None:
    feeds: list[Changeable] = []

    def changeable(feed: VenueFeed) -> Any:
        feeds.append(Changeable(feed))
        return feeds[0]

    async with simulated(venue, reference_interval=INTERVAL, feed_of=changeable) as service:
        (feed,) = feeds
        feed.change = of_wld(lambda contract: None)
        await service.step_until(lambda: statuses(service)[-1] == "delisted")
        until = service.server.exchange.now
        await service.step(8)
        assert not [
            row for row in service.kept.rows(Kind.TRADES) if row["symbol"] == "WLD" and row["event_time"] > until
        ]
        feed.change = lambda contract: contract
        await service.step_until(lambda: statuses(service)[-1] == "trading")
        await service.step(8)
        # What came by before it was listed again is not part of the comparison.
        service.since = service.server.exchange.now
        await service.step(10)
        assert await service.compare() == 0
        assert any(trade.symbol == "WLD" for trade in service.published())


@VENUES
async def test_a_contract_value_that_changes_holds_from_then_on_and_each_trade_is_read_once(venue: Venue) -> None:
    feeds: list[Changeable] = []

    def changeable(feed: VenueFeed) -> Any:
        feeds.append(Changeable(feed))
        return feeds[0]

    async with simulated(venue, reference_interval=INTERVAL, feed_of=changeable) as service:
        (feed,) = feeds
        await service.step(5)
        feed.change = of_wld(lambda contract: replace_value(contract, 10.0))
        await service.step_until(lambda: len(set(values_of(service))) > 1)
        await service.step(2)
        changed_at = service.server.exchange.now
        await service.step(12)
        end = service.server.exchange.now
        assert set(statuses(service)) == {"trading"}
        values = values_of(service)
        assert values[-1] == pytest.approx(10 * values[0])
        # Only OKX counts in contracts; elsewhere the size of a trade does not depend on the listing.
        factor = 10.0 if venue is Venue.OKX else 1.0
        true = service.tape(changed_at, end, "WLD")
        assert true

        def found() -> list[dict[str, Any]]:
            rows = service.kept.rows(Kind.TRADES)
            return [row for row in rows if row["symbol"] == "WLD" and changed_at < row["event_time"] <= end]

        await service.step_until(lambda: len(found()) >= sum(true.values()))
        await service.step(5)
        assert len(found()) == sum(true.values()), "each trade once"
        assert sum(row["quantity"] for row in found()) == pytest.approx(
            factor * sum(float(trade.quantity) * count for trade, count in true.items())
        )


def replace_status(contract: Contract, status: str) -> Contract:
    return Contract(
        contract.venue, contract.symbol, contract.instrument, contract.event_time, status, contract.tick_size,
        contract.quantity_step, contract.contract_value, contract.funding_interval,
    )  # fmt: skip


def replace_value(contract: Contract, factor: float) -> Contract:
    return Contract(
        contract.venue, contract.symbol, contract.instrument, contract.event_time, contract.status, contract.tick_size,
        contract.quantity_step, contract.contract_value * factor, contract.funding_interval,
    )  # fmt: skip
