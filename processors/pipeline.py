"""Position engine and signals as one engine: what the worker runs, with one state per partition.

`Pipeline` satisfies `processors.worker.engine.Engine`. Signals read the minutes that the position engine closes, so
both see the same minutes and a symbol's checkpoint holds both at the same row of the log.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from liqheat.domain.events import Batch
from liqheat.platform.codec_blocks import RowBlock
from liqheat.platform.settings import Engine as EngineSettings
from liqheat.platform.settings import Signals as SignalSettings
from liqheat.platform.state_codec import pack, unpack
from processors.heatmap import engine
from processors.heatmap.rows import ClosedMinutes
from processors.heatmap.state import PartitionState, SavedSymbol
from processors.signals import engine as signals
from processors.signals import state as signal_state
from processors.signals.state import SignalState


@dataclass(slots=True)
class PipelineState:
    """One partition's positions, and the signals of its symbols."""

    positions: PartitionState
    signals: dict[str, SignalState] = field(default_factory=dict)


class Saved(msgspec.Struct, array_like=True):
    """All that is remembered of a symbol."""

    positions: SavedSymbol
    signals: SignalState | None


class Pipeline:
    """The two engines with their settings; pure like each of them."""

    def __init__(self, settings: SignalSettings) -> None:
        self._settings = settings
        self._of: dict[str, SignalSettings] = {}

    def new_state(self, settings: EngineSettings) -> PipelineState:
        """Return the state of a partition of which nothing is known yet."""
        return PipelineState(engine.new_state(settings))

    def apply(self, state: PipelineState, span: Sequence[RowBlock]) -> list[Batch]:
        """Apply messages of position events; return the rows of the minutes that they closed, and their signals.

        Raises:
            PoisonMessage: the span cannot be applied; the state is as before.
        """
        judged: dict[str, SignalState] = {}
        outputs = engine.apply_blocks(state.positions, span, lambda closed: self._judge(state, closed, judged))
        state.signals.update(judged)
        return outputs

    def snapshot(self, state: PipelineState, only: Sequence[str] | None = None) -> list[Batch]:
        """Return the rows of open minutes that changed, or of the symbols `only`; signals speak of closed ones only."""
        return engine.snapshot(state.positions, only)

    def counts(self, state: PipelineState) -> Mapping[str, int]:
        """Return how many rows were held as implausible and how many watermarks healed since the state was made."""
        return state.positions.counts

    def dump(self, state: PipelineState, symbol: str) -> bytes:
        """Return what is known of `symbol` as bytes from which `load` makes the same."""
        return pack(Saved(state.positions.saved(symbol), state.signals.get(symbol)))

    def load(self, state: PipelineState, data: bytes) -> None:
        """Take in a symbol that `dump` wrote.

        Raises:
            FatalError: another version, model or grid wrote it, or it is damaged.
        """
        saved = unpack(data, Saved)
        state.positions.restore(saved.positions)
        if saved.signals is not None:
            state.signals[saved.positions.symbol] = saved.signals

    def _judge(
        self, state: PipelineState, closed: Sequence[ClosedMinutes], judged: dict[str, SignalState]
    ) -> list[Batch]:
        """Return what follows from minutes that closed, and put the changed states of their symbols into `judged`."""
        positions = state.positions
        readings = [each for minutes in closed for each in signals.readings_of(minutes)]
        # Of one symbol in the order in which its log closed them.
        readings.sort(key=lambda each: (each[1].revision, each[1].window))
        taken = []
        for market, reading in readings:
            symbol = positions.symbols[market]
            memory = judged.get(symbol)
            if memory is None:
                known = state.signals.get(symbol)
                memory = judged[symbol] = SignalState(symbol) if known is None else signal_state.copied(known)
            taken.append(signals.Closed(memory, positions.venues[market], reading, self._settings_of(symbol)))
        return signals.to_batches(signals.update_all(taken, positions.settings.grid_factor))

    def _settings_of(self, symbol: str) -> SignalSettings:
        settings = self._of.get(symbol)
        if settings is None:
            settings = self._of[symbol] = self._settings.of(symbol)
        return settings
