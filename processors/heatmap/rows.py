"""Output rows: closed minutes as columns, gathered over one `apply` and cut into batches that fit a message.

The engine adds levels and minutes as they close; sinks and signals read the batches.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from liqheat.domain.events import Batch, Kind, LeverageShare, MarketMinute, schema_of
from liqheat.domain.market import LEVERAGE_BANDS, UNKNOWN_LEVERAGE_BAND, Basis
from liqheat.domain.price_grid import lower_edge
from processors.positions.book import CLOSED, OPENED, SWEPT, SideBook

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

BATCH_ROWS = 5_000
"""Rows of one output batch, well under Kafka's 1 MB message limit."""

UNKNOWN_BAND = len(LEVERAGE_BANDS)
"""Index of the band of executed liquidations, whose leverage nobody tells."""

_BAND_NAMES = (*LEVERAGE_BANDS, UNKNOWN_LEVERAGE_BAND)
_BASIS_NAMES = tuple(basis.value for basis in Basis)


@dataclass(slots=True)
class Output:
    """Rows of one market gathered while a batch is applied."""

    venue: str
    symbol: str
    instrument: str
    pieces: list[dict[str, npt.NDArray[Any]]] = field(default_factory=list)
    minutes: list[MarketMinute] = field(default_factory=list)
    shares: list[LeverageShare] = field(default_factory=list)

    def add_levels(
        self,
        window_start: int,
        revision: int,
        basis: Basis,
        book: SideBook,
        confidence: Callable[[IntArray, IntArray], FloatArray] | None = None,
    ) -> None:
        """Add a row for every bucket of `book` that holds a level or had a flow.

        Args:
            window_start: of the minute, ms.
            revision: rows of the symbol's log applied so far.
            basis: how these positions are known.
            book: one side.
            confidence: gives that of levels (micro-USD) in leverage bands, both of shape (n,); 1 without.
        """
        if not book.standing.size:
            return
        levels = book.published_levels()
        bands, columns = np.nonzero(levels | book.flows[OPENED] | book.flows[CLOSED] | book.flows[SWEPT])
        if not bands.size:
            return
        flows = book.flows[:, bands, columns]
        piece = _piece(window_start, revision, basis, columns + book.base // book.factor, book.factor)
        piece["side"] = np.full(bands.size, int(book.side), dtype=np.int8)
        piece["leverage_band"] = bands
        piece["at_risk_usd"] = levels[bands, columns]
        piece["opened_usd"], piece["closed_usd"], piece["swept_usd"] = flows[OPENED], flows[CLOSED], flows[SWEPT]
        piece["liquidated_usd"] = np.zeros(bands.size, dtype=np.int64)
        piece["confidence"] = np.ones(bands.size) if confidence is None else confidence(levels[bands, columns], bands)
        self.pieces.append(piece)

    def add_liquidated(
        self, window_start: int, revision: int, basis: Basis, factor: int, liquidated: dict[tuple[int, int], int]
    ) -> None:
        """Add executed liquidations: micro-USD by (side, published bucket), in rows of the unknown leverage band."""
        if not liquidated:
            return
        keys = sorted(liquidated)
        piece = _piece(window_start, revision, basis, np.array([bucket for _, bucket in keys]), factor)
        zeros = np.zeros(len(keys), dtype=np.int64)
        piece["side"] = np.array([side for side, _ in keys], dtype=np.int8)
        piece["leverage_band"] = np.full(len(keys), UNKNOWN_BAND)
        for name in ("at_risk_usd", "opened_usd", "closed_usd", "swept_usd"):
            piece[name] = zeros
        piece["liquidated_usd"] = np.array([liquidated[key] for key in keys], dtype=np.int64)
        piece["confidence"] = np.ones(len(keys))
        self.pieces.append(piece)

    def batches(self) -> list[Batch]:
        """Return what was gathered as batches of at most `BATCH_ROWS` rows: buckets, learned shares, minutes."""
        if not self.minutes:
            return []
        frames: list[tuple[Kind, pl.DataFrame]] = []
        if self.pieces:
            frames.append((Kind.HEATMAP_BUCKETS, _bucket_frame(self.pieces)))
        if self.shares:
            shares = [msgspec.structs.asdict(share) for share in self.shares]
            frames.append((Kind.LEVERAGE_MIX, pl.DataFrame(shares, schema=schema_of(Kind.LEVERAGE_MIX).polars)))
        minutes = [msgspec.structs.asdict(minute) for minute in self.minutes]
        frames.append((Kind.MARKET_MINUTES, pl.DataFrame(minutes, schema=schema_of(Kind.MARKET_MINUTES).polars)))
        return [
            Batch(kind, self.venue, self.symbol, self.instrument, part)
            for kind, frame in frames
            for part in frame.iter_slices(BATCH_ROWS)
        ]


def _piece(
    window_start: int, revision: int, basis: Basis, buckets: IntArray, factor: int
) -> dict[str, npt.NDArray[Any]]:
    rows = buckets.size
    return {
        "window_start": np.full(rows, window_start),
        "basis": np.full(rows, _BASIS_NAMES.index(basis.value)),
        "price_low": buckets * factor,
        "price_high": (buckets + 1) * factor,
        "revision": np.full(rows, revision),
    }


def _bucket_frame(pieces: list[dict[str, npt.NDArray[Any]]]) -> pl.DataFrame:
    """Return the rows of `pieces`; bands, bases and prices, indices so far, become what they stand for."""
    columns: dict[str, Any] = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    columns["leverage_band"] = _names(columns["leverage_band"], _BAND_NAMES)
    columns["basis"] = _names(columns["basis"], _BASIS_NAMES)
    for edge in ("price_low", "price_high"):
        columns[edge] = lower_edge(columns[edge])
    # Minutes are small: casts and expressions of polars would take longer than all the rest of this.
    return pl.DataFrame([pl.Series(name, columns[name]) for name in schema_of(Kind.HEATMAP_BUCKETS).polars])


def _names(indices: IntArray, names: tuple[str, ...]) -> list[str]:
    return [names[index] for index in indices.tolist()]
