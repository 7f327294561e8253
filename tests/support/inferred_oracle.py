"""The inferred model written a second time, for one market, in plain Python: slow, by the cell, from docs/model.md.

It shares the constants and the price grid with the model, and nothing else.
"""

import math
from dataclasses import dataclass, field

from liqheat.domain.price_grid import bucket_of, lower_edge
from processors.positions.distances import (
    AT_RISK_HALF_LIFE,
    BAND_EDGES,
    BAND_SHARES,
    DISTANCE_DEVIATION,
    LAYER_HALF_LIVES,
    LAYER_WEIGHTS,
    MEDIAN_DISTANCE,
    OLDEST,
    PRIOR_EXECUTED_SHARE,
    UNIT,
)
from processors.positions.evidence import BAND_WEIGHT, KAPPA_WEIGHT, MEMORY_MINUTES, TELLING
from processors.positions.older import FIRST_MINUTES, PRIOR_MINUTE_VARIANCE

BANDS = range(len(BAND_SHARES))


@dataclass
class Minute:
    """What closes: end in minutes, minutes elapsed, marks, turnover and entry in USD, open interest in coins."""

    end: int
    elapsed: int
    low: float
    high: float
    close: float
    turnover: float
    entry: float
    interest: float
    executed: tuple[float, float]
    known: bool


def expected_share(distance: float) -> float:
    if distance <= 0:
        return 0.0
    return 0.5 * (1 + math.erf(math.log(distance / MEDIAN_DISTANCE) / DISTANCE_DEVIATION / math.sqrt(2)))


def band_share(distance: float, band: int) -> float:
    low, high = (0.0 if band == 0 else BAND_EDGES[band]), BAND_EDGES[band + 1]
    if band == 0:
        low = BAND_EDGES[0]
    return min(max((distance - low) / (high - low), 0.0), 1.0)


def onward_parts() -> list[float]:
    """Chance that what leaves a stage goes on to the next, from matching the survival at a time per stage."""
    rates = [math.log(2) / half_life for half_life in LAYER_HALF_LIVES]
    rest, parts = [weight / sum(LAYER_WEIGHTS) for weight in LAYER_WEIGHTS], []
    for stage in range(len(rates) - 1):
        rest = [w * (rates[stage] - r) / rates[stage] for w, r in zip(rest[1:], rates[stage + 1 :], strict=True)]
        parts.append(sum(rest))
        rest = [w / sum(rest) for w in rest]
    return [*parts, 0.0]


