"""Positions that nobody publishes, as amounts on the fine price grid of every market: the statistical model.

The engine closes minutes here, many markets at once, and reads the map from here (`published`). Two families:
what is expected to be executed where price goes (layers of turnover, survival falling as a power of age), and what is
at risk there (bands of open interest by distance from entry). See docs/model.md.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from liqheat.domain.money import MAXIMUM_NOTIONAL_USD, MICRO_USD_PER_USD
from liqheat.domain.price_grid import FloatArray, IntArray, bucket_of, check_factor, lower_edge
from liqheat.domain.windows import MINUTE_MS
from processors.positions import inferred_codec
from processors.positions.distances import BANDS
from processors.positions.evidence import LEARNING_MINUTES
from processors.positions.fine_columns import by_side, own_level, per_level, scaled, shifted
from processors.positions.inferred_codec import MODEL_VERSION as MODEL_VERSION
from processors.positions.inferred_codec import SavedInferred as SavedInferred
from processors.positions.inferred_state import CLOSED, OPENED, SWEPT, InferredState
from processors.positions.learning import learn, note_minute
from processors.positions.minute_columns import MinuteColumns, mean_price, rows_of, turnover_of
from processors.positions.older import open_older
from processors.positions.opening import (
    BAND_PERIOD,
    age_layers,
    band_step,
    bands_opened,
    expected_shares,
    steps_between,
    whole_units,
)
from processors.positions.published import (
    Cells,
    FineMap,
    MarketFacts,
    Totals,
    cells_of,
    facts_of,
    fine_map,
    totals_of,
)
from processors.positions.sweeping import Sweep, published_by_side, sweep_of

CHUNK = 64
"""Markets worked on at once, so that their rows fit the processor's cache."""

DRIFT = 60
"""Fine buckets that the mark may leave its place in the middle before a row is moved after it."""

UNITS_PER_INTEREST = 1e10
"""Open interest in units of a market's amounts: fine enough for every bucket, and few digits to keep."""


@dataclass(frozen=True, slots=True, eq=False)
class MinuteFlows:
    """What a closing did, micro-USD by side, each of shape (n, 2), longs first.

    `expected_swept` is what was predicted for the range that the minute went, with what was known before it.
    """

    expected_swept: IntArray
    at_risk_swept: IntArray
    opened: IntArray
    closed: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """Copies of markets' rows, to undo what `close` did to them."""

    markets: IntArray
    rows: dict[str, npt.NDArray[np.generic]]


