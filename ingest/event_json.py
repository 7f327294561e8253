"""Events as one JSON object per line, for people and scripts: sides in words, what a venue does not say as null."""

from typing import Any

import msgspec

from liqheat.domain.events import KIND_OF, Event
from liqheat.domain.market import Side, TakerSide

_ENCODER = msgspec.json.Encoder()
_UNKNOWN = {"next_funding_time": 0, "funding_interval": 0, "trade_id": -1}
"""The value of a column for "the venue does not say"."""


def event_line(event: Event) -> bytes:
    """Return `event` as a JSON line: `kind, venue, symbol, instrument, event_time` and the fields of its kind.

    `side` is `long` or `short`, `taker_side` `buy` or `sell`; NaN, an unknown time and no id are null.
    """
    fields: dict[str, Any] = {"kind": KIND_OF[type(event)].value, **msgspec.structs.asdict(event)}
    if "side" in fields:
        fields["side"] = Side(fields["side"]).label
    if "taker_side" in fields:
        fields["taker_side"] = TakerSide(fields["taker_side"]).label
    for name, unknown in _UNKNOWN.items():
        if fields.get(name) == unknown:
            fields[name] = None
    return _ENCODER.encode(fields) + b"\n"
