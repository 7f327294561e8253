"""When a child that has ended is started again: with back-off, within a limit, and not at all where it cannot help.

Pure: the supervisor gives the time and acts on the answer.
"""

from dataclasses import dataclass, field

CONFIGURATION_STATUS = 2
"""The exit status of a wrong setting; the same command would end the same way."""


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """At most `limit` restarts of one child within `window` seconds, waiting 1, 2, 4 ... at most `longest` seconds."""

    limit: int = 8
    window: float = 600.0
    longest: float = 30.0


@dataclass(slots=True)
class Restarts:
    """The restarts of one child; times are monotonic seconds."""

    policy: RestartPolicy
    due: float | None = None
    """When to start it again, None while it runs."""
    _at: list[float] = field(default_factory=list)

    def ended(self, status: int, now: float) -> float | None:
        """Note an end with exit status `status`; return the seconds to wait, None where it is given up."""
        recent = [moment for moment in self._at if now - moment < self.policy.window]
        if status == CONFIGURATION_STATUS or len(recent) >= self.policy.limit:
            return None
        wait = min(self.policy.longest, 2.0 ** len(recent))
        self._at = [*recent, now]
        self.due = now + wait
        return wait

    def started(self) -> None:
        """Note that it runs again."""
        self.due = None

    @property
    def count(self) -> int:
        """Restarts within the window, as of the last end."""
        return len(self._at)
