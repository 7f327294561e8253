"""The last check before an event is published: every number within the unit of its column.

A reader refuses a whole batch for one insane value, so it has to be caught while the raw frame that it came
from is still at hand. The bounds are those of `liqheat.domain.events`.
"""

from collections.abc import Callable, Iterator
from math import isnan
from operator import attrgetter
from typing import Any

from ingest.venues.interface import Mapper
from liqheat.domain.events import KIND_OF, Event, Record, schema_of
from liqheat.platform.errors import PoisonMessage

_Bounds = tuple[float, float, bool]
_Check = tuple[Callable[[Any], tuple[float, ...]], tuple[_Bounds, ...], tuple[str, ...]]


def _check_of(struct: type) -> _Check:
    columns = [column for column in schema_of(KIND_OF[struct]).columns if column.dtype.is_numeric()]
    bounds = tuple(
        (
            -float("inf") if column.unit.minimum is None else column.unit.minimum,
            1.7e308 if column.unit.maximum is None else column.unit.maximum,
            column.unit.nullable,
        )
        for column in columns
    )
    names = tuple(column.name for column in columns)
    return attrgetter(*names), bounds, names


_CHECKS: dict[type, _Check] = {struct: _check_of(struct) for struct in KIND_OF if issubclass(struct, Record)}


def check(event: Event) -> None:
    """Refuse an event with a number outside its unit.

    Raises:
        PoisonMessage: with the field, what it may be and what it was.
    """
    values_of, bounds, names = _CHECKS[type(event)]
    values = values_of(event)
    for value, (low, high, nullable) in zip(values, bounds, strict=True):
        if low <= value <= high or (nullable and isnan(value)):
            continue
        # Equal values have equal bounds only by chance, so the field is found by both.
        name = next(n for n, v, b in zip(names, values, bounds, strict=True) if v is value and b[:2] == (low, high))
        raise PoisonMessage(f"Expected {name} from {low:g} to {high:g}, was {value!r}")


def sane_events(mapper: Mapper, frame: bytes, received_at: int) -> Iterator[Event]:
    """Map `frame` and check each event; raises what `Mapper.map` raises, and `PoisonMessage` for insane numbers."""
    for event in mapper.map(frame, received_at):
        check(event)
        yield event
