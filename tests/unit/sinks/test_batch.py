"""When a batch is due."""

import pytest

from sinks.batch import BatchPolicy, BatchState


def test_a_batch_is_due_by_rows_or_by_the_age_of_its_first_row() -> None:
    state = BatchState(BatchPolicy(rows=10, age=1.0))
    assert not state.due(now=1_000.0)
    state.add(1, now=5.0)
    state.add(8, now=5.9)
    assert not state.due(now=5.99)
    assert state.remaining(now=5.75) == pytest.approx(0.25)
    assert state.due(now=6.0)
    state.add(1, now=5.95)
    assert state.due(now=5.96)
    state.clear()
    assert not state.due(now=100.0)
