"""What the mappers of all venues share: sane raw numbers, and lists read row by row.

Raw structs use these types, so that msgspec refuses NaN, infinity, negative prices and times in other units while it
decodes. A list is decoded at once; where a row of it is odd, row by row, and only that row is left out, with its
reason, in the mapper's `Report`.
"""

import math
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import msgspec

from liqheat.domain.events import NAN, Event
from liqheat.domain.units import LATEST_MS
from liqheat.platform.errors import PoisonMessage, SequenceGap

T = TypeVar("T")

SECONDS = range(10**9, 1_262_304_000_000)
"""Times that in ms were from 12 January 1970 to 2010: they are in seconds. Smaller ones occur in documentation."""
LEAD_MS = 60_000
"""How far a venue's time may be ahead of the clock that received the frame."""

WirePrice = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
WireQuantity = Annotated[float, msgspec.Meta(ge=0, le=1e18)]
WireUsd = Annotated[float, msgspec.Meta(ge=0, le=1e15)]
WireLeverage = Annotated[float, msgspec.Meta(gt=0, le=1_000)]
WireDecimals = Annotated[int, msgspec.Meta(ge=0, le=30)]
WireTime = Annotated[int, msgspec.Meta(ge=1, le=LATEST_MS)]
Number = float | str | None
"""A number that the venue may write as text, leave empty, or not know; see `number_or_nan` and its neighbours."""
Moment = int | str | None
"""A time in ms, likewise; see `time_or_zero`."""
Text = str | int | None
"""A text that the venue may write as a number; see `text_of`."""
Label = str | None
"""A text that says what a frame or an instrument is; null says as little as none."""
IsWanted = Callable[[str], object]
"""Whether an instrument is wanted, by the venue's name; what is true counts as yes."""

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_NAME_FIELDS = ("s", "symbol", "instId", "coin", "instFamily", "name")
_INNER_FIELDS = ("o", "position")
"""Where the name is one level deeper: Binance's forced orders, Hyperliquid's positions."""
UNKNOWN_NAME = "unknown"  # of a row that names no instrument
NO_NAME = "Expected the name of an instrument, there was none"


class Refusal(NamedTuple):
    """A row that was left out: of which instrument (by the venue's name), why in one sentence, and the row itself."""

    instrument: str
    reason: str
    row: bytes = b""


def refusal_of(instrument: str, reason: str, row: Any) -> Refusal:
    """Return the refusal of a row, with its bytes, or as JSON where its reader decoded it."""
    content = row if isinstance(row, bytes) else bytes(row) if isinstance(row, msgspec.Raw) else _encoded(row)
    return Refusal(instrument or UNKNOWN_NAME, reason, content)


class Report:
    """What a mapper has to say of a frame beside its events, and of notices since it began.

    `begin` and `finish` are called around each frame: `finish` raises for a frame of which nothing could be
    read, or after which events are missing.
    """

    def __init__(self) -> None:
        self.refused: list[Refusal] = []
        self.gaps: list[SequenceGap] = []
        self.notices: Counter[str] = Counter()
        """Frames that are no events and answer nothing, by type: greetings, maintenance, new event types."""
        self.rows_read = 0  # of the latest frame

    def begin(self) -> None:
        """Start a frame: what was said of the one before is forgotten, but for the notices."""
        if self.refused or self.gaps:
            self.refused, self.gaps = [], []
        self.rows_read = 0

    def notice(self, kind: str, silent: Container[str] = ()) -> None:
        """Count a frame that is no event, unless its kind is one that is known to say nothing."""
        if kind not in silent:
            self.notices[kind] += 1

    def refuse(self, instrument: str, reason: str, row: Any = b"") -> None:
        """Leave a row out; one that its reader looked into may come in a tuple with what it found."""
        self.refused.append(refusal_of(instrument, reason, row[0] if isinstance(row, tuple) and row else row))

    def each(
        self,
        rows: Iterable[T],
        name_of: Callable[[T], str],
        events_of: Callable[[T], Iterable[Event]],
        is_wanted: IsWanted | None = None,
    ) -> Iterator[Event]:
        """Return the events of each row; a row that cannot be read is left out, its neighbours are not.

        `events_of` changes what the mapper remembers only after its last check. A bad row of an instrument that is not
        wanted is passed over like its good ones. A row of which a part was refused is read if any event came of it.
        """
        events: list[Event] = []
        for row in rows:
            found, refused = len(events), len(self.refused)
            try:
                events += events_of(row)
            except PoisonMessage as poison:
                name = name_of(row)
                if not name or is_wanted is None or is_wanted(name):
                    self.refuse(name, poison.reason, row)
            else:
                self.rows_read += len(events) > found or len(self.refused) == refused
        return iter(events)

    def nothing_read(self) -> None:
        """Take back that rows were read, where they turned out useless together."""
        self.rows_read = 0

    def finish(self) -> None:
        """End a frame.

        Raises:
            PoisonMessage: every row of the frame was refused, so nothing of it was read.
            SequenceGap: events are missing before some of it; `further` holds the holes after the first.
        """
        if self.refused and not self.rows_read:
            reasons = "; ".join(f"{refusal.instrument}: {refusal.reason}" for refusal in self.refused[:5])
            self.refused = []
            raise PoisonMessage(reasons)
        if self.gaps:
            first, *others = self.gaps
            self.gaps = []
            raise SequenceGap(first.stream, first.after, first.before, tuple(others))


