"""Checkpoints: the state of a symbol together with the offset up to which the log is in it.

They live in a Faust Table, whose changelog topic is read back after a restart or a rebalance. Since the
offset travels inside the state, a message that comes a second time is known and skipped.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import faust

from liqheat.platform import state_codec
from liqheat.platform.errors import FatalError
from liqheat.platform.topics import MAXIMUM_STATE_BYTES

_HEADER = struct.Struct("<BIq")
# What Kafka puts around a value; the limit of the topic holds for the whole record.
_RECORD_OVERHEAD = 1_000


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A symbol's state after the message at `applied_offset` of `partition` of the log.

    `state` is what an engine made of it with `liqheat.platform.state_codec`; here it only gets a header, which begins
    with the same version and can be read without the state.
    """

    partition: int
    applied_offset: int
    state: bytes

    def pack(self, symbol: str) -> bytes:
        """Return it as the value of a changelog message.

        Raises:
            FatalError: it is larger than the changelog topic admits.
        """
        packed = _HEADER.pack(state_codec.VERSION, self.partition, self.applied_offset) + self.state
        if len(packed) > MAXIMUM_STATE_BYTES - _RECORD_OVERHEAD:
            raise FatalError(
                f"The engine state of {symbol} is {len(packed):,} bytes compressed, "
                f"more than the {MAXIMUM_STATE_BYTES:,} that its changelog topic admits"
            )
        return packed

    @classmethod
    def unpack(cls, packed: bytes) -> "Checkpoint":
        """Read what `pack` wrote.

        Raises:
            FatalError: it is of another version.
        """
        partition, applied_offset = _read_header(packed)
        return cls(partition, applied_offset, packed[_HEADER.size :])


def partition_of(packed: bytes) -> int:
    """Return the partition of a packed checkpoint without reading its state."""
    return _read_header(packed)[0]


def applied_offset_of(packed: bytes) -> int:
    """Return the applied offset of a packed checkpoint without reading its state."""
    return _read_header(packed)[1]


def _read_header(packed: bytes) -> tuple[int, int]:
    state_codec.check_version(packed)
    if len(packed) < _HEADER.size:
        raise FatalError("A checkpoint in the changelog is cut off: replay the log from its start")
    _, partition, applied_offset = _HEADER.unpack_from(packed)
    return partition, applied_offset


class CheckpointTable(faust.Table[bytes, bytes]):
    """A Faust Table of packed checkpoints by symbol, written outside of stream iteration."""

    async def save(self, symbol: bytes, partition: int, packed: bytes) -> None:
        """Write a checkpoint to `partition` of the changelog and return once the broker has it.

        The local copy changes only then, so that it never runs ahead of what a restart would find.
        """
        await self.send_changelog(partition, symbol, packed)
        self.data[symbol] = packed

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Take over checkpoints read back from the changelog, never an older one over a newer.

        A worker that lost its partitions while it hung may still have written an older state at the end.
        """
        newest: dict[bytes, Any] = {}
        for event in batch:
            known = newest[event.key].value if event.key in newest else self.data.get(event.key)
            if known is None or applied_offset_of(event.value) >= applied_offset_of(known):
                newest[event.key] = event
        super().apply_changelog_batch(newest.values())
