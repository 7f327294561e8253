"""What the signals of one symbol remember, in a form that a checkpoint can hold.

The engine alone changes it. `liqheat.platform.state_codec` writes it.
"""

import msgspec
import numpy as np
import numpy.typing as npt

from processors.signals import track_record
from processors.signals.alerts import Episode
from processors.signals.book import ROW
from processors.signals.clusters import Tracked
from processors.signals.history import EMPTY
from processors.signals.rules import SideMemory, copied_episodes, copied_memory
from processors.signals.track_record import MarketRecord

NO_ROWS: npt.NDArray[np.void] = np.zeros(0, dtype=ROW)


class Reading(msgspec.Struct, frozen=True):
    """A market minute that the symbol's minute has not reached yet; prices USD, amounts micro-USD or coins as named.

    `depth_time` to `ask_depth_usd` are the order book as last read by then: when (ms, 0 never), how far it reaches (%),
    and the USD within each of `DEPTH_DISTANCES`. `predicted_*` is what the map expected of this minute's range.
    """

    window: int
    rows: npt.NDArray[np.void]
    mark_high: float
    mark_low: float
    mark_close: float
    funding_rate: float
    next_funding_time: int
    open_interest: float
    open_interest_usd: float
    turnover_24h_usd: float
    liquidated_long_usd: int
    liquidated_short_usd: int
    revision: int
    depth_time: int = 0
    bid_reach: float = 0.0
    ask_reach: float = 0.0
    bid_depth_usd: list[float] = []
    ask_depth_usd: list[float] = []
    predicted_long_usd: int = 0
    predicted_short_usd: int = 0
    liquidations_known: bool = False
    warming_up: bool = False
    model_version: int = 1


class Market(msgspec.Struct):
    """One venue of the symbol: its latest minute that counts, what waits, and its last hours.

    `closed` is the latest window it has closed; `reached` the latest that a symbol's minute has counted.
    `flows` are rows whose swept flow no minute has counted yet, `executed` likewise (long, short; micro-USD).
    """

    funding_interval: int
    closed: int = -1
    reached: int = -1
    latest: Reading | None = None
    waiting: dict[int, Reading] = {}
    flows: npt.NDArray[np.void] = NO_ROWS
    executed: tuple[int, int] = (0, 0)
    mark_high: float = float("nan")
    mark_low: float = float("nan")
    history: npt.NDArray[np.float64] = EMPTY
    record: MarketRecord = msgspec.field(default_factory=MarketRecord)


class SignalState(msgspec.Struct):
    """All that is remembered of a symbol; `window` is the last minute that was judged (-1 before the first)."""

    symbol: str
    window: int = -1
    grid_factor: int = 0
    mark_close: float = float("nan")
    markets: dict[str, Market] = {}
    clusters: list[Tracked] = []
    episodes: dict[str, Episode] = {}
    sides: SideMemory = msgspec.field(default_factory=SideMemory)


def copied(state: SignalState) -> SignalState:
    """Return an equal state that `update` can change without changing this one; arrays and frozen parts are shared."""
    replace = msgspec.structs.replace
    return replace(
        state,
        markets={
            name: replace(market, waiting=dict(market.waiting), record=track_record.copied(market.record))
            for name, market in state.markets.items()
        },
        clusters=list(state.clusters),
        episodes=copied_episodes(state.episodes),
        sides=copied_memory(state.sides),
    )
