"""Normalised events as JSON lines into log batches, for `liqheat map`: the way back from `liqheat normalise`.

Lines may come in any order; they are sorted by event time, and batched by the minute and by the
open-interest readings in it, which is as fine as the engine looks.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ingest.sanity import check
from ingest.venues.wire import timely
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


def read_events(line: bytes) -> list[Event]:
    """Return the events of one JSON line: one, or a tier table's as many as it has tiers.

    What a venue does not say may be null or absent; `instrument` may be absent (then `SYMBOLUSDT`).

    Raises:
        PoisonMessage: no JSON object, an unknown kind, a field missing or out of its unit.
    """
    try:
        fields = msgspec.json.decode(line, type=dict[str, Any])
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
    fields.setdefault("instrument", f"{fields.get('symbol')}USDT")
    if fields.get("venue") not in list(Venue):
        raise PoisonMessage(f"Expected venue as {' or '.join(Venue)}, was {fields.get('venue')!r}")
    if kind is not Kind.MARGIN_TIERS:
        if isinstance(fields.get("event_time"), int):
            timely(fields["event_time"], 0)
    else:
        fields.setdefault("event_time", 0)
        if "tiers" in fields and isinstance(fields["tiers"], list):
            return _tier_table(fields)
    event: Any = struct(**{field.name: _value(field, fields) for field in msgspec.structs.fields(struct)})
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


def _tier_table(fields: dict[str, Any]) -> list[Event]:
    try:
        tiers = MarginTiers.of(fields["tiers"])
    except (BrokenMarginTiers, ValueError, TypeError) as error:
        raise PoisonMessage(f"Expected `tiers` as rows of {_TIER_COLUMNS}: {error}") from error
    where = {name: fields.get(name) for name in ("venue", "symbol", "instrument")}
    if not all(isinstance(value, str) for value in where.values()) or not isinstance(fields["event_time"], int):
        raise PoisonMessage("Expected venue, symbol and instrument as text, and event_time in ms")
    return [*tiers.to_events(fields["venue"], fields["symbol"], fields["instrument"], fields["event_time"])]


def _value(field: msgspec.structs.FieldInfo, fields: dict[str, Any]) -> Any:
    value = fields.get(field.name)
    if value is None:
        if field.default is msgspec.NODEFAULT:
            raise PoisonMessage(f"The field {field.name!r} is missing")
        return field.default
    words = _WORDS.get(field.name)
    if words is not None and isinstance(value, str):
        if value not in words:
            raise PoisonMessage(f"Expected {field.name} as {' or '.join(words)}, was {value!r}")
        return words[value]
    wanted = _TYPES.get(field.name, (int, float))
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        raise PoisonMessage(f"Expected {field.name} as {wanted[0].__name__}, was {value!r}")
    return value


_TEXT: tuple[type, ...] = (str,)
_TYPES: dict[str, tuple[type, ...]] = {
    "venue": _TEXT,
    "symbol": _TEXT,
    "instrument": _TEXT,
    "account": _TEXT,
    "status": _TEXT,
    "event_time": (int,),
    "is_cross": (bool,),
}
