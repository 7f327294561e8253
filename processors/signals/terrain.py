"""How dense the sides of maps are, bucket by bucket, and their surroundings: for the books of many symbols at once.

Clusters are found from it (`processors.signals.clusters`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from liqheat.domain.price_grid import FloatArray, IntArray
from processors.signals.book import SideBook


@dataclass(frozen=True, slots=True, eq=False)
class Terrain:
    """Of each bucket of a book, shape (buckets,): at-risk notional per 1% of price (micro-USD).

    `density` is its own, `smooth` the mean with its neighbours (weights 1/4, 1/2, 1/4), `surroundings` the mean within
    `local_percent` of its middle or in reach, the lesser one.
    """

    density: FloatArray
    smooth: FloatArray
    surroundings: FloatArray


def terrains(books: Sequence[SideBook], local_percent: Sequence[float]) -> list[Terrain]:
    """Return the terrain of each book; `local_percent` is of each."""
    if not books:
        return []
    sizes = np.array([len(book.at_risk) for book in books])
    # One line per book, as wide as the widest; what is behind a book's end is cut off again.
    width = int(sizes.max())
    at_risk, edges = np.zeros((len(books), width), np.int64), np.ones((len(books), width + 1))
    for line, book in enumerate(books):
        at_risk[line, : len(book.at_risk)] = book.at_risk
        edges[line, : len(book.edges)] = book.edges
        edges[line, len(book.edges) :] = book.edges[-1] * np.arange(2, width + 3 - len(book.edges))
    logs = np.log(edges)
    density = at_risk / (100.0 * np.diff(logs, axis=1))
    padded = np.pad(density, ((0, 0), (1, 1)))
    smooth = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
    surroundings = _surroundings(at_risk, 100.0 * logs, sizes, np.asarray(local_percent, np.float64))
    return [
        Terrain(density[line, :size], smooth[line, :size], surroundings[line, :size])
        for line, size in enumerate(sizes.tolist())
    ]


def _surroundings(at_risk: IntArray, places: FloatArray, sizes: IntArray, local_percent: FloatArray) -> FloatArray:
    """Return the mean density around each bucket; `places` are the edges' places in % of price (logarithmic)."""
    amounts = np.zeros_like(places)
    np.cumsum(at_risk, axis=1, dtype=np.float64, out=amounts[:, 1:])
    lines = np.arange(len(sizes))
    begin, end, whole = places[:, :1], places[lines, sizes][:, None], amounts[lines, sizes][:, None]
    middles = (places[:, :-1] + places[:, 1:]) / 2
    first = np.maximum(middles - local_percent[:, None], begin)
    last = np.minimum(middles + local_percent[:, None], end)
    inside = np.zeros_like(middles)
    for line, size in enumerate(sizes.tolist()):
        edges, within = places[line, : size + 1], amounts[line, : size + 1]
        inside[line, :size] = np.interp(last[line, :size], edges, within) - np.interp(first[line, :size], edges, within)
    with np.errstate(divide="ignore", invalid="ignore"):
        local = inside / (last - first)
    return np.asarray(np.minimum(local, whole / (end - begin)))
