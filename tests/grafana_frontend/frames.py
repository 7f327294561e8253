"""What the ClickHouse datasource makes of rows with format 0: one wide frame in Grafana's wire format.

The rules are those of the datasource's SDK (LongToWide, missing cells as null): rows in order of time, string columns
become labels, every other column becomes one field a combination of labels, fields are ordered by their labels.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any


def long_to_wide(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Return the frame of `rows`, whose columns are `names`: a time, labels (text) and values (numbers).

    Raises:
        ValueError: no rows, no column of time, a time is missing, or the rows are not in order of time.
    """
    if not rows:
        raise ValueError("no rows")
    times = [index for index, value in enumerate(rows[0]) if isinstance(value, datetime)]
    if not times:
        raise ValueError("no column of time")
    at = times[0]
    factors = [index for index, value in enumerate(rows[0]) if isinstance(value, str | bool)]
    values = [index for index in range(len(names)) if index not in (at, *factors)]

    moments: list[int] = []
    cells: dict[tuple[tuple[str, ...], int], dict[int, Any]] = {}
    for row in rows:
        if row[at] is None:
            raise ValueError("a time is missing")
        moment = int(row[at].replace(tzinfo=UTC).timestamp() * 1_000)
        if moments and moment < moments[-1]:
            raise ValueError("long series must be sorted ascending by time")
        if not moments or moment > moments[-1]:
            moments.append(moment)
        labels = tuple(str(row[index]) for index in factors)
        for index in values:
            cells.setdefault((labels, index), {})[moment] = row[index]

    fields = [{"name": names[at], "type": "time", "typeInfo": {"frame": "time.Time"}}]
    columns: list[list[Any]] = [list(moments)]
    for (labels, index), found in sorted(cells.items(), key=lambda entry: entry[0]):
        named = dict(zip((names[factor] for factor in factors), labels, strict=True))
        fields.append(
            {
                "name": names[index],
                "type": "number",
                "typeInfo": {"frame": "float64", "nullable": True},
                "labels": named,
            }
        )
        columns.append([found.get(moment) for moment in moments])
    meta = {"type": "timeseries-wide", "typeVersion": [0, 1]}
    return {"schema": {"refId": "A", "meta": meta, "fields": fields}, "data": {"values": columns}}
