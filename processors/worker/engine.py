"""What the Faust driver asks of an engine, so that either can be tested without the other.

The module `processors.heatmap.engine` satisfies `Engine`; the driver, `liqheat map` and the tests speak to it
through this protocol.
"""

from typing import Protocol, TypeVar

from liqheat.domain.events import Batch, Kind
from liqheat.platform.settings import Engine as EngineSettings
from liqheat.platform.topics import Topic

State = TypeVar("State")

OUTPUT_TOPICS: dict[Kind, Topic] = {
    Kind.HEATMAP_BUCKETS: Topic.HEATMAP_BUCKETS,
    Kind.MARKET_MINUTES: Topic.MARKET_MINUTES,
    Kind.CLUSTERS: Topic.CLUSTERS,
    Kind.ALERTS: Topic.ALERTS,
    Kind.LEVERAGE_MIX: Topic.MARKET_MINUTES,
    Kind.SYMBOL_SIGNALS: Topic.SIGNALS,
    Kind.MARKET_SIGNALS: Topic.SIGNALS,
}
"""Where each kind of output goes; every one is keyed by symbol."""

INPUT_KINDS = frozenset(
    {
        Kind.TRADES,
        Kind.OPEN_INTEREST,
        Kind.MARKS,
        Kind.LIQUIDATIONS,
        Kind.POSITIONS,
        Kind.TURNOVER,
        Kind.MARGIN_TIERS,
        Kind.CONTRACTS,
    }
)
"""The kinds of position event; any other kind on that topic is poison."""


class Engine(Protocol[State]):
    """The estimate of one symbol over all its venues, as pure functions of its log.

    No clock, no I/O, no randomness: the same rows in the same order give the same state and the same
    output rows, however they are cut into batches.
    """

    def new_state(self, symbol: str, settings: EngineSettings) -> State:
        """Return the state of a symbol of which nothing is known yet."""
        ...

    def apply(self, state: State, batch: Batch) -> list[Batch]:
        """Apply one batch of position events to `state`; return the rows of the windows that it closed.

        Raises:
            ValueError: the batch contradicts itself (a broken margin-tier table); `state` is as before.
        """
        ...

    def snapshot(self, state: State) -> list[Batch]:
        """Return the rows of the windows still open, leaving `state` as it is."""
        ...

    def dump(self, state: State) -> bytes:
        """Return `state` as bytes from which `load` makes an equal one."""
        ...

    def load(self, data: bytes, settings: EngineSettings) -> State:
        """Return the state that `dump` wrote."""
        ...
