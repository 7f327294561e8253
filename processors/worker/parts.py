"""Outputs cut so that each part fits into one Kafka message."""

from collections.abc import Iterator

import numpy as np

from liqheat.domain.events import Batch, schema_of

ROWS = 2_000
"""Most rows of one message: a market minute takes some 300 bytes, and Kafka takes a megabyte."""
CELLS = 8_000
"""Most list elements of one message: a bucket takes 60 bytes over its lists."""


def parts_of(batch: Batch) -> Iterator[Batch]:
    """Yield `batch` in parts of at most `ROWS` rows and, unless one row has more, `CELLS` list elements."""
    frame = batch.frame
    lists = schema_of(batch.kind).lists
    if frame.height <= ROWS and not lists:
        yield batch
        return
    sizes = np.ones(frame.height, np.int64)
    limit = ROWS
    if lists:
        sizes = np.maximum(frame.get_column(lists[0]).list.len().to_numpy(), CELLS // ROWS)
        limit = CELLS
    ends = np.cumsum(sizes)
    start, spent = 0, 0
    while start < frame.height:
        stop = max(int(np.searchsorted(ends, spent + limit, side="right")), start + 1)
        yield batch if stop - start == frame.height else Batch(batch.kind, batch.venue, frame[start:stop])
        start, spent = stop, int(ends[stop - 1])
