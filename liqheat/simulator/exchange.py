"""All simulated markets together: history first, then step by step.

The server asks it to move on and reports to the wires what happened; it has no clock of its own.
"""

from collections.abc import Iterator

from liqheat.domain.market import Venue
from liqheat.domain.windows import HOUR_MS, MINUTE_MS
from liqheat.simulator.history import History, VenueMarket
from liqheat.simulator.market import Market
from liqheat.simulator.simulation import SimulationConfig, make_market
from liqheat.simulator.truth import Truth, truth_of


class Exchange:
    """The markets of a configuration, their history, and each venue's view of them."""

    def __init__(self, config: SimulationConfig) -> None:
        """Make the warmed-up markets at `config.start_ms`, which is a full minute.

        Raises:
            ConfigurationError: a symbol or the regime is not known.
        """
        self.config = config
        self.markets: list[Market] = [make_market(config, symbol) for symbol in config.symbols]
        self._histories = [History(market) for market in self.markets]
        self.views: dict[Venue, dict[str, VenueMarket]] = {venue: {} for venue in config.venues}
        for market, history in zip(self.markets, self._histories, strict=True):
            for number, listing in enumerate(market.listings):
                self.views[listing.venue][listing.instrument] = VenueMarket(market, number, history)
        self.now = config.start_ms

    def run_history(self) -> Iterator[float]:
        """Compute `config.hours` of history in steps of `config.step_ms`; yields the share done, coin by coin."""
        steps = max(round(self.config.hours * HOUR_MS), MINUTE_MS) // self.config.step_ms
        for done, (market, history) in enumerate(zip(self.markets, self._histories, strict=True), start=1):
            for _ in range(steps):
                history.add(market.step(self.config.step_ms))
            yield done / len(self.markets)
        self.now += steps * self.config.step_ms

    def advance(self, step_ms: int) -> None:
        """Move all markets on by one step; `VenueMarket.step` is then what happened."""
        for market, history in zip(self.markets, self._histories, strict=True):
            history.add(market.step(step_ms))
        self.now += step_ms

    def truths(self) -> list[Truth]:
        """Return what is really there now, coin by coin."""
        return [truth_of(market) for market in self.markets]