@dataclass
class Oracle:
    """One market whose symbol has no other venue. Cells are USD by (bucket); no rounding to units."""

    first: int
    count: int
    phase: int
    periods: tuple[int, ...]
    layers: list[dict[int, float]] = field(default_factory=lambda: [{} for _ in LAYER_HALF_LIVES])
    bands: list[dict[int, float]] = field(default_factory=lambda: [{} for _ in BANDS])
    close_price: float = math.nan
    anchor: float = math.nan
    traded: float = 0.0
    traded_value: float = 0.0
    swept_since: list[list[float]] = field(default_factory=lambda: [[0.0] * len(BAND_SHARES) for _ in range(2)])
    pending_expected: float = 0.0
    pending_bands: list[list[float]] = field(default_factory=lambda: [[0.0] * len(BAND_SHARES) for _ in range(2)])
    pending_executed: list[float] = field(default_factory=lambda: [0.0, 0.0])
    executed: float = 0.0
    swept: float = 0.0
    band_executed: list[float] = field(default_factory=lambda: [0.0] * len(BAND_SHARES))
    band_swept: list[float] = field(default_factory=lambda: [0.0] * len(BAND_SHARES))
    kappa: float = 1.0
    multipliers: list[float] = field(default_factory=lambda: [1.0] * len(BAND_SHARES))
    watched: int = 0
    watched_usd: float = 0.0
    watched_moves: float = 0.0
    has_older: bool = False

    def __post_init__(self) -> None:
        edges = lower_edge(range(self.first, self.first + self.count + 1)).tolist()
        self.places = [round(math.log(edge) / UNIT) for edge in edges]

    def take(self, minute: Minute) -> tuple[float, float]:
        """Close a minute; return what was expected of its range, longs and shorts."""
        if math.isnan(self.close_price):
            self.close_price = minute.close
        expected = self._sweep(minute)
        self.watched_moves += (math.log(minute.close) - math.log(self.close_price)) ** 2
        self.close_price = minute.close
        own = int(bucket_of(minute.close))
        for cells in (*self.layers, *self.bands):
            cells.pop(own, None)
        self.traded += minute.turnover
        self.traded_value += minute.turnover * minute.entry
        end = minute.end + self.phase
        updates = end // 60 - (end - minute.elapsed) // 60
        if updates:
            self._learn(updates, minute)
        self._age(end, minute.elapsed)
        self._open_layers(minute)
        self._open_older(minute)
        steps = end // 5 - (end - minute.elapsed) // 5
        if steps:
            self._step(steps * 5, minute)
        return expected

    def _sweep(self, minute: Minute) -> tuple[float, float]:
        low, high = min(minute.low, self.close_price), max(minute.high, self.close_price)
        middle = int(bucket_of(self.close_price))
        expected, bands = [0.0, 0.0], [[0.0] * len(BAND_SHARES) for _ in range(2)]
        for bucket in range(int(bucket_of(low)), int(bucket_of(high)) + 1):
            lower, upper = float(lower_edge(bucket)), float(lower_edge(bucket + 1))
            part = (min(high, upper) - max(low, lower)) / (upper - lower)
            side = 0 if bucket < middle else 1
            for cells in self.layers:
                taken = cells.get(bucket, 0.0) * part
                expected[side] += taken
                if taken:
                    cells[bucket] -= taken
            for band, cells in enumerate(self.bands):
                taken = cells.get(bucket, 0.0) * part
                bands[side][band] += taken
                if taken:
                    cells[bucket] -= taken
        for side in range(2):
            for band in BANDS:
                self.swept_since[side][band] += bands[side][band]
                if minute.known:
                    self.pending_bands[side][band] += bands[side][band]
            if minute.known:
                self.pending_executed[side] += minute.executed[side]
                self.pending_expected += expected[side]
        return expected[0] * self.kappa, expected[1] * self.kappa

    def _learn(self, updates: int, minute: Minute) -> None:
        fade = 0.5 ** (updates * 60 / MEMORY_MINUTES)
        self.executed = self.executed * fade + sum(self.pending_executed)
        self.swept = self.swept * fade + self.pending_expected
        for band in BANDS:
            self.band_executed[band] *= fade
            self.band_swept[band] = self.band_swept[band] * fade + sum(side[band] for side in self.pending_bands)
        for swept, died in zip(self.pending_bands, self.pending_executed, strict=True):
            whole = sum(usd * multiple for usd, multiple in zip(swept, self.multipliers, strict=True))
            for band in BANDS:
                if whole:
                    self.band_executed[band] += died * swept[band] * self.multipliers[band] / whole
        usd = minute.interest * minute.close
        weight = KAPPA_WEIGHT * usd
        symbol = (self.executed + weight) / (self.swept + weight)
        self.kappa = (self.executed + weight * symbol) / (self.swept + weight)
        for band, share in enumerate(BAND_SHARES):
            weight = BAND_WEIGHT * usd * share
            ratio = (self.band_executed[band] + weight) / (self.band_swept[band] + weight)
            self.multipliers[band] = ratio**TELLING
        whole = sum(share * multiple for share, multiple in zip(BAND_SHARES, self.multipliers, strict=True))
        self.multipliers = [multiple / max(whole, 1.0) for multiple in self.multipliers]
        self.pending_expected, self.pending_executed = 0.0, [0.0, 0.0]
        self.pending_bands = [[0.0] * len(BAND_SHARES) for _ in range(2)]

    def _age(self, end: int, elapsed: int) -> None:
        onward = onward_parts()
        for stage in reversed(range(len(self.layers))):
            period = self.periods[stage]
            steps = end // period - (end - elapsed) // period
            keep = 0.5 ** (steps * period / LAYER_HALF_LIVES[stage])
            for bucket, usd in list(self.layers[stage].items()):
                self.layers[stage][bucket] = usd * keep
                if stage + 1 < len(self.layers):
                    further = self.layers[stage + 1]
                    further[bucket] = further.get(bucket, 0.0) + usd * (1 - keep) * onward[stage]

    def _open_layers(self, minute: Minute) -> None:
        for bucket, low, high in self._free_buckets(minute.entry):
            share = expected_share(high) - expected_share(low)
            usd = minute.turnover * PRIOR_EXECUTED_SHARE * share
            self.layers[0][bucket] = self.layers[0].get(bucket, 0.0) + usd

    def _open_older(self, minute: Minute) -> None:
        self.watched += minute.elapsed
        self.watched_usd += minute.turnover
        if self.has_older or self.watched < FIRST_MINUTES or not self.watched_usd:
            return
        self.has_older = True
        variance = self.watched_moves + FIRST_MINUTES * PRIOR_MINUTE_VARIANCE
        deviation = math.sqrt(variance / (self.watched + FIRST_MINUTES))
        come = 1.0
        for stage, part in enumerate(onward_parts()):
            life = LAYER_HALF_LIVES[stage] / math.log(2)
            age = life * (1 - math.exp(-OLDEST / life))
            for bucket, low, high in self._free_buckets(minute.entry) if stage else ():
                share = expected_share(high) - expected_share(low)
                left = 1 - math.exp(-(low + high) / 2 * math.sqrt(2 / age) / deviation)
                usd = self.watched_usd / self.watched * PRIOR_EXECUTED_SHARE * come * age * share * left
                self.layers[stage][bucket] = self.layers[stage].get(bucket, 0.0) + usd
            come *= part

    def _step(self, minutes: int, minute: Minute) -> None:
        keep = 0.5 ** (minutes / AT_RISK_HALF_LIFE)
        first = math.isnan(self.anchor)
        entry = self.traded_value / self.traded if self.traded else minute.close
        for band, share in enumerate(BAND_SHARES):
            for side in range(2):
                whole = minute.interest * minute.close * share
                grown = whole if first else (minute.interest - self.anchor) * minute.close * share
                replaced = 0.0 if first else (1 - keep) * whole
                change = grown + replaced + self.swept_since[side][band]
                kept, mark = keep * max(1 + min(change, 0.0) / whole, 0.0), int(bucket_of(minute.close))
                for bucket in self.bands[band]:
                    if (bucket < mark) == (side == 0):
                        self.bands[band][bucket] *= kept
                if change > 0:
                    for bucket, low, high in self._free_buckets(entry):
                        if (bucket < mark) == (side == 0):
                            usd = change * (band_share(high, band) - band_share(low, band))
                            self.bands[band][bucket] = self.bands[band].get(bucket, 0.0) + usd
        self.anchor = minute.interest
        self.traded = self.traded_value = 0.0
        self.swept_since = [[0.0] * len(BAND_SHARES) for _ in range(2)]

    def _free_buckets(self, entry: float) -> list[tuple[int, float, float]]:
        """Buckets that may be opened into, with the log distances of their near and far edge from the entry."""
        own, mark = int(bucket_of(entry)), int(bucket_of(self.close_price))
        place = round(math.log(entry) / UNIT)
        found = []
        for bucket in range(self.first, self.first + self.count):
            if min(own, mark) <= bucket <= max(own, mark):
                continue
            edges = [abs(self.places[bucket - self.first + end] - place) * UNIT for end in (0, 1)]
            found.append((bucket, min(edges), max(edges)))
        return found
