"""Checkpoints as bytes, and in the table that is read back after a restart."""

from typing import Any

import pytest

from liqheat.platform.errors import FatalError
from processors.worker import checkpoint
from processors.worker.checkpoint import Checkpoint, CheckpointTable
from tests.support.memory_log import Message


def test_a_checkpoint_of_another_version_is_refused() -> None:
    packed = Checkpoint(0, 1, b"state").pack("FET")
    assert Checkpoint.unpack(packed).state == b"state"
    with pytest.raises(FatalError, match="has version 2, this build reads"):
        Checkpoint.unpack(b"\x02" + packed[1:])
    with pytest.raises(FatalError, match="cut off"):
        Checkpoint.unpack(packed[:8])


class _Event:
    def __init__(self, key: str, applied: int) -> None:
        self.key = key.encode()
        self.value = Checkpoint(0, applied, b"").pack(key)
        self.message = Message("changelog", 0, 0, self.key, self.value, None)


@pytest.mark.parametrize("batches", [[[5, 9, 7]], [[5], [9], [7]], [[9], [9, 7]]])
def test_a_late_checkpoint_of_a_lost_worker_does_not_turn_the_state_back(batches: list[list[int]]) -> None:
    import faust

    app: Any = faust.App("late-checkpoint", store="memory://", autodiscover=False)
    table = CheckpointTable(app, name="engine-state", key_type=bytes, value_type=bytes)
    for batch in batches:
        table.apply_changelog_batch([_Event("FET", applied) for applied in batch])
    assert checkpoint.applied_offset_of(table.data[b"FET"]) == 9
