"""When a batch is due: by rows or by age, whichever comes first.

A policy is a setting and never changes; a state belongs to one batch at a time. Time is an argument.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """A batch is due at `rows` rows, or `age` seconds after its first row."""

    rows: int
    age: float


@dataclass(slots=True)
class BatchState:
    """What is known of the batch being gathered; times are seconds of a monotonic clock."""

    policy: BatchPolicy
    rows: int = 0
    started: float | None = None

    def add(self, rows: int, now: float) -> None:
        """Count rows in; the first ones start the batch's age."""
        self.rows += rows
        if self.started is None:
            self.started = now

    def due(self, now: float) -> bool:
        """Whether it is time to write; an empty batch never is."""
        if self.started is None:
            return False
        return self.rows >= self.policy.rows or now - self.started >= self.policy.age

    def remaining(self, now: float) -> float:
        """Return the seconds until the batch is due by age; the policy's age where nothing has begun."""
        if self.started is None:
            return self.policy.age
        return max(0.0, self.policy.age - (now - self.started))

    def clear(self) -> None:
        """Begin a new batch."""
        self.rows = 0
        self.started = None
