"""Output rows of many markets at once: minutes as columns, levels as lists of buckets, readings for the signals.

The engine adds what closes, or is open, in arrays over markets; `batches` turns all of it into frames once.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from liqheat.domain.events import Batch, Kind, schema_of
from liqheat.domain.market import LEVERAGE_BANDS, UNKNOWN_LEVERAGE_BAND, Basis
from liqheat.domain.price_grid import FloatArray, IntArray

Array = npt.NDArray[Any]

UNKNOWN_BAND = len(LEVERAGE_BANDS)
"""Index of the band of executed liquidations, whose leverage no venue gives."""
INFERRED, OBSERVED = 0, 1
"""Codes of the bases in `Levels.basis`."""

_BANDS = pl.Series((*LEVERAGE_BANDS, UNKNOWN_LEVERAGE_BAND), dtype=pl.String)
_BASES = pl.Series((Basis.INFERRED.value, Basis.OBSERVED.value), dtype=pl.String)
_POWERS = 10 ** np.arange(19, dtype=np.int64)
_AMOUNTS = ("at_risk_usd", "expected_usd", "opened_usd", "closed_usd", "swept_usd", "liquidated_usd")
_KEYS = ("market", "window_start", "side", "basis", "leverage_band", "revision")


def rounded(amounts: IntArray) -> IntArray:
    """Return non-negative micro-USD rounded to three significant digits, in integers throughout."""
    digits = np.searchsorted(_POWERS, amounts, side="right")
    unit = _POWERS[np.maximum(digits - 3, 0)]
    return np.asarray((amounts + unit // 2) // unit * unit)


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """Buckets of many markets, one per row, shape (n,): sorted by place, then basis, side (long first), band, bucket.

    `place` is the market's place among those that the engine handles together. Amounts are exact micro-USD.
    """

    place: IntArray
    basis: IntArray
    side: IntArray
    band: IntArray
    bucket: IntArray
    amounts: dict[str, IntArray]
    confidence: FloatArray

    @classmethod
    def joined(cls, pieces: "list[Levels]") -> "Levels":
        """Return the rows of all pieces, sorted."""
        if len(pieces) == 1:
            return pieces[0]
        columns = {
            name: np.concatenate([getattr(piece, name) for piece in pieces])
            for name in ("place", "basis", "side", "band", "bucket", "confidence")
        }
        amounts = {name: np.concatenate([piece.amounts[name] for piece in pieces]) for name in _AMOUNTS}
        order = np.lexsort(
            (columns["bucket"], columns["band"], -columns["side"].astype(np.int8), columns["basis"], columns["place"])
        )
        amounts = {name: values[order] for name, values in amounts.items()}
        return cls(**{name: values[order] for name, values in columns.items()}, amounts=amounts)


def levels(
    place: Array,
    basis: int,
    side: Array,
    band: Array,
    bucket: Array,
    confidence: Array,
    **amounts: IntArray,
) -> Levels:
    """Return levels of one basis; amounts that are not given are 0."""
    rows = len(place)
    zeros = np.zeros(rows, np.int64)
    return Levels(
        np.asarray(place, np.int64),
        np.full(rows, basis),
        np.asarray(side, np.int64),
        np.asarray(band, np.int64),
        np.asarray(bucket, np.int64),
        {name: amounts.get(name, zeros) for name in _AMOUNTS},
        np.asarray(confidence, np.float64),
    )


_BITS = UNKNOWN_BAND + 1


def row_bits(found: Levels, count: int, held: npt.NDArray[np.bool_]) -> IntArray:
    """Return which rows the levels of `count` markets make, of buckets where `held`: a bit per basis, side and band."""
    bits = np.zeros(count, np.int64)
    codes = (found.basis * 2 + (found.side < 0)) * _BITS + found.band
    np.bitwise_or.at(bits, found.place[held], np.int64(1) << codes[held])
    return bits


def rows_of_bits(bits: IntArray) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Return place, basis, side and band of every bit that is set, in order."""
    place, code = np.nonzero((bits[:, None] >> np.arange(4 * _BITS)) & 1)
    rest, band = np.divmod(code, _BITS)
    return place, rest // 2, 1 - 2 * (rest % 2), band


@dataclass(frozen=True, slots=True, eq=False)
class ClosedMinutes:
    """One closed minute of each of n markets: what signals read. `starts` cut `levels` by place, shape (n + 1,)."""

    markets: IntArray
    columns: dict[str, Array]
    levels: Levels
    starts: IntArray


