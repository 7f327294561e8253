"""What the mappers of all venues share: which instruments are wanted, what was seen twice, and what was left out.

A venue's mapper extends `BaseMapper` with `events_of`, which finds the reader of a frame in a table of names.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

from ingest.venues.answers import JSON_STARTS, PONG, notice_in
from ingest.venues.instrument_book import InstrumentBook
from ingest.venues.values import is_already_subscribed
from ingest.venues.wire import Report
from liqheat.domain.events import Event
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Venue
from liqheat.platform.errors import PoisonMessage


class BaseMapper(ABC):
    """See `ingest.venues.interface.Mapper`.

    Args:
        instruments: the only ones wanted; None for every linear perpetual that a frame names, as in recordings, where
            nobody reads the trades of a hole by REST.
        contract_values: coins per contract by the venue's name, for a venue that counts in contracts and no
            listing was read; what instruments carry themselves is used as well.
    """

    venue: Venue

    def __init__(
        self, instruments: Sequence[Instrument] | None = None, contract_values: Mapping[str, float] | None = None
    ) -> None:
        self.duplicates = 0
        self.report = Report()
        self.instruments = InstrumentBook(self.venue, instruments)
        self.on_late = self._notice_late if instruments is None else None
        """Called for each trade behind a later one, where such trades count; see `TradeNumbers`."""
        self.contract_values = {item.name: item.contract_value * item.coins_per_unit for item in instruments or ()}
        self.contract_values.update(contract_values or {})

    def want(self, instruments: Sequence[Instrument]) -> None:
        """Map exactly these instruments from now on, at the contract values that they carry."""
        self.instruments.want(instruments)
        self.contract_values.update({item.name: item.contract_value * item.coins_per_unit for item in instruments})

    def map(self, frame: bytes, received_at: int) -> Iterator[Event]:
        """Yield the events of a frame, and say at its end what was left out or is missing; see `Mapper.map`."""
        report = self.report
        report.begin()
        if frame[:1] not in JSON_STARTS and (notice := notice_in(frame)):
            report.notice(notice, (PONG,))
            return
        yield from self.events_of(frame, received_at)
        if report.refused or report.gaps:
            report.finish()

    def take_refusal(self, text: object, sentence: str) -> None:
        """Take a venue's refusal `text` of what was asked; that something is subscribed already is only a notice.

        Raises:
            PoisonMessage: with `sentence`, where anything else is refused.
        """
        if not is_already_subscribed(text):
            raise PoisonMessage(sentence)
        self.report.notice("already subscribed")

    def _notice_late(self) -> None:
        self.report.notice("trade behind a later one")

    @abstractmethod
    def events_of(self, frame: bytes, received_at: int) -> Iterator[Event]:
        """Return the events of a frame, oldest first; rows that cannot be read go to `report`.

        Raises:
            PoisonMessage: nothing of the frame can be read.
        """
