"""One market's inferred positions in the compact form that checkpoints hold, and back.

Small columns as they are; amounts in the market's unit, as differences along price in the narrowest type that holds
them, byte-shuffled, so that they compress well.
"""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from processors.positions.fine_columns import per_level, scaled
from processors.positions.inferred_state import InferredState

MODEL_VERSION = 3
"""Stamped on checkpoints and on every published row: numbers of different versions do not add up."""

_DERIVED = frozenset({"phase", "standing", "flows", "flows_long"})
_AMOUNTS = ("layers", "bands")
_TYPES = (np.dtype(np.int8), np.dtype(np.int16), np.dtype(np.int32), np.dtype(np.int64))


class SavedInferred(msgspec.Struct, array_like=True):
    """One market's rows: small columns by name, and amounts as (dtype, bytes) by name."""

    columns: dict[str, Any]
    amounts: dict[str, tuple[str, bytes]]


def saved(state: InferredState, market: int) -> SavedInferred:
    """Return a market's rows; the flows of its last minute are left out."""
    small = [name for name in state.columns if name not in _DERIVED and name not in _AMOUNTS]
    bits = max(int(state.unit_bits[market]), 0)
    return SavedInferred(
        {name: getattr(state, name)[market].tolist() for name in small},
        {name: _narrow(getattr(state, name)[market] >> bits) for name in _AMOUNTS},
    )


def restore(state: InferredState, market: int, packed: SavedInferred) -> None:
    """Put saved rows into `market`.

    Raises:
        ValueError: they are of another shape; nothing was changed.
    """
    bits = max(int(packed.columns["unit_bits"]), 0)
    rows: dict[str, npt.NDArray[Any]] = {}
    for name in (*packed.columns, *_AMOUNTS):
        held = getattr(state, name)
        shape, dtype = held.shape[1:], held.dtype
        if name in _AMOUNTS:
            rows[name] = _wide(packed.amounts[name], shape) << bits
        else:
            rows[name] = np.asarray(packed.columns[name], dtype=dtype).reshape(shape)
    for name, row in rows.items():
        getattr(state, name)[market] = row
    state.standing[market] = per_level(scaled(rows["bands"], rows["multipliers"][:, None]), state.factor)
    state.flows[market] = 0
    state.flows_long[market] = 0


def _narrow(amounts: npt.NDArray[np.int64]) -> tuple[str, bytes]:
    steps = np.diff(amounts, axis=-1, prepend=0).reshape(-1)
    low, high = int(steps.min()), int(steps.max())
    dtype = next(one for one in _TYPES if np.iinfo(one).min <= low and high <= np.iinfo(one).max)
    shuffled = steps.astype(dtype).view(np.uint8).reshape(-1, dtype.itemsize).T
    return dtype.str, np.ascontiguousarray(shuffled).tobytes()


def _wide(packed: tuple[str, bytes], shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    dtype = np.dtype(packed[0])
    shuffled = np.frombuffer(packed[1], dtype=np.uint8).reshape(dtype.itemsize, -1)
    steps = np.ascontiguousarray(shuffled.T).view(dtype).reshape(shape).astype(np.int64)
    return np.asarray(np.cumsum(steps, axis=-1))
