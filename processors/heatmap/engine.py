"""The engine: log batches of one symbol in, heatmap rows of closed minutes out.

Pure and deterministic: the same log gives the same rows, bit for bit, however it is cut into batches. The
Faust driver, `liqheat map` and `liqheat score` all drive it through the five functions below.
"""

from dataclasses import dataclass, field

import numpy as np

from liqheat.domain.events import Batch, Kind
from liqheat.platform.errors import FatalError, PoisonMessage
from liqheat.platform.settings import Engine as EngineSettings
from processors.heatmap.market import TIMED_KINDS, Market
from processors.heatmap.rows import Output
from processors.heatmap.state_codec import PackedState, pack, pack_market, unpack, unpack_market
from processors.positions.learned_mix import SymbolMix

ACCEPTED_KINDS = frozenset({*TIMED_KINDS, Kind.POSITIONS, Kind.MARGIN_TIERS, Kind.TURNOVER, Kind.CONTRACTS})
"""Kinds that `apply` takes; any other on its topic is a mistake."""


@dataclass(slots=True)
class SymbolState:
    """All venues of one canonical symbol, and how many rows of its log have been applied."""

    symbol: str
    settings: EngineSettings
    applied_rows: int = 0
    markets: dict[str, Market] = field(default_factory=dict)
    mix: SymbolMix = field(init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        self.mix = SymbolMix.of_settings(settings.leverages, settings.leverage_shares, settings.reach_share)


def new_state(symbol: str, settings: EngineSettings) -> SymbolState:
    """Return the state before the first row of `symbol`."""
    return SymbolState(symbol, settings)


def apply(state: SymbolState, batch: Batch) -> list[Batch]:
    """Apply one batch in log order and return the rows of the minutes that it closed.

    Args:
        state: changed in place.
        batch: rows of an accepted kind, sane by `codec.decode`.

    Returns:
        Batches of kinds `HEATMAP_BUCKETS` and `MARKET_MINUTES`, absolute values; `revision` is the number of
        the log row that closed the minute.

    Raises:
        PoisonMessage: the batch cannot be applied; the state is as before.
    """
    if batch.symbol != state.symbol:
        raise PoisonMessage(f"Expected rows of {state.symbol}, was {batch.symbol!r}")
    if batch.kind not in ACCEPTED_KINDS:
        raise PoisonMessage(f"Expected position events, was {batch.kind.value!r}")
    market = state.markets.get(batch.venue)
    if market is None:
        market = Market(batch.venue, state.settings, state.mix)
    market.take_instrument(batch.instrument)
    output = Output(batch.venue, batch.symbol, batch.instrument)
    if batch.kind in TIMED_KINDS:
        market.apply_timed(batch.kind, batch.frame, state.applied_rows, output)
    elif batch.kind is Kind.POSITIONS:
        market.apply_positions(batch.frame)
    elif batch.kind is Kind.MARGIN_TIERS:
        market.apply_margin_tiers(batch.frame)
    elif batch.kind is Kind.TURNOVER:
        market.apply_turnover(batch.frame)
    state.markets[batch.venue] = market
    state.applied_rows += batch.frame.height
    return output.batches()


def snapshot(state: SymbolState) -> list[Batch]:
    """Return the rows of every market's open minute as it stands, provisional; changes nothing.

    The rows of the same minute, once it closes, carry a higher revision and replace these.
    """
    batches: list[Batch] = []
    for market in state.markets.values():
        output = Output(market.venue, state.symbol, market.instrument)
        market.add_open_minute(state.applied_rows, output)
        batches.extend(output.batches())
    return batches


def dump(state: SymbolState) -> bytes:
    """Return the state as bytes for the checkpoint."""
    markets = [pack_market(market) for market in state.markets.values()]
    logs = state.mix.logs.tolist()
    return pack(PackedState(state.symbol, state.applied_rows, state.settings.grid_factor, logs, markets))


def load(data: bytes, settings: EngineSettings) -> SymbolState:
    """Return the state that `dump` wrote; it goes on exactly as the dumped one would have.

    Raises:
        FatalError: another format version or another grid wrote it, or it is damaged.
    """
    packed = unpack(data)
    if packed.grid_factor != settings.grid_factor:
        raise FatalError(
            f"The checkpoint has grid factor {packed.grid_factor}, the settings {settings.grid_factor}: "
            "set LIQHEAT_ENGINE__GRID_FACTOR back, or replay the log from its start"
        )
    state = SymbolState(packed.symbol, settings, packed.applied_rows)
    state.mix.logs = np.array(packed.mix_logs)
    for market in packed.markets:
        state.markets[market.venue] = unpack_market(market, settings, state.mix)
    return state
