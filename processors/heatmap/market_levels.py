"""The levels of many markets together: what is inferred, observed and executed, from three sources into one table."""

from typing import Any

import numpy as np

from liqheat.domain.price_grid import IntArray
from processors.heatmap.rows import INFERRED, OBSERVED, UNKNOWN_BAND, Levels, levels
from processors.heatmap.state import PartitionState
from processors.positions.published import Cells, Totals


def totals_of(cells: Cells, count: int) -> Totals:
    """Return the sums of the cells of `count` markets by side; in integers, so that they are those of the model."""
    sums = np.zeros((2, count * 2), np.int64)
    places = cells.place * 2 + (cells.side < 0)
    np.add.at(sums[0], places, cells.at_risk_usd)
    np.add.at(sums[1], places, cells.expected_usd)
    return Totals(sums[0].reshape(count, 2), sums[1].reshape(count, 2))


def levels_of(state: PartitionState, markets: IntArray, cells: Cells) -> Levels:
    """Return the levels of `markets`: what is inferred, observed and executed."""
    pieces = [
        levels(
            cells.place,
            INFERRED,
            cells.side,
            cells.band,
            cells.bucket,
            cells.confidence,
            at_risk_usd=cells.at_risk_usd,
            expected_usd=cells.expected_usd,
            opened_usd=cells.opened_usd,
            closed_usd=cells.closed_usd,
            swept_usd=cells.swept_usd,
        )
    ]
    if state.observed or state.executed:
        for place, market in enumerate(markets.tolist()):
            observed = state.observed.get(market)
            if observed is not None:
                pieces += [_observed_levels(place, observed.books[index], side) for index, side in enumerate((1, -1))]
            executed = state.executed.get(2 * market)
            if executed:
                pieces.append(_executed_levels(place, OBSERVED if observed is not None else INFERRED, executed))
    return Levels.joined(pieces)


def _observed_levels(place: int, book: Any, side: int) -> Levels:
    bands, buckets, standing, flows = book.published()
    rows = len(bands)
    opened, closed, swept = flows
    # Who is observed is there: what is at risk is what will be executed.
    return levels(
        np.full(rows, place),
        OBSERVED,
        np.full(rows, side),
        bands,
        buckets,
        np.ones(rows),
        at_risk_usd=standing,
        expected_usd=standing,
        opened_usd=opened,
        closed_usd=closed,
        swept_usd=swept,
    )


def _executed_levels(place: int, basis: int, executed: dict[tuple[int, int], int]) -> Levels:
    keys = sorted(executed, key=lambda key: (-key[0], key[1]))
    rows = len(keys)
    return levels(
        np.full(rows, place),
        basis,
        np.array([side for side, _ in keys]),
        np.full(rows, UNKNOWN_BAND),
        np.array([bucket for _, bucket in keys]),
        np.ones(rows),
        liquidated_usd=np.array([executed[key] for key in keys], np.int64),
    )