def decoder_of(kind: type[T]) -> msgspec.json.Decoder[T]:
    """Return a decoder that reads numbers from text too, as venues write them."""
    return msgspec.json.Decoder(kind, strict=False)


def read(decoder: msgspec.json.Decoder[T], frame: bytes | msgspec.Raw, what: str) -> T:
    """Decode a frame or a part of one.

    Raises:
        PoisonMessage: it is no JSON, or not `what` as the venue documents it.
    """
    try:
        return decoder.decode(frame)
    except _UNREADABLE as error:
        raise PoisonMessage(_sentence(bytes(frame), what, error)) from error


class RowReader(Generic[T]):
    """Reads a list of one kind: at once where every row is as documented, else row by row."""

    def __init__(self, kind: type[T], what: str) -> None:
        """Read rows of `kind`; `what` names one of them in refusals ("an OKX mark")."""
        self._what = what
        self._all: msgspec.json.Decoder[list[T]] = msgspec.json.Decoder(list[kind], strict=False)  # type: ignore[valid-type]
        self._one = decoder_of(kind)

    def read(
        self, data: bytes | msgspec.Raw, report: Report, is_wanted: IsWanted | None = None, name: str = ""
    ) -> list[T]:
        """Return the rows that can be read; others go to `report`, if `is_wanted` their instrument.

        `name` is the instrument of all rows, where they do not name it themselves.

        Raises:
            PoisonMessage: it is no list.
        """
        return [row for row in self.read_aligned(data, report, is_wanted, name) if row is not None]

    def read_aligned(
        self, data: bytes | msgspec.Raw, report: Report, is_wanted: IsWanted | None = None, name: str = ""
    ) -> list[T] | list[T | None]:
        """Return as many as there are rows, None in the place of one that cannot be read; see `read`.

        An object that stands for a list is its only row.
        """
        try:
            return self._all.decode(data)
        except _UNREADABLE:
            rows = rows_of(data, self._what)
        return [self._read_one(row, report, is_wanted, name) for row in rows]

    def each(self, rows: Iterable[msgspec.Raw], report: Report, name: str = "") -> list[T]:
        """Return those of `rows` that can be read; others go to `report`, under `name` where they name none."""
        found = [self._read_one(row, report, None, name) for row in rows]
        return [row for row in found if row is not None]

    def _read_one(self, row: msgspec.Raw, report: Report, is_wanted: IsWanted | None, name: str = "") -> T | None:
        try:
            return read(self._one, row, self._what)
        except PoisonMessage as poison:
            name = name or name_in(row)
            if not name or is_wanted is None or is_wanted(name):
                report.refuse(name, poison.reason, row)
            return None


def rows_of(data: bytes | msgspec.Raw, what: str) -> list[msgspec.Raw]:
    """Return the rows of a list, of which each is `what`; an object that stands for one is its only row.

    Raises:
        PoisonMessage: it is neither.
    """
    value = bytes(data)
    if value.startswith(b"{"):
        return [msgspec.Raw(value)]
    return read(_ROWS, data, f"a list of which each is {what}")


