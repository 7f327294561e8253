"""What the Faust driver asks of an engine, so that either can be tested without the other.

`processors.pipeline.Pipeline` satisfies `Engine`; the driver and the tests speak to it through this protocol.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from liqheat.domain.events import Batch, Kind
from liqheat.platform.codec_blocks import RowBlock
from liqheat.platform.settings import Engine as EngineSettings
from liqheat.platform.topics import Topic
from processors.heatmap.engine import ACCEPTED_KINDS

State = TypeVar("State")

OUTPUT_TOPICS: dict[Kind, Topic] = {
    Kind.HEATMAP_LEVELS: Topic.HEATMAP_BUCKETS,
    Kind.MARKET_MINUTES: Topic.MARKET_MINUTES,
    Kind.CLUSTERS: Topic.CLUSTERS,
    Kind.CLUSTER_SHARES: Topic.CLUSTERS,
    Kind.ALERTS: Topic.ALERTS,
    Kind.TRACK_RECORD: Topic.TRACK_RECORD,
    Kind.SYMBOL_SIGNALS: Topic.SIGNALS,
    Kind.MARKET_SIGNALS: Topic.SIGNALS,
    Kind.CASCADES: Topic.SIGNALS,
    Kind.TRACK_RECORD: Topic.TRACK_RECORD,
}
"""Where each kind of output goes: to the partition that its symbols have in the log."""

INPUT_KINDS = ACCEPTED_KINDS
"""The kinds of position event; any other kind on that topic is poison."""


class Engine(Protocol[State]):
    """The estimate of all symbols of one partition, as pure functions of its log.

    No clock, no I/O, no randomness: the same rows in the same order give the same state and the same
    output rows, however they are cut into messages and spans.
    """

    def new_state(self, settings: EngineSettings) -> State:
        """Return the state of a partition of which nothing is known yet."""
        ...

    def apply(self, state: State, span: Sequence[RowBlock]) -> list[Batch]:
        """Apply messages of position events, in log order, to `state`; return the rows of the windows that they closed.

        Raises:
            PoisonMessage: they cannot be applied, whatever the reason; `state` is as before.
        """
        ...

    def snapshot(self, state: State, only: Sequence[str] | None = None) -> list[Batch]:
        """Return the rows of windows still open: those that changed since the last time, or of the symbols `only`."""
        ...

    def counts(self, state: State) -> Mapping[str, int]:
        """Return what `state` has counted since it was made, by name."""
        ...

    def dump(self, state: State, symbol: str) -> bytes:
        """Return what is known of `symbol` as bytes from which `load` makes the same."""
        ...

    def load(self, state: State, data: bytes) -> None:
        """Take in a symbol that `dump` wrote.

        Raises:
            FatalError: another version wrote it.
        """
        ...
