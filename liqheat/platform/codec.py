"""Batches to Kafka messages and back: Arrow IPC streams with kind, version and origin in the headers.

The publisher, the processors and the sinks all speak through this module. Reading is forward compatible:
unknown columns are ignored, missing ones take the default of their field, and everything that is not a
sane batch raises `PoisonMessage` with a sentence.
"""

import io
from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl

from liqheat.domain.events import Batch, Column, Kind, Schema, schema_of
from liqheat.platform.errors import PoisonMessage

MAXIMUM_ROWS = 200_000
"""More rows than this in one message is a mistake upstream, not a batch."""

Headers = list[tuple[str, bytes]]

_REQUIRED_HEADERS = ("kind", "schema_version", "venue", "symbol", "instrument")


def encode(batch: Batch) -> tuple[Headers, bytes]:
    """Return headers and value of the message that carries `batch`."""
    schema = schema_of(batch.kind)
    buffer = io.BytesIO()
    batch.frame.write_ipc_stream(buffer)
    headers = [
        ("kind", batch.kind.value.encode()),
        ("schema_version", str(schema.version).encode()),
        ("venue", batch.venue.encode()),
        ("symbol", batch.symbol.encode()),
        ("instrument", batch.instrument.encode()),
    ]
    return headers, buffer.getvalue()


def read_headers(headers: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> dict[str, str]:
    """Return message headers as text.

    Raises:
        PoisonMessage: one that every batch has is missing, or is not UTF-8.
    """
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    try:
        texts = {name: value.decode() for name, value in pairs}
    except (UnicodeDecodeError, AttributeError) as error:
        raise PoisonMessage(f"A message header is not text: {error}") from error
    for name in _REQUIRED_HEADERS:
        if name not in texts:
            raise PoisonMessage(f"The header {name!r} is missing")
    return texts


def decode(headers: Mapping[str, bytes] | Iterable[tuple[str, bytes]], value: bytes | None) -> Batch:
    """Read a message back into a batch whose frame has exactly the columns of its schema, all of them sane.

    Raises:
        PoisonMessage: headers missing, unknown kind, not an Arrow stream, no or too many rows, a required
            column missing or of another type, or a value outside its unit.
    """
    texts = read_headers(headers)
    try:
        kind = Kind(texts["kind"])
    except ValueError as error:
        raise PoisonMessage(f"Expected a known kind, was {texts['kind']!r}") from error
    schema = schema_of(kind)
    frame = _read_frame(value)
    if not 0 < frame.height <= MAXIMUM_ROWS:
        raise PoisonMessage(f"Expected 1 to {MAXIMUM_ROWS} rows, was {frame.height}")
    if frame.schema != schema.polars:
        frame = _conform(frame, schema)
    for column in schema.columns:
        _check_values(column, frame.get_column(column.name))
    return Batch(kind, texts["venue"], texts["symbol"], texts["instrument"], frame)


def _read_frame(value: bytes | None) -> pl.DataFrame:
    if not value:
        raise PoisonMessage("The message is empty")
    try:
        return pl.read_ipc_stream(io.BytesIO(value), use_pyarrow=False)
    except (pl.exceptions.PolarsError, OSError, ValueError, OverflowError) as error:
        raise PoisonMessage(f"Not an Arrow IPC stream: {error}") from error
    except BaseException as error:
        # A corrupt length makes the Rust reader panic; its exception derives from BaseException.
        if type(error).__name__ != "PanicException":
            raise
        raise PoisonMessage(f"Not an Arrow IPC stream: {error}") from error


def _conform(frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """Select the schema's columns, filling those that an older writer did not know with their defaults."""
    selected = []
    for column in schema.columns:
        if column.name in frame.columns:
            if frame.schema[column.name] != column.dtype:
                raise PoisonMessage(
                    f"Expected the column {column.name!r} as {column.dtype}, was {frame.schema[column.name]}"
                )
            selected.append(pl.col(column.name))
        elif column.default is None:
            raise PoisonMessage(f"The column {column.name!r} is missing")
        else:
            selected.append(pl.lit(column.default, dtype=column.dtype).alias(column.name))
    return frame.select(selected)


def _check_values(column: Column, series: pl.Series) -> None:
    if series.null_count():
        raise PoisonMessage(f"The column {column.name!r} has {series.null_count()} nulls")
    if not column.dtype.is_numeric():
        return
    values = series.to_numpy()
    unit = column.unit
    largest = np.finfo(np.float64).max
    lowest = -largest if unit.minimum is None else unit.minimum
    highest = largest if unit.maximum is None else unit.maximum
    # NaN makes both of these false, so only a column that has some takes the slower way.
    if values.min() >= lowest and values.max() <= highest:
        return
    sane = (values >= lowest) & (values <= highest)
    if unit.nullable:
        sane |= np.isnan(values)
    if not sane.all():
        row = int(np.argmin(sane))
        raise PoisonMessage(f"Row {row} of the column {column.name!r} ({unit.name}) is {values[row]}")
