"""What was left out of frames, counted by symbol and said once: rows that cannot be read, and notices.

A bad row may come every second, so it is counted each time, but logged and kept as a dead letter only the first time
for its instrument and its kind of fault.
"""

import re
from collections import Counter
from collections.abc import Container, Iterable, Mapping

import structlog

from ingest.publisher import Publisher
from ingest.venues.wire import Refusal
from liqheat.domain.market import Venue
from liqheat.platform import metrics
from liqheat.platform.errors import Origin
from liqheat.platform.seen import Recent

log = structlog.get_logger(__name__)

_MOST_TYPES = 100
"""More types of notice than this are counted together, so that no venue can fill the metrics."""
_OTHER = "other"


class RefusalLog:
    """Counts refused rows and notices of one venue."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._said = Recent()
        self._types: set[str] = set()

    def take(
        self, refusals: Iterable[Refusal], known: Container[str], stream: str, publisher: Publisher | None = None
    ) -> None:
        """Count rows that were left out of a frame of `stream`; the first of its kind is logged and kept.

        `known` holds the names of the instruments in use, which are counted by name; others are counted together.
        """
        for refusal in refusals:
            label = refusal.instrument if refusal.instrument in known else _OTHER
            metrics.ROWS_REFUSED.labels(self._venue.value, label).inc()
            if not self._said.add((refusal.instrument, re.sub(r"\d+", "#", refusal.reason))):
                continue
            log.warning(
                "A row was left out; its like is only counted from now on",
                venue=self._venue.value,
                stream=stream,
                instrument=refusal.instrument,
                reason=refusal.reason,
            )
            if publisher is not None and refusal.row:
                reason = f"{refusal.instrument}: {refusal.reason}"
                publisher.dead_letter(refusal.row, reason, Origin(f"{self._venue.value}:{stream}"))

    def notice(self, notices: Mapping[str, int], reported: Counter[str]) -> None:
        """Count notices beyond those `reported`, which is brought up to date; a new type is logged."""
        for kind, count in notices.items():
            if not (new := count - reported[kind]):
                continue
            reported[kind] = count
            if kind not in self._types and len(self._types) < _MOST_TYPES:
                self._types.add(kind)
                log.info(
                    "A notice of the venue; its type is only counted from now on", venue=self._venue.value, type=kind
                )
            metrics.NOTICES.labels(self._venue.value, kind if kind in self._types else _OTHER).inc(new)
