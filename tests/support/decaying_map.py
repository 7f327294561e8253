"""A map like that of the model, without the model: layers that decay, are opened at a distance, and are swept.

For measurements of storage and queries, whose cost depends on what rows look like and not on whether they are right.
One market's minutes come as columns of `Kind.HEATMAP_LEVELS`; nothing of the engine is used.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from liqheat.domain.market import LEVERAGE_BAND_FLOORS, LEVERAGE_BANDS
from liqheat.domain.price_grid import DEFAULT_FACTOR, bucket_of, middle
from liqheat.domain.windows import MINUTE_MS

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_HALF_LIVES = np.array([0.25, 2.0, 12.0, 72.0, 400.0]) * 60.0
_SHARES = np.array([0.4, 0.25, 0.2, 0.1, 0.05])
_KEPT = 2.0 ** (-1.0 / _HALF_LIVES)
_LONG, _SHORT = 0, 1


def rounded(amounts: FloatArray, digits: int = 3) -> IntArray:
    """Return USD as micro-USD with `digits` significant digits."""
    micro = np.rint(np.maximum(amounts, 0.0) * 1e6)
    size = np.floor(np.log10(np.maximum(micro, 1.0)))
    step = 10.0 ** np.maximum(size - digits + 1, 0.0)
    return np.asarray(np.rint(micro / step) * step, dtype=np.int64)


@dataclass(slots=True)
class DecayingMap:
    """One market; `turnover` is USD per minute on average."""

    seed: int
    price: float = 1.0
    turnover: float = 20_000.0
    volatility: float = 0.0007
    reach: float = 0.45
    digits: int = 3
    flow_digits: int = 3
    generator: np.random.Generator = field(init=False)
    centres: FloatArray = field(init=False)
    first: int = field(init=False)
    standing: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        self.generator = np.random.default_rng(self.seed)
        low, high = bucket_of(
            np.array([self.price * (1 - self.reach), self.price * (1 + 1.3 * self.reach)]), DEFAULT_FACTOR
        )
        self.first = int(low)
        self.centres = middle(np.arange(low, high + 1), DEFAULT_FACTOR)
        # side, band, layer, bucket
        self.standing = np.zeros((2, len(LEVERAGE_BANDS), _HALF_LIVES.size, self.centres.size))

    def minutes(self, start: int, count: int, warm_up: int = 2_000) -> Iterator[dict[str, object]]:
        """Yield the rows of each minute as columns of lists, after `warm_up` minutes that are not shown."""
        for minute in range(-warm_up, count):
            flows = self._step()
            if minute >= 0:
                yield self._rows(start + minute * MINUTE_MS, *flows)

    def _step(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        before = self.standing
        kept = before * _KEPT[:, None]
        closed = (before - kept).sum(axis=2)
        move = self.generator.standard_t(4) * self.volatility
        low, high = sorted((self.price, self.price * float(np.exp(move))))
        low, high = low * (1 - 0.3 * self.volatility), high * (1 + 0.3 * self.volatility)
        touched = (self.centres > low * 0.998) & (self.centres < high * 1.002)
        swept = np.where(touched, kept, 0.0).sum(axis=2)
        kept[..., touched] = 0.0
        self.price *= float(np.exp(move))
        amount = self.turnover * float(self.generator.lognormal(-0.5, 1.0))
        opened = np.zeros_like(swept)
        for side, distance in ((_LONG, 1 - self.centres / self.price), (_SHORT, self.centres / self.price - 1)):
            reachable = distance > 0.002
            density = np.zeros_like(distance)
            logs = np.log(distance[reachable])
            density[reachable] = np.exp(-((logs - np.log(0.06)) ** 2) / (2 * 0.9**2)) / distance[reachable]
            band = np.searchsorted(LEVERAGE_BAND_FLOORS, 1 / np.maximum(distance, 1e-9), side="right") - 1
            share = density / density.sum() * amount / 2
            for index in range(len(LEVERAGE_BANDS)):
                opened[side, index] = np.where((np.maximum(band, 0) == index) & ~touched, share, 0.0)
        self.standing = kept + opened[:, :, None, :] * _SHARES[:, None]
        return opened, closed, swept

    def _rows(self, window_start: int, opened: FloatArray, closed: FloatArray, swept: FloatArray) -> dict[str, object]:
        at_risk = rounded(self.standing[:, :, 2:].sum(axis=2) * 8, self.digits)
        expected = rounded(self.standing.sum(axis=2) * 0.3, self.digits)
        flows = [rounded(flow, self.flow_digits) for flow in (opened, closed, swept)]
        columns: dict[str, list[object]] = {
            name: [] for name in ("side", "leverage_band", "bucket", *_AMOUNTS, "confidence")
        }
        for side in (_LONG, _SHORT):
            for band, name in enumerate(LEVERAGE_BANDS):
                values = [at_risk[side, band], expected[side, band], *(flow[side, band] for flow in flows)]
                used = np.flatnonzero(np.logical_or.reduce([value > 0 for value in values]))
                if not used.size:
                    continue
                columns["side"].append(1 if side == _LONG else -1)
                columns["leverage_band"].append(name)
                columns["bucket"].append((used + self.first).tolist())
                for column, value in zip(_AMOUNTS, [*values, np.zeros_like(values[0])], strict=True):
                    columns[column].append(value[used].tolist())
                columns["confidence"].append([0.6] * used.size)
        return {"window_start": window_start, **columns}


_AMOUNTS = ("at_risk_usd", "expected_usd", "opened_usd", "closed_usd", "swept_usd", "liquidated_usd")
