"""One market's inferred positions as compact bytes and back, for the checkpoint.

Small columns as they are; amounts in the market's unit, as differences along price in the narrowest type that holds
them, byte-shuffled and zstd-compressed behind a version.
"""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import zstandard

from liqheat.platform.errors import FatalError
from processors.positions.fine_columns import per_level, scaled
from processors.positions.inferred_state import InferredState

MODEL_VERSION = 3
"""Stamped on checkpoints and on every published row: numbers of different versions do not add up."""

_LEVEL = 3
_DERIVED = frozenset({"phase", "standing", "flows", "flows_long"})
_AMOUNTS = ("layers", "bands")
_TYPES = (np.dtype(np.int8), np.dtype(np.int16), np.dtype(np.int32), np.dtype(np.int64))


class PackedMarket(msgspec.Struct, array_like=True):
    """One market: the grid it was made on, small columns by name, and amounts as (dtype, bytes) by name."""

    model_version: int
    factor: int
    columns: dict[str, Any]
    amounts: dict[str, tuple[str, bytes]]


def dump(state: InferredState, market: int) -> bytes:
    """Return a market's rows as bytes."""
    small = [name for name in state.columns if name not in _DERIVED and name not in _AMOUNTS]
    bits = max(int(state.unit_bits[market]), 0)
    packed = PackedMarket(
        MODEL_VERSION,
        state.factor,
        {name: getattr(state, name)[market].tolist() for name in small},
        {name: _narrow(getattr(state, name)[market] >> bits) for name in _AMOUNTS},
    )
    return zstandard.ZstdCompressor(level=_LEVEL).compress(msgspec.msgpack.encode(packed))


def load(state: InferredState, market: int, data: bytes) -> None:
    """Put dumped rows into `market`.

    Raises:
        FatalError: another model or grid wrote them, or they are damaged; nothing was changed.
    """
    try:
        packed = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(data), type=PackedMarket)
    except (zstandard.ZstdError, msgspec.MsgspecError) as error:
        raise FatalError(f"The inferred positions in the checkpoint cannot be read: {error}") from error
    if (packed.model_version, packed.factor) != (MODEL_VERSION, state.factor):
        raise FatalError(
            f"The checkpoint has model {packed.model_version} on grid factor {packed.factor}, this build has "
            f"{MODEL_VERSION} on {state.factor}: replay the log from its start"
        )
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
