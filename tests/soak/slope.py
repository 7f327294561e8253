"""How a series grows: the least-squares line through samples, its first part left out. Pure."""

from collections.abc import Sequence

WARM_UP_SHARE = 0.25
"""Of the time: caches fill, pools open, the history is read."""


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """Return the growth per unit of time of (time, value) samples after the warm-up; 0 for fewer than three."""
    if not samples:
        return 0.0
    begun = samples[0][0] + WARM_UP_SHARE * (samples[-1][0] - samples[0][0])
    settled = [sample for sample in samples if sample[0] >= begun]
    if len(settled) < 3:
        return 0.0
    middle = sum(time for time, _ in settled) / len(settled)
    mean = sum(value for _, value in settled) / len(settled)
    spread = sum((time - middle) ** 2 for time, _ in settled)
    return sum((time - middle) * (value - mean) for time, value in settled) / spread