class InferredPositions:
    """The inferred positions of many markets, by number in order of appearance.

    Deterministic: a market's rows depend on its own minutes and on its symbol's other venues alone, however many
    markets close together.
    """

    def __init__(self, grid_factor: int = 5) -> None:
        self.state = InferredState(check_factor(grid_factor))

    def add_market(self, venue: str, symbol: str) -> int:
        """Add a market of which nothing is known yet; return its number."""
        return self.state.add(venue, symbol)

    def close(self, markets: IntArray, minute: MinuteColumns) -> MinuteFlows:
        """Close one minute of each of `markets`, at most one of a symbol: sweep, age, open, and at times learn.

        Without any price yet a market stays as it is.
        """
        state, flows = self.state, np.zeros((4, len(markets), 2), dtype=np.int64)
        places = np.flatnonzero(np.isfinite(minute.mark_close))
        markets, minute = markets[places], rows_of(minute, places)
        if not markets.size:
            return MinuteFlows(*flows)
        self._begin(markets, minute)
        sweep = sweep_of(state, markets, minute.mark_low, minute.mark_high)
        flows[0, places] = scaled(sweep.expected, state.kappa[markets, None])
        flows[1, places] = published_by_side(sweep, len(markets))
        self._empty(markets, minute, sweep)
        end = minute.window_start // MINUTE_MS + 1 + state.phase[markets]
        is_step = steps_between(end, minute.elapsed_minutes, BAND_PERIOD) > 0
        note_minute(state, markets, minute, sweep)
        multipliers = state.multipliers[markets]
        learn(state, markets, minute, steps_between(end, minute.elapsed_minutes, LEARNING_MINUTES))
        for first in range(0, len(markets), CHUNK):
            part = slice(first, first + CHUNK)
            self._age_and_open(markets[part], rows_of(minute, part), end[part])
        # Learning falls on steps, so nothing else changes what is at risk.
        changes = np.flatnonzero(is_step)
        for first in range(0, len(changes), CHUNK):
            rows = changes[first : first + CHUNK]
            flows[2:, places[rows]] = self._renew(markets[rows], rows_of(minute, rows), end[rows], multipliers[rows])
        self._follow(markets)
        return MinuteFlows(*flows)

    def published(self, markets: IntArray) -> Cells:
        """Return the map of `markets` as it is after their last closing, with that minute's flows."""
        return cells_of(self.state, markets)

    def published_open(self, markets: IntArray, mark_low: FloatArray, mark_high: FloatArray) -> Cells:
        """Return the map as if the open minute's marks had emptied their range (USD, (n,)); changes nothing."""
        return cells_of(self.state, markets, sweep_of(self.state, *self._with_price(markets, mark_low, mark_high)))

    def totals(self, markets: IntArray) -> Totals:
        """Return the exact sums of the cells of `published`."""
        return totals_of(self.state, markets)

    def swept_so_far(self, markets: IntArray, mark_low: FloatArray, mark_high: FloatArray) -> Totals:
        """Return what marks from `mark_low` to `mark_high` (USD, (n,)) would empty; changes nothing."""
        at_risk, expected = np.zeros((2, len(markets), 2), dtype=np.int64)
        places = np.flatnonzero(np.isfinite(self.state.close[markets]))
        sweep = sweep_of(self.state, markets[places], mark_low[places], mark_high[places])
        at_risk[places] = published_by_side(sweep, len(places))
        expected[places] = scaled(sweep.expected, self.state.kappa[markets[places], None])
        return Totals(at_risk, expected)

    def fine(self, market: int) -> FineMap:
        """Return one market's map in fine buckets, as it is after its last closing, which it must have had."""
        return fine_map(self.state, market)

    def nearest(self, markets: IntArray) -> FloatArray:
        """Return where longs end and shorts begin, USD, (n, 2); NaN before a price."""
        close = self.state.close[markets]
        ends = np.full((len(markets), 2), np.nan)
        known = np.flatnonzero(np.isfinite(close))
        buckets = bucket_of(close[known])
        ends[known] = np.stack([lower_edge(buckets), lower_edge(buckets + 1)], axis=1)
        return ends

    def facts(self, markets: IntArray) -> MarketFacts:
        """Return what was learned of `markets` and how sure it is."""
        return facts_of(self.state, markets)

    def interval(self, markets: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return factors (n, 2): `expected_usd` times them bounds what is executed in an hour, 8 times in 10."""
        facts = self.facts(markets)
        return np.stack([facts.low] * 2, axis=1), np.stack([facts.high] * 2, axis=1)

    def take(self, markets: IntArray) -> Taken:
        """Return copies of all that `close` may change of `markets`."""
        return Taken(markets, {name: getattr(self.state, name)[markets] for name in self.state.columns})

    def put_back(self, taken: Taken) -> None:
        """Undo what was done to these markets since `take`."""
        for name, rows in taken.rows.items():
            getattr(self.state, name)[taken.markets] = rows

    def saved(self, market: int) -> SavedInferred:
        """Return a market's rows for a checkpoint; the flows of its last minute are left out."""
        return inferred_codec.saved(self.state, market)

    def restore(self, market: int, saved: SavedInferred) -> None:
        """Put saved rows into those of `market`; it goes on exactly as the saved one would have.

        Raises:
            ValueError: they are of another shape; the market is as before.
        """
        inferred_codec.restore(self.state, market, saved)

    def _with_price(
        self, markets: IntArray, low: FloatArray, high: FloatArray
    ) -> tuple[IntArray, FloatArray, FloatArray]:
        known = np.isfinite(self.state.close[markets])
        return markets[known], low[known], high[known]

    def _begin(self, markets: IntArray, minute: MinuteColumns) -> None:
        """Place new markets around their first mark, take the open interest, and start the minute's flows."""
        state = self.state
        interest = np.where(np.isnan(minute.open_interest), state.interest[markets], minute.open_interest)
        # Whatever a venue says of coins or price, the sums of the map stay within 64 bits.
        state.interest[markets] = np.minimum(interest, MAXIMUM_NOTIONAL_USD / minute.mark_close)
        new = np.isnan(state.close[markets])
        started = markets[new]
        state.base[started] = self._base(bucket_of(minute.mark_close[new]))
        state.close[started] = minute.mark_close[new]
        sized = (state.unit_bits[markets] < 0) & (state.interest[markets] > 0)
        usd = state.interest[markets[sized]] * minute.mark_close[sized]
        bits = np.floor(np.log2(np.maximum(usd * MICRO_USD_PER_USD / UNITS_PER_INTEREST, 1)))
        state.unit_bits[markets[sized]] = bits.astype(np.int64)
        unit = bits.astype(np.int64)[:, None, None]
        state.layers[markets[sized]] = state.layers[markets[sized]] >> unit << unit
        state.is_sampled[markets] = minute.is_sampled
        state.flows[markets] = 0
        state.flows_long[markets] = 0

    def _base(self, buckets: IntArray) -> IntArray:
        factor = self.state.factor
        return np.asarray(buckets // factor * factor - self.state.below)

    def _empty(self, markets: IntArray, minute: MinuteColumns, sweep: Sweep) -> None:
        """Take out what was swept, from mass and map; the mark is at its close then."""
        state = self.state
        market, level = markets[sweep.row], sweep.column // state.factor
        state.layers[market, :, sweep.column] -= sweep.layers
        state.bands[market, :, sweep.column] -= sweep.bands
        for band in range(BANDS):
            np.subtract.at(state.standing[:, band], (market, level), sweep.published[:, band])
            np.add.at(state.flows[:, SWEPT, band], (market, level), sweep.published[:, band])
        middle = (bucket_of(state.close[markets]) - state.base[markets]) // state.factor
        split = sweep.is_long & (level == middle[sweep.row])
        np.add.at(state.flows_long, (market[split], SWEPT), sweep.published[split])
        state.swept_since[markets] += sweep.bands_by_side
        state.close_before[markets] = state.close[markets]
        state.close[markets] = minute.mark_close
        self._clear_own_bucket(markets)

    def _clear_own_bucket(self, markets: IntArray) -> None:
        """Close what is left in the mark's own bucket: it has no side any more, and would be swept again and again."""
        state = self.state
        column = bucket_of(state.close[markets]) - state.base[markets]
        inside = np.flatnonzero((column >= 0) & (column < state.width))
        markets, column = markets[inside], column[inside]
        left = scaled(state.bands[markets, :, column], state.multipliers[markets])
        level = column // state.factor
        state.standing[markets, :, level] -= left
        state.flows[markets, CLOSED, :, level] += left
        state.bands[markets, :, column] = 0
        state.layers[markets, :, column] = 0

    def _age_and_open(self, markets: IntArray, minute: MinuteColumns, end: IntArray) -> None:
        state, units = self.state, self.state.units(markets)
        layers = age_layers(state.layers[markets], end, minute.elapsed_minutes, units)
        bases = state.base[markets]
        closes = bucket_of(minute.mark_close) - bases
        shares = expected_shares(bases, state.width, mean_price(minute), closes, turnover_of(minute))
        layers[:, 0] += whole_units(shares, units)
        state.layers[markets] = layers
        open_older(state, markets, minute)

    def _renew(self, markets: IntArray, minute: MinuteColumns, end: IntArray, multipliers: FloatArray) -> IntArray:
        """Bring bands to open interest, and the map to bands and what was learned; return what opened and closed.

        Args:
            markets: their numbers, shape (n,).
            minute: of these markets.
            end: its end, minutes.
            multipliers: as believed before the update, (n, BANDS).

        Returns:
            Micro-USD opened and closed by side, shape (2, n, 2).
        """
        state, factor = self.state, self.state.factor
        bands = state.bands[markets]
        before, opened = scaled(bands, multipliers[:, :, None]), np.zeros_like(bands)
        rows = np.flatnonzero(np.isfinite(state.interest[markets]))
        if rows.size:
            bands[rows], opened[rows] = self._step(markets[rows], rows_of(minute, rows), end[rows], bands[rows])
            state.bands[markets] = bands
        after = scaled(bands, state.multipliers[markets][:, :, None])
        opened = scaled(opened, state.multipliers[markets][:, :, None])
        closed = before + opened - after
        # Where more is believed to be there than before, that much has opened, to a reader of the map.
        opened -= np.minimum(closed, 0)
        np.maximum(closed, 0, out=closed)
        state.standing[markets] = per_level(after, factor)
        flows = np.empty((2, len(markets), 2), dtype=np.int64)
        closes = bucket_of(minute.mark_close) - state.base[markets]
        own = closes // factor
        row, column, is_long = own_level(closes, factor, state.levels)
        for kind, fine in ((OPENED, opened), (CLOSED, closed)):
            amounts = per_level(fine, factor)
            longs = np.where(is_long[:, :, None], fine[row[:, None], :, column], 0).sum(axis=1)
            state.flows[markets, kind] += amounts
            state.flows_long[markets[row], kind] += longs
            flows[kind] = by_side(amounts, own, row, longs).sum(axis=(2, 3))
        return flows

    def _step(
        self, markets: IntArray, minute: MinuteColumns, end: IntArray, bands: IntArray
    ) -> tuple[IntArray, IntArray]:
        """Return the bands brought to open interest and what opened; start the next five minutes."""
        state = self.state
        minutes = steps_between(end, minute.elapsed_minutes, BAND_PERIOD) * BAND_PERIOD
        step = band_step(
            state.interest[markets], state.anchor[markets], minute.mark_close, minutes, state.swept_since[markets]
        )
        usd, value = state.traded[markets, 0], state.traded[markets, 1]
        entries = np.where(usd > 0, value / np.maximum(usd, 1), minute.mark_close)
        closes = bucket_of(minute.mark_close) - state.base[markets]
        state.anchor[markets] = state.interest[markets]
        state.traded[markets] = 0
        state.swept_since[markets] = 0
        return bands_opened(state.base[markets], state.width, entries, closes, bands, step, state.units(markets))

    def _follow(self, markets: IntArray) -> None:
        """Move the rows of markets whose mark has left the middle; what falls off the far end is closed there."""
        state, factor = self.state, self.state.factor
        wanted = self._base(bucket_of(state.close[markets]))
        for place in np.flatnonzero(np.abs(wanted - state.base[markets]) > DRIFT).tolist():
            market, by = int(markets[place]), int(wanted[place] - state.base[markets[place]])
            standing, flows = state.standing[market].sum(axis=1), state.flows[market].sum(axis=2)
            for name, distance in (("layers", by), ("bands", by), ("standing", by // factor), ("flows", by // factor)):
                rows = getattr(state, name)
                rows[market] = shifted(rows[market], distance)
            # What was shown beyond the end is shown at the end.
            edge = 0 if by > 0 else -1
            state.flows[market, :, :, edge] += flows - state.flows[market].sum(axis=2)
            state.flows[market, CLOSED, :, edge] += standing - state.standing[market].sum(axis=1)
            state.base[market] = wanted[place]
