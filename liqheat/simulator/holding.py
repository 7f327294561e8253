"""How long positions are held: a power law of age, cut off at a longest life.

Used by `people` for those who come and for the stock that is there when a market opens. The share still open at
age `a` is `(1 + a / scale) ** -exponent`: many leave within the hour, a tail stays for weeks. Of a stock that such
lives have built up, most is old, so that far more of it than of the fresh is still open a day later.
"""

from dataclasses import dataclass

import numpy as np

from liqheat.simulator.tape import FloatArray


@dataclass(frozen=True, slots=True)
class Holding:
    """A power law of lives, in hours; `exponent` between 0 and 1 (both excluded) or above 1."""

    exponent: float = 0.5
    scale_hours: float = 0.2
    longest_hours: float = 90 * 24.0

    @property
    def mean_hours(self) -> float:
        """Mean life."""
        return float(self._survived(np.float64(self.longest_hours)))

    def lives(self, chance: FloatArray) -> FloatArray:
        """Return lives, hours, of uniform numbers in [0, 1)."""
        return self.lives_beyond(np.zeros_like(chance), chance)

    def ages(self, chance: FloatArray) -> FloatArray:
        """Return the ages, hours, that a position held has in the long run, of uniform numbers in [0, 1)."""
        power = 1 - self.exponent
        grown = chance * self.mean_hours * power / self.scale_hours + 1
        return np.asarray(self.scale_hours * (grown ** (1 / power) - 1))

    def lives_beyond(self, ages: FloatArray, chance: FloatArray) -> FloatArray:
        """Return whole lives, hours, of positions that have reached `ages` already."""
        grown = (1 + ages / self.scale_hours) * (1 - chance) ** (-1 / self.exponent)
        return np.minimum(self.scale_hours * (grown - 1), self.longest_hours)

    def _survived(self, age: FloatArray | np.float64) -> FloatArray:
        """Return the integral of the share still open from 0 to `age`, hours."""
        power = 1 - self.exponent
        return np.asarray(self.scale_hours / power * ((1 + age / self.scale_hours) ** power - 1))
