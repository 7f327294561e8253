"""One raw frame read whole: its events, each checked, and what could not be read of it.

Sockets, polls, backfill, replay and `normalise` all read frames here. A reader of the log refuses a whole batch for one
insane value, so it has to be caught while the raw frame that it came from is still at hand; the bounds are those of
`liqheat.domain.events`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import structlog

from ingest.bounded_json import BOM, refusal
from ingest.venues.interface import Mapper
from ingest.venues.wire import Refusal
from liqheat.domain.events import KIND_OF, Column, Event, Record, schema_of
from liqheat.platform.errors import LiqheatError, PoisonMessage, SequenceGap

log = structlog.get_logger(__name__)

_Bounds = tuple[float, float, bool]
_Check = tuple[Callable[[Any], tuple[float, ...]], tuple[_Bounds, ...], tuple[str, ...]]


def _check_of(struct: type) -> _Check:
    columns = [column for column in schema_of(KIND_OF[struct]).columns if column.dtype.is_numeric()]
    bounds = tuple(_bounds_of(column) for column in columns)
    names = tuple(column.name for column in columns)
    return attrgetter(*names), bounds, names


def _bounds_of(column: Column) -> _Bounds:
    if column.dtype.is_integer():
        return *column.unit.limits(is_whole=True), column.unit.nullable
    lowest, highest = column.unit.limits()
    # Of Python's own kind, which compares with a whole number that no float can hold.
    return float(lowest), float(highest), column.unit.nullable


UNEXPECTED = "The mapper failed with an error of its own, "
"""How `Reading.poison` begins where a mapper raised what it should not."""

_CHECKS: dict[type, _Check] = {struct: _check_of(struct) for struct in KIND_OF if issubclass(struct, Record)}


def check(event: Event) -> None:
    """Refuse an event with a number outside its unit.

    Raises:
        PoisonMessage: with the field, what it may be and what it was.
    """
    values_of, bounds, names = _CHECKS[type(event)]
    values = values_of(event)
    for value, (low, high, nullable) in zip(values, bounds, strict=True):
        # NaN alone differs from itself; `isnan` fails for a whole number that no float can hold.
        if low <= value <= high or (nullable and value != value):
            continue
        # Equal values have equal bounds only by chance, so the field is found by both.
        name = next(n for n, v, b in zip(names, values, bounds, strict=True) if v is value and b[:2] == (low, high))
        raise PoisonMessage(f"Expected {name} from {low:g} to {high:g}, was {value!r}")


@dataclass(slots=True)
class Reading:
    """What one frame held: its events in order, the rows that were left out, and the holes before some of it.

    `poison` says why the frame as a whole could not be read, "" where it could; what came before is in `events`.
    """

    events: list[Event]
    refused: list[Refusal]
    gaps: list[SequenceGap]
    poison: str = ""

    def problems(self) -> Iterator[str]:
        """Yield a sentence for everything that is wrong with the frame."""
        for refused in self.refused:
            yield f"{refused.instrument}: {refused.reason}"
        if self.poison:
            yield self.poison


def read_frame(mapper: Mapper, frame: bytes, received_at: int) -> Reading:
    """Map `frame` and check each event; an insane one is left out like a row that cannot be read.

    An error that no mapper should raise is a defect: it is logged with its trace, and costs this frame alone.
    """
    events: list[Event] = []
    insane: list[Refusal] = []
    gaps: list[SequenceGap] = []
    frame = frame.removeprefix(BOM)
    poison = refusal(frame) or ""
    if poison:
        return Reading(events, insane, gaps, poison)
    try:
        for event in mapper.map(frame, received_at):
            try:
                check(event)
            except PoisonMessage as refused:
                insane.append(Refusal(event.instrument, refused.reason))
            else:
                events.append(event)
    except PoisonMessage as error:
        poison = error.reason
    except SequenceGap as gap:
        gaps = [gap, *gap.further]
    except LiqheatError:
        raise
    except Exception as error:
        log.exception("A mapper failed on a frame", venue=mapper.venue.value, error=type(error).__name__)
        poison = f"{UNEXPECTED}{type(error).__name__}: {error}"
    # What was refused after its row had been read, or for several rows together, is kept with the frame.
    left_out = [each if each.row else each._replace(row=frame) for each in mapper.report.refused + insane]
    return Reading(events, left_out, gaps, poison)
