"""What the mappers of all venues share: sane raw numbers, readable refusals, and a book of instruments.

Raw structs use these types, so that msgspec refuses NaN, infinity, negative prices and times in other units
while it decodes, and a mapper only ever sees numbers that a batch may hold.
"""

import math
from collections.abc import Sequence
from typing import Annotated, TypeVar

import msgspec

from liqheat.domain.events import NAN
from liqheat.domain.instruments import Instrument, parse_instrument
from liqheat.domain.market import Venue
from liqheat.platform.errors import PoisonMessage

T = TypeVar("T")

WirePrice = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
WireQuantity = Annotated[float, msgspec.Meta(ge=0, le=1e18)]
WireUsd = Annotated[float, msgspec.Meta(ge=0, le=1e15)]
WireLeverage = Annotated[float, msgspec.Meta(gt=0, le=1_000)]
WireDecimals = Annotated[int, msgspec.Meta(ge=0, le=30)]
WireTime = Annotated[int, msgspec.Meta(ge=0, le=4_102_444_800_000)]


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
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise PoisonMessage(f"Not {what}: {error}") from error


def number_or_nan(text: str | None) -> float:
    """Read a number that the venue may leave empty.

    Raises:
        PoisonMessage: there is text, and it is no finite number.
    """
    if not text:
        return NAN
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if not math.isfinite(value):
        raise PoisonMessage(f"Expected a number, was {text!r}")
    return value


class InstrumentBook:
    """Instruments by the venue's name, parsed once; what is left out is noted with its reason in `ignored`.

    Args:
        instruments: the only ones wanted; None for every linear USDT or USDC perpetual that is named.
    """

    def __init__(self, venue: Venue, instruments: Sequence[Instrument] | None = None) -> None:
        self.ignored: dict[str, str] = {}
        self._venue = venue
        self._is_open = instruments is None
        self._known: dict[str, Instrument | None] = {item.name: item for item in instruments or ()}

    def get(self, name: str) -> Instrument | None:
        """Return the instrument; None where it is not wanted or not a linear USDT or USDC perpetual."""
        try:
            return self._known[name]
        except KeyError:
            instrument = parse_instrument(self._venue, name)
            if instrument is None:
                self.ignored[name] = "not a linear USDT or USDC perpetual"
            self._known[name] = instrument if self._is_open else None
            return self._known[name]


def split(instruments: Sequence[Instrument], connections: int) -> list[tuple[Instrument, ...]]:
    """Spread instruments over at most `connections` sockets, evenly, none of them empty."""
    count = min(connections, len(instruments))
    return [tuple(instruments[index::count]) for index in range(count)]
