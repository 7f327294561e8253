"""Normalised events as JSON lines into log batches, for `liqheat map`: the way back from `liqheat normalise`.

Lines may come in any order; they are sorted by event time, and batched by the minute and by the
open-interest readings in it, which is as fine as the engine looks.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Annotated, Any, get_args, get_origin

import msgspec

from ingest.bounded_json import BOM
from ingest.sanity import check
from ingest.venues.wire import number_or_nan, timely
from liqheat.domain.events import KIND_OF, STRUCTS, Batch, Event, Kind, MarginTier, Record, to_batch
from liqheat.domain.margin_tiers import BrokenMarginTiers, MarginTiers
from liqheat.domain.market import Side, TakerSide, Venue
from liqheat.domain.windows import window_start
from liqheat.platform.errors import PoisonMessage

_WORDS = {
    "side": {side.label: int(side) for side in Side},
    "taker_side": {side.label: int(side) for side in TakerSide},
}
_TIER_COLUMNS = "floor, cap, maximum leverage, maintenance margin rate, maintenance amount"
_IGNORED = frozenset({Kind.GAPS, Kind.DEPTH})
_COMMUTING = (Kind.MARKS, Kind.TRADES, Kind.LIQUIDATIONS)
"""Kinds whose order within a minute and between two open interests changes nothing in the map."""


def read_events(line: bytes, now: int) -> list[Event]:
    """Return the events of one JSON line, read at `now` (ms): one, or a tier table's as many as it has tiers.

    What a venue does not say may be null, empty or absent; `instrument` may be absent (then `SYMBOLUSDT`). Numbers may
    be written as text.

    Raises:
        PoisonMessage: no JSON object, an unknown kind, a field missing or out of its unit, or a time that has not
            come by `now`, but for the lead that live events have.
    """
    try:
        fields = msgspec.json.decode(line.removeprefix(BOM), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PoisonMessage(f"Expected a JSON object: {error}") from error
    try:
        kind = Kind(fields.get("kind", ""))
    except ValueError as error:
        raise PoisonMessage(f"Expected a known kind, was {fields.get('kind')!r}") from error
    struct: type[Any] = STRUCTS[kind]
    if not issubclass(struct, Record):
        raise PoisonMessage(f"Expected position events, was {kind.value!r}")
    if kind in _IGNORED:
        return []
    if isinstance(symbol := fields.get("symbol"), str):
        fields["symbol"] = symbol.strip().upper()
    fields.setdefault("instrument", f"{fields.get('symbol')}USDT")
    if isinstance(venue := fields.get("venue"), str):
        fields["venue"] = venue.lower()
    if fields.get("venue") not in list(Venue):
        raise PoisonMessage(f"Expected venue as {' or '.join(Venue)}, was {fields.get('venue')!r}")
    if kind is Kind.MARGIN_TIERS:
        # A table without a time holds from the start.
        fields.setdefault("event_time", 0)
        if "tiers" in fields and isinstance(fields["tiers"], list):
            return _tier_table(fields, now)
    event: Any = struct(**{name: _value(name, base, default, fields) for name, base, default in _fields_of(struct)})
    if event.event_time or kind is not Kind.MARGIN_TIERS:
        timely(event.event_time, now)
    check(event)
    return [event]


def batches(events: Iterable[Event]) -> Iterator[Batch]:
    """Sort events by time and yield them as batches, all symbols and venues in one log.

    The first tier table of a market holds from the log's start, whenever it was read.
    """
    first_tables: dict[tuple[str, str], int] = {}
    log = list(events)
    for event in log:
        if isinstance(event, MarginTier):
            market = (event.venue, event.symbol)
            first_tables[market] = min(first_tables.get(market, event.event_time), event.event_time)

    def order(event: Event) -> int:
        is_first = isinstance(event, MarginTier) and event.event_time == first_tables[event.venue, event.symbol]
        return -1 if is_first else event.event_time

    waiting: dict[tuple[str, str, Kind], list[Event]] = {}
    minutes: dict[tuple[str, str], int] = {}
    for event in sorted(log, key=order):
        market, kind = (event.venue, event.symbol), KIND_OF[type(event)]
        minute = window_start(event.event_time)
        if kind not in _COMMUTING or minutes.get(market) != minute:
            for commuting in _COMMUTING:
                if gathered := waiting.pop((*market, commuting), None):
                    yield to_batch(gathered)
            minutes[market] = minute
        if kind in _COMMUTING:
            waiting.setdefault((*market, kind), []).append(event)
        else:
            yield to_batch([event])
    for gathered in waiting.values():
        yield to_batch(gathered)


def _tier_table(fields: dict[str, Any], now: int) -> list[Event]:
    try:
        tiers = MarginTiers.of(fields["tiers"])
    except (BrokenMarginTiers, ValueError, TypeError) as error:
        raise PoisonMessage(f"Expected `tiers` as rows of {_TIER_COLUMNS}: {error}") from error
    where = {name: fields.get(name) for name in ("venue", "symbol", "instrument")}
    if not all(isinstance(value, str) for value in where.values()):
        raise PoisonMessage("Expected venue, symbol and instrument as text")
    at = whole_of("event_time", fields["event_time"])
    if at:
        timely(at, now)
    return [*tiers.to_events(fields["venue"], fields["symbol"], fields["instrument"], at)]


@cache
def _fields_of(struct: type[Any]) -> tuple[tuple[str, type, Any], ...]:
    """Return name, type without its unit, and default of each field."""
    return tuple(
        (field.name, get_args(field.type)[0] if get_origin(field.type) is Annotated else field.type, field.default)
        for field in msgspec.structs.fields(struct)
    )


def _value(name: str, base: type, default: Any, fields: dict[str, Any]) -> Any:
    value = fields.get(name)
    if value is None or (value == "" and (base in (int, float) or name == "symbol")):
        if default is msgspec.NODEFAULT:
            raise PoisonMessage(f"The field {name!r} is missing")
        return default
    words = _WORDS.get(name)
    if words is not None:
        found = words.get(value.lower()) if isinstance(value, str) else value
        if not isinstance(found, int) or isinstance(found, bool) or found not in words.values():
            raise PoisonMessage(f"Expected {name} as {' or '.join(words)}, was {value!r}")
        return found
    if base is int:
        return whole_of(name, value)
    if base is float:
        return _number(name, value)
    wanted = bool if base is bool else str
    if not isinstance(value, wanted):
        raise PoisonMessage(f"Expected {name} as {wanted.__name__}, was {value!r}")
    return value


def _number(name: str, value: Any) -> float:
    """Read a number, also one that is written as text."""
    try:
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            return number_or_nan(value)
    except (PoisonMessage, OverflowError):
        pass
    raise PoisonMessage(f"Expected {name} as float, was {value!r}")


def whole_of(name: str, value: Any) -> int:
    """Read a whole number, also one that is written as text or with a fraction of 0.

    Raises:
        PoisonMessage: it is none; the sentence names it `name`.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    raise PoisonMessage(f"Expected {name} as int, was {value!r}")


_WHOLE = re.compile(r"-?[0-9]{1,19}")
_EXACT = 2**53
"""A float beyond has lost its last digits."""
