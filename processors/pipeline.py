"""Position engine and signals as one engine: what the worker runs, with one state and one checkpoint a symbol.

`Pipeline` satisfies `processors.worker.engine.Engine`. Signals read the position engine's own output, so both see
the same minutes and a checkpoint holds both at the same row of the log.
"""

from dataclasses import dataclass

import msgspec

from liqheat.domain.events import Batch
from liqheat.platform.errors import FatalError
from liqheat.platform.settings import Engine as EngineSettings
from liqheat.platform.settings import Signals as SignalSettings
from processors.heatmap import engine
from processors.signals import engine as signals
from processors.signals import state as signal_state
from processors.signals.state import SignalState


@dataclass(slots=True)
class PipelineState:
    """One symbol's positions and signals; `packed_signals` is their dump while it still holds."""

    positions: engine.SymbolState
    signals: SignalState
    packed_signals: bytes | None = None


class _Packed(msgspec.Struct, array_like=True):
    positions: bytes
    signals: bytes


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Packed)


class Pipeline:
    """The two engines with their settings; pure like each of them."""

    def __init__(self, settings: SignalSettings) -> None:
        self._settings = settings
        self._of: dict[str, SignalSettings] = {}

    def new_state(self, symbol: str, settings: EngineSettings) -> PipelineState:
        """Return the state of a symbol of which nothing is known yet."""
        return PipelineState(engine.new_state(symbol, settings), SignalState(symbol))

    def apply(self, state: PipelineState, batch: Batch) -> list[Batch]:
        """Apply one batch of position events; return the rows of the minutes that it closed, and their signals.

        Raises:
            PoisonMessage: the batch cannot be applied; the state is as before.
        """
        outputs = engine.apply(state.positions, batch)
        if not outputs:
            return outputs
        state.packed_signals = None
        return outputs + signals.update(state.signals, outputs, self._settings_of(batch.symbol))

    def snapshot(self, state: PipelineState) -> list[Batch]:
        """Return the rows of the markets' open minutes; signals speak of closed minutes only."""
        return engine.snapshot(state.positions)

    def dump(self, state: PipelineState) -> bytes:
        """Return `state` as bytes from which `load` makes an equal one."""
        if state.packed_signals is None:
            state.packed_signals = signal_state.dump(state.signals)
        return _ENCODER.encode(_Packed(engine.dump(state.positions), state.packed_signals))

    def load(self, data: bytes, settings: EngineSettings) -> PipelineState:
        """Return the state that `dump` wrote.

        Raises:
            FatalError: another version or another grid wrote it.
        """
        try:
            packed = _DECODER.decode(data)
            judged = signal_state.load(packed.signals)
        except (msgspec.MsgspecError, RuntimeError) as error:
            raise FatalError(f"A checkpoint is not of this version ({error}): replay the log from its start") from error
        return PipelineState(engine.load(packed.positions, settings), judged, packed.signals)

    def _settings_of(self, symbol: str) -> SignalSettings:
        settings = self._of.get(symbol)
        if settings is None:
            settings = self._of[symbol] = self._settings.of(symbol)
        return settings
