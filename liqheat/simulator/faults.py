"""Faults on demand: what goes wrong between a venue and its clients, by probability or exactly when asked for.

The server asks before each frame it sends and each request it answers. Probabilities are drawn from a seeded
generator of their own, so that faults change nothing of the markets.
"""

import json
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from liqheat.domain.market import Venue
from liqheat.platform.errors import ConfigurationError


class Fault(StrEnum):
    """What can go wrong."""

    DISCONNECT = "disconnect"
    """The socket is cut before the frame."""
    GAP = "gap"
    """The frame is lost; the ids of its trades stay used."""
    DUPLICATE = "duplicate"
    """The frame comes twice."""
    MALFORMED = "malformed"
    """The frame is cut in the middle."""
    UNSUBSCRIBE = "unsubscribe"
    """The subscription is lost without a word."""
    RATE_LIMIT = "rate_limit"
    """A request is answered 429."""
    BAN = "ban"
    """A request is answered 418."""
    MAINTENANCE = "maintenance"
    """A request is answered 503."""
    BUSY = "busy"
    """A request is answered 200 with the venue's code for "too many" in the body; 503 where it has none."""
    FORBIDDEN = "forbidden"
    """A request is answered 403, as Bybit bans."""
    PAGE = "page"
    """A request is answered 200 with a web page."""
    NOTICE = "notice"
    """The frame follows a notice of a type that nobody knows."""
    NEW_FIELD = "new_field"
    """The frame has a field more than is documented."""


FRAME_FAULTS = (
    Fault.DISCONNECT,
    Fault.GAP,
    Fault.DUPLICATE,
    Fault.MALFORMED,
    Fault.UNSUBSCRIBE,
    Fault.NOTICE,
    Fault.NEW_FIELD,
)
STATUSES: dict[Fault, int] = {
    Fault.RATE_LIMIT: 429,
    Fault.BAN: 418,
    Fault.MAINTENANCE: 503,
    Fault.BUSY: 200,
    Fault.FORBIDDEN: 403,
    Fault.PAGE: 200,
}
_BUSY_BODIES: dict[str, dict[str, object]] = {
    "bybit": {"retCode": 10006, "retMsg": "Too many visits!", "result": {}, "retExtInfo": {}},
    "okx": {"code": "50011", "msg": "Too Many Requests", "data": []},
}


def answer_to(fault: Fault, venue: str, retry_after: int) -> tuple[int, str, dict[str, str]]:
    """Return status, body and headers of a request that `fault` happens to."""
    if fault is Fault.PAGE:
        return 200, "<html><title>checking your browser</title></html>", {"Content-Type": "text/html"}
    if fault is Fault.FORBIDDEN:
        return 403, "access too frequent", {"Content-Type": "text/plain"}
    headers = {"Content-Type": "application/json"}
    if fault is Fault.BUSY and venue in _BUSY_BODIES:
        return 200, json.dumps(_BUSY_BODIES[venue]), headers
    status = 503 if fault is Fault.BUSY else STATUSES[fault]
    message = "System is under maintenance." if status == 503 else "Too many requests."
    return status, json.dumps({"code": -1003, "msg": message}), headers | {"Retry-After": str(retry_after)}


def with_new_field(text: str) -> str:
    """Return a frame with a field more; one that is no object stays as it is."""
    return f'{{"simulatedField":1,{text[1:]}' if text[:1] == "{" and len(text) > 2 else text


@dataclass(slots=True)
class Trigger:
    """A fault that happens to the next `count` frames or requests that match; empty fields match all."""

    fault: Fault
    count: int = 1
    venue: str = ""
    match: str = ""
    """A part of the topic or the path."""

    def fits(self, venue: Venue, what: str) -> bool:
        """Return whether it is meant for this frame or request."""
        return self.count > 0 and self.venue in ("", venue) and self.match in what


class Faults:
    """Decides which fault, if any, happens next; counts what it did in `injected`."""

    def __init__(self, probabilities: dict[Fault, float] | None = None, seed: int = 0) -> None:
        self.probabilities: dict[Fault, float] = {}
        self.injected: Counter[str] = Counter()
        self._triggers: list[Trigger] = []
        self._generator = np.random.default_rng(seed)
        for fault, probability in (probabilities or {}).items():
            self.set_probability(fault, probability)

    def set_probability(self, fault: Fault, probability: float) -> None:
        """Let `fault` happen to this share of frames or requests.

        Raises:
            ConfigurationError: the probability is not in [0, 1].
        """
        if not 0 <= probability <= 1:
            raise ConfigurationError(f"Expected a probability from 0 to 1 for {fault.value}, was {probability}")
        self.probabilities[fault] = probability

    def trigger(self, trigger: Trigger) -> None:
        """Let a fault happen as soon as a frame or request fits."""
        self._triggers.append(trigger)

    def clear(self) -> None:
        """Let nothing go wrong from now on; what happened stays counted."""
        self.probabilities.clear()
        self._triggers.clear()

    def for_frame(self, venue: Venue, topic: str) -> Fault | None:
        """Return what happens to a frame of `topic`."""
        return self._next(FRAME_FAULTS, venue, topic)

    def for_request(self, venue: Venue, path: str) -> Fault | None:
        """Return what happens to a request of `path`."""
        return self._next(tuple(STATUSES), venue, path)

    def _next(self, candidates: tuple[Fault, ...], venue: Venue, what: str) -> Fault | None:
        for trigger in self._triggers:
            if trigger.fault in candidates and trigger.fits(venue, what):
                trigger.count -= 1
                self._triggers = [each for each in self._triggers if each.count > 0]
                self.injected[trigger.fault.value] += 1
                return trigger.fault
        for fault in candidates:
            probability = self.probabilities.get(fault, 0.0)
            if probability and self._generator.random() < probability:
                self.injected[fault.value] += 1
                return fault
        return None


def parse_faults(pairs: list[str]) -> dict[Fault, float]:
    """Read `NAME=PROBABILITY` pairs.

    Raises:
        ConfigurationError: an unknown name, or no probability.
    """
    faults: dict[Fault, float] = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        try:
            faults[Fault(name)] = float(text)
        except ValueError:
            known = ", ".join(fault.value for fault in Fault)
            raise ConfigurationError(
                f"Expected a fault as NAME=PROBABILITY with a name out of {known}, was {pair!r}"
            ) from None
    return faults
