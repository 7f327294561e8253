"""Which times may become the latest of a market, where a mapper remembers what the latest frame said.

Pure; used by mappers whose events carry what earlier frames said. Times far ahead are refused by `wire.timely`.
"""

from liqheat.platform.errors import PoisonMessage

MOST_BEHIND_MS = 300_000
"""Frames of one market come in order, but for what is sent while a socket is renewed."""


class Latest:
    """Remembers the latest time of each market, and one that lies far behind, if it came last."""

    def __init__(self) -> None:
        self._times: dict[str, int] = {}
        self._odd: dict[str, int] = {}

    def take(self, name: str, time: int, received_at: int = 0) -> int:
        """Note a time (ms) of `name` and return it; a second one far behind, near the first, begins an older recording.

        One that is `received_at` is not of the frame, and is not noted.

        Raises:
            PoisonMessage: it is far behind the latest, so that what it says is not of now.
        """
        if time == received_at:
            return time
        latest = self._times.get(name, time)
        odd = self._odd.pop(name, None)
        if time >= latest - MOST_BEHIND_MS:
            self._times[name] = max(latest, time)
        elif odd is not None and abs(time - odd) <= MOST_BEHIND_MS:
            self._times[name] = time
        else:
            self._odd[name] = time
            behind = (latest - time) / 1_000
            raise PoisonMessage(f"Expected a time near the latest of its market, was {time}, {behind:,.0f} s behind")
        return time