def fields_in(row: bytes | msgspec.Raw) -> dict[str, Any]:
    """Return the fields of a row that is an object; none of anything else."""
    try:
        return _FIELDS.decode(row)
    except _UNREADABLE:
        return {}


def name_in(row: bytes | msgspec.Raw) -> str:
    """Return the instrument that a row names, however odd the rest of it is; "" where it names none."""
    fields = fields_in(row)
    for holder in (fields, *(fields.get(name) for name in _INNER_FIELDS)):
        if isinstance(holder, dict):
            for name in _NAME_FIELDS:
                value = holder.get(name)
                if isinstance(value, str) and value:
                    return value
    return ""


def timely(event_time: int, received_at: int) -> int:
    """Return `event_time` (ms), if it may be true; to be asked before anything is noted.

    Raises:
        PoisonMessage: it is in another unit, or more than `LEAD_MS` ahead of the clock that received it.
    """
    if SECONDS.stop <= event_time <= received_at + LEAD_MS:
        return event_time
    if event_time > LATEST_MS or event_time in SECONDS or event_time < 1:
        raise PoisonMessage(f"Expected a time in ms since 1970, was {event_time}{_unit_of(event_time)}")
    # A caller without a clock gives 0.
    if event_time > received_at + LEAD_MS and received_at > SECONDS.stop:
        ahead = (event_time - received_at) / 1_000
        raise PoisonMessage(f"Expected a time that has come, was {event_time}, {ahead:,.0f} s ahead")
    return event_time


def number_or_nan(value: Number) -> float:
    """Read a number that the venue may write as text or leave empty; unknown is NaN.

    Raises:
        PoisonMessage: there is something, and it is no finite number.
    """
    if value is None or value == "":
        return NAN
    try:
        number = NAN if isinstance(value, str) and "_" in value else float(value)
    except ValueError:
        number = NAN
    if not math.isfinite(number):
        raise PoisonMessage(f"Expected a number, was {value!r}")
    return number


def price_or_nan(value: Number) -> float:
    """Read a price that the venue may not know: empty and 0 are NaN.

    Raises:
        PoisonMessage: it is no number, below 0, or above any price.
    """
    number = number_or_nan(value)
    if number == 0:
        return NAN
    if number < 0 or number > 1e9:
        raise PoisonMessage(f"Expected a price above 0, was {value!r}")
    return number


def time_or_zero(value: Moment) -> int:
    """Read a time (ms) that the venue may not know: empty, null and 0 are 0.

    Raises:
        PoisonMessage: it is no time in ms since 1970.
    """
    if value is None or value in ("", 0, "0"):
        return 0
    try:
        number = int(value) if isinstance(value, int) or value.isdigit() else int(float(value))
    except (ValueError, OverflowError):
        raise PoisonMessage(f"Expected a time in ms, was {value!r}") from None
    return timely(number, 0)


def text_of(value: Text) -> str:
    """Return a text that the venue may write as a number or leave out."""
    return "" if value is None else str(value)


_JSON_BEGINNINGS = tuple(bytes([each]) for each in b'{["-0123456789tfn')
_ROWS = msgspec.json.Decoder(list[msgspec.Raw])
_FIELDS = msgspec.json.Decoder(dict[str, Any])


def _sentence(frame: bytes, what: str, error: Exception) -> str:
    """Say what is wrong with a frame: that it is a web page, that a time is in another unit, or what msgspec found."""
    start = frame[:200].lstrip()
    if start[:1] == b"<":
        return f"Not {what}: it is a web page (HTML): {start[:80].decode(errors='replace')}"
    if start and start[:1] not in _JSON_BEGINNINGS:
        return f"Not {what}: it is no JSON but a text: {start[:80].decode(errors='replace')}"
    wanted = "Expected a time in ms since 1970 (this one may be in micro- or nanoseconds)"
    return f"Not {what}: {str(error).replace(f'Expected `int` <= {LATEST_MS}', wanted)}"


def _unit_of(time: int) -> str:
    if time in SECONDS:
        return ", which may be in seconds"
    if time <= LATEST_MS:
        return ""
    return ", which may be in microseconds" if time < 10**17 else ", which may be in nanoseconds"


def _encoded(row: Any) -> bytes:
    try:
        return msgspec.json.encode(row)
    except (TypeError, ValueError, RecursionError):
        return repr(row).encode(errors="replace")
