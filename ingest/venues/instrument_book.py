"""Which instruments a mapper maps, by the venue's names."""

from collections.abc import Sequence

from ingest.venues.wire import NO_NAME
from liqheat.domain.instruments import Instrument, parse_instrument
from liqheat.domain.market import Venue
from liqheat.platform.errors import PoisonMessage


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
        """Return the instrument; None where it is not wanted or no linear USD perpetual; no name is poison."""
        try:
            return self._known[name]
        except KeyError:
            if not name:
                raise PoisonMessage(NO_NAME) from None
            if not self._is_open:
                return None
            instrument = parse_instrument(self._venue, name)
            if instrument is None:
                self.ignored[name] = "not a linear USDT or USDC perpetual"
            self._known[name] = instrument
            return instrument

    def want(self, instruments: Sequence[Instrument]) -> None:
        """Take exactly these instruments from now on; one of a known name replaces it."""
        self._is_open = False
        self._known = {item.name: item for item in instruments}