@dataclass(slots=True)
class Output:
    """Rows gathered while a span is applied; `venues`, `symbols` and `instruments` name the markets by number."""

    venues: list[str]
    symbols: list[str]
    instruments: list[str]
    grid_factor: int
    model_version: int
    closed: list[ClosedMinutes] = field(default_factory=list)
    _minutes: list[dict[str, Array]] = field(default_factory=list)
    _levels: list[dict[str, Array]] = field(default_factory=list)
    _emptied: list[dict[str, Array]] = field(default_factory=list)

    def add(self, markets: IntArray, columns: dict[str, Array], found: Levels | None) -> None:
        """Add a minute of each of `markets`: columns of `MarketMinute`, shape (n,), and their levels if published."""
        self._minutes.append({"market": markets, **columns})
        if found is None or not len(found.place):
            return
        piece: dict[str, Array] = {
            "market": markets[found.place],
            "window_start": columns["window_start"][found.place],
            "revision": columns["revision"][found.place],
            "side": found.side,
            "basis": found.basis,
            "leverage_band": found.band,
            "bucket": found.bucket,
            **found.amounts,
            "confidence": found.confidence,
        }
        is_inferred = found.basis == INFERRED
        for name in ("at_risk_usd", "expected_usd"):
            piece[name] = np.where(is_inferred, rounded(piece[name]), piece[name])
        self._levels.append(piece)

    def add_closed(self, markets: IntArray, columns: dict[str, Array], found: Levels, emptied: IntArray) -> None:
        """Add minutes that have closed, for signals too.

        `emptied` are the rows (`row_bits`) that stood before and hold nothing now: an open minute may have shown them.
        """
        self.add(markets, columns, found)
        if emptied.any():
            place, basis, side, band = rows_of_bits(emptied)
            of_minute = {name: columns[name][place] for name in ("window_start", "revision")}
            self._emptied.append(
                {"market": markets[place], **of_minute, "side": side, "basis": basis, "leverage_band": band}
            )
        starts = np.searchsorted(found.place, np.arange(len(markets) + 1))
        self.closed.append(ClosedMinutes(markets, columns, found, starts))

    def batches(self) -> list[Batch]:
        """Return all rows: of each venue its levels, then its minutes."""
        if not self._minutes:
            return []
        codes = {venue: code for code, venue in enumerate(dict.fromkeys(self.venues))}
        of_market = np.array([codes[venue] for venue in self.venues])
        found: dict[str, list[Batch]] = {venue: [] for venue in codes}
        for kind, pieces, framed in (
            (Kind.HEATMAP_LEVELS, self._levels, self._level_frame),
            (Kind.HEATMAP_LEVELS, self._emptied, self._emptied_frame),
            (Kind.MARKET_MINUTES, self._minutes, self._minute_frame),
        ):
            if not pieces:
                continue
            rows = _joined(pieces)
            if not len(rows["market"]):
                # Minutes may close before any position is known.
                continue
            order = np.argsort(of_market[rows["market"]], kind="stable")
            frame, markets = framed({name: values[order] for name, values in rows.items()})
            ends = np.searchsorted(of_market[markets], np.arange(len(codes) + 1))
            for venue, code in codes.items():
                if ends[code] < ends[code + 1]:
                    found[venue].append(Batch(kind, venue, frame[int(ends[code]) : int(ends[code + 1])]))
        return [batch for batches in found.values() for batch in batches]

    def _minute_frame(self, rows: dict[str, Array]) -> tuple[pl.DataFrame, IntArray]:
        return self._frame(Kind.MARKET_MINUTES, rows), rows["market"]

    def _emptied_frame(self, rows: dict[str, Array]) -> tuple[pl.DataFrame, IntArray]:
        schema, count = schema_of(Kind.HEATMAP_LEVELS), len(rows["market"])
        columns = self._named(rows, count)
        columns |= {name: pl.Series([[]] * count, dtype=schema.wire[name]) for name in schema.lists}
        return self._frame(Kind.HEATMAP_LEVELS, columns), rows["market"]

    def _named(self, columns: dict[str, Any], count: int) -> dict[str, Any]:
        """Return the columns of rows of levels with names in place of codes."""
        return columns | {
            "side": columns["side"].astype(np.int8),
            "leverage_band": _BANDS.gather(columns["leverage_band"]),
            "basis": _BASES.gather(columns["basis"]),
            "grid_factor": np.full(count, self.grid_factor),
            "model_version": np.full(count, self.model_version),
        }

    def _level_frame(self, cells: dict[str, Array]) -> tuple[pl.DataFrame, IntArray]:
        begins = np.zeros(len(cells["market"]), np.bool_)
        begins[0] = True
        for name in _KEYS:
            begins[1:] |= cells[name][1:] != cells[name][:-1]
        firsts = np.flatnonzero(begins)
        lists = pl.DataFrame(
            {
                "row": np.cumsum(begins),
                "bucket": cells["bucket"].astype(np.int32),
                **{name: cells[name] for name in _AMOUNTS},
                "confidence": cells["confidence"].astype(np.float32),
            }
        )
        grouped = lists.with_columns(pl.col("row").set_sorted()).group_by("row", maintain_order=True).agg(pl.all())
        columns = self._named({name: cells[name][firsts] for name in _KEYS}, len(firsts))
        columns |= {series.name: series for series in grouped.get_columns()}
        return self._frame(Kind.HEATMAP_LEVELS, columns), cells["market"][firsts]

    def _frame(self, kind: Kind, columns: dict[str, Any]) -> pl.DataFrame:
        markets = columns["market"].tolist()
        named = {
            "symbol": pl.Series("symbol", [self.symbols[market] for market in markets], pl.String),
            "instrument": pl.Series("instrument", [self.instruments[market] for market in markets], pl.String),
        }
        wire = schema_of(kind).wire
        return pl.DataFrame([named[name] if name in named else pl.Series(name, columns[name]) for name in wire])


def _joined(pieces: list[dict[str, Array]]) -> dict[str, Array]:
    if len(pieces) == 1:
        return pieces[0]
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
