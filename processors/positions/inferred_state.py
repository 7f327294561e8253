"""The state of the inferred model: arrays with one row per market, which grow as markets are added.

`inferred` changes it when minutes close; `published` reads it; `inferred_codec` writes single rows of it.
"""

import zlib
from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt

from liqheat.domain.price_grid import FloatArray, IntArray
from processors.positions.distances import BANDS, LAYERS
from processors.positions.fine_columns import ABOVE, BELOW, whole_levels

BoolArray = npt.NDArray[np.bool_]

OPENED, CLOSED, SWEPT = range(3)
"""Places of the flows."""
LONG, SHORT = range(2)
"""Places of the sides."""
PHASES = 5
_FIRST_CAPACITY = 4


@dataclass(slots=True, eq=False)
class InferredState:
    """Columns over `capacity` markets, of which `count` are in use; W fine columns, L published levels.

    Amounts are int64 micro-USD; `layers` and `bands` are in units of `2 ** unit_bits` of it, so that they pack well.
    """

    factor: int
    count: int = 0
    width: int = field(init=False)
    below: int = field(init=False)
    venues: list[str] = field(default_factory=list)
    symbols: list[str] = field(default_factory=list)
    siblings: dict[str, list[int]] = field(default_factory=dict)
    """Markets of each symbol, in order of appearance."""

    phase: IntArray = field(init=False)
    """Minutes by which a market's steps and updates are shifted, from its name, so that not all fall together."""
    base: IntArray = field(init=False)
    """First fine bucket, a multiple of `factor`, (capacity,)."""
    close: FloatArray = field(init=False)
    """Mark at the last closing, USD, NaN before the first, (capacity,)."""
    unit_bits: IntArray = field(init=False)
    layers: IntArray = field(init=False)
    """What the prior expects to be executed, by layer of survival, (capacity, LAYERS, W)."""
    bands: IntArray = field(init=False)
    """What is at risk at multipliers of 1, by band of distance from entry, nearest first, (capacity, BANDS, W)."""
    kappa: FloatArray = field(init=False)
    multipliers: FloatArray = field(init=False)
    """(capacity, BANDS)."""
    interest: FloatArray = field(init=False)
    """Open interest last known, coins, NaN before, (capacity,)."""
    anchor: FloatArray = field(init=False)
    """Open interest when the bands were last brought to it, coins, (capacity,)."""
    traded: FloatArray = field(init=False)
    """Micro-USD traded since then, and that times its price, (capacity, 2)."""
    swept_since: IntArray = field(init=False)
    """Of the bands since then, by side, (capacity, 2, BANDS)."""
    pending_expected: IntArray = field(init=False)
    """Of the layers in this update, both sides, at a kappa of 1, (capacity,)."""
    pending_bands: IntArray = field(init=False)
    """(capacity, 2, BANDS)."""
    pending_executed: IntArray = field(init=False)
    """(capacity, 2)."""
    executed: FloatArray = field(init=False)
    """Remembered evidence, USD, fading: executed and swept at a kappa of 1, (capacity,)."""
    swept: FloatArray = field(init=False)
    band_executed: FloatArray = field(init=False)
    """The same by band, (capacity, BANDS)."""
    band_swept: FloatArray = field(init=False)
    first_minutes: IntArray = field(init=False)
    """Minutes closed of a market's first hour, -1 once it is over (`older`), (capacity,)."""
    first_usd: FloatArray = field(init=False)
    """Micro-USD traded in them, and their squared moves, log price in steps of `distances.UNIT`, (capacity,)."""
    first_moves: IntArray = field(init=False)
    is_sampled: BoolArray = field(init=False)
    standing: IntArray = field(init=False)
    """At risk as published, micro-USD, (capacity, BANDS, L)."""
    flows: IntArray = field(init=False)
    """Of the last closed minute, micro-USD, (capacity, 3, BANDS, L)."""
    flows_long: IntArray = field(init=False)
    """The part of `flows` at the mark's own level that is of longs, (capacity, 3, BANDS)."""
    close_before: FloatArray = field(init=False)
    """Mark at the closing before, USD: what was swept above it was short, (capacity,)."""

    def __post_init__(self) -> None:
        self.below = whole_levels(BELOW, self.factor)
        self.width = self.below + whole_levels(ABOVE, self.factor)
        for name, (shape, dtype, fill) in self._shapes().items():
            setattr(self, name, np.full((_FIRST_CAPACITY, *shape), fill, dtype=dtype))

    def _shapes(self) -> dict[str, tuple[tuple[int, ...], type, float]]:
        width, levels = self.width, self.width // self.factor
        nothing, amounts = float("nan"), np.int64
        return {
            "phase": ((), np.int64, 0),
            "base": ((), np.int64, 0),
            "close": ((), np.float64, nothing),
            "close_before": ((), np.float64, nothing),
            "unit_bits": ((), np.int64, -1),
            "layers": ((LAYERS, width), amounts, 0),
            "bands": ((BANDS, width), amounts, 0),
            "kappa": ((), np.float64, 1),
            "multipliers": ((BANDS,), np.float64, 1),
            "interest": ((), np.float64, nothing),
            "anchor": ((), np.float64, nothing),
            "traded": ((2,), np.float64, 0),
            "swept_since": ((2, BANDS), amounts, 0),
            "pending_expected": ((), amounts, 0),
            "pending_bands": ((2, BANDS), amounts, 0),
            "pending_executed": ((2,), amounts, 0),
            "executed": ((), np.float64, 0),
            "swept": ((), np.float64, 0),
            "band_executed": ((BANDS,), np.float64, 0),
            "band_swept": ((BANDS,), np.float64, 0),
            "first_minutes": ((), amounts, 0),
            "first_usd": ((), np.float64, 0),
            "first_moves": ((), amounts, 0),
            "is_sampled": ((), np.bool_, 0),
            "standing": ((BANDS, levels), amounts, 0),
            "flows": ((3, BANDS, levels), amounts, 0),
            "flows_long": ((3, BANDS), amounts, 0),
        }

    @property
    def columns(self) -> list[str]:
        """Names of the arrays, in order of declaration."""
        shapes = self._shapes()
        return [one.name for one in fields(self) if one.name in shapes]

    @property
    def levels(self) -> int:
        """Published levels of a row."""
        return self.width // self.factor

    def add(self, venue: str, symbol: str) -> int:
        """Add a row and return its number."""
        number = self.count
        capacity = len(self.base)
        if number == capacity:
            for name, (shape, dtype, fill) in self._shapes().items():
                more: npt.NDArray[np.generic] = np.full(
                    (max(capacity // 4, _FIRST_CAPACITY), *shape), fill, dtype=dtype
                )
                setattr(self, name, np.concatenate([getattr(self, name), more]))
        self.count += 1
        self.phase[number] = zlib.crc32(f"{venue}:{symbol}".encode()) % PHASES
        self.venues.append(venue)
        self.symbols.append(symbol)
        self.siblings.setdefault(symbol, []).append(number)
        return number

    def units(self, markets: IntArray) -> FloatArray:
        """Return micro-USD per unit of `layers` and `bands`, shape (n,)."""
        return np.asarray(np.exp2(np.maximum(self.unit_bits[markets], 0)))
