"""A small stand-in of the model behind its interface; branch `model` replaces this file."""

import math
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from liqheat.domain.price_grid import IntArray, FloatArray, bucket_of, lower_edge
from processors.heatmap.minutes import MinuteColumns

MODEL_VERSION = 2


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    place: IntArray
    side: IntArray
    band: IntArray
    bucket: IntArray
    at_risk_usd: IntArray
    expected_usd: IntArray
    opened_usd: IntArray
    closed_usd: IntArray
    swept_usd: IntArray
    confidence: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Totals:
    at_risk: IntArray
    expected: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    markets: list[int]
    books: list[Any]


class InferredPositions:
    model_version = MODEL_VERSION

    def __init__(self, grid_factor: int = 5) -> None:
        self.factor = grid_factor
        self.books: list[dict[tuple[int, int, int], list[int]]] = []

    def add_market(self, venue: str, symbol: str) -> int:
        self.books.append({})
        return len(self.books) - 1

    def close(self, markets: IntArray, minute: MinuteColumns) -> None:
        for place, market in enumerate(markets.tolist()):
            book = {key: [level, 0, 0, 0] for key, (level, *_) in self.books[market].items() if level}
            for value in book.values():
                kept = value[0] * 99 // 100
                value[2], value[0] = value[0] - kept, kept
            low, high = float(minute.mark_low[place]), float(minute.mark_high[place])
            if not math.isnan(low):
                ends = int(bucket_of(low, self.factor)), int(bucket_of(high, self.factor))
                for (side, _, bucket), value in book.items():
                    if (bucket >= ends[0]) if side > 0 else (bucket <= ends[1]):
                        value[3] += value[0]
                        value[0] = 0
            for name, side in (("buy", 1), ("sell", -1)):
                usd, price = int(getattr(minute, name + "_usd")[place]), float(getattr(minute, name + "_price")[place])
                if usd and not math.isnan(price) and not math.isnan(low):
                    for band, distance in enumerate((0.25, 0.1, 0.05, 0.02, 0.01)):
                        bucket = int(bucket_of(price * (1 - side * distance), self.factor))
                        if (bucket < ends[0]) if side > 0 else (bucket > ends[1]):
                            value = book.setdefault((side, band, bucket), [0, 0, 0, 0])
                            value[0] += usd // 5
                            value[1] += usd // 5
            self.books[market] = book

    def published(self, markets: IntArray) -> Cells:
        return self._cells([self.books[market] for market in markets.tolist()])

    def _cells(self, books: list[Any]) -> Cells:
        rows = [
            (place, side, band, bucket, *value)
            for place, book in enumerate(books)
            for (side, band, bucket), value in sorted(book.items(), key=lambda each: (-each[0][0], *each[0][1:]))
            if any(value)
        ]
        table = np.array(rows, np.int64).reshape(-1, 8)
        place, side, band, bucket, level, opened, closed, swept = table.T
        return Cells(place, side, band, bucket, level, level // 2, opened, closed, swept, np.full(len(rows), 0.5))

    def published_open(self, markets: IntArray, mark_low: FloatArray, mark_high: FloatArray) -> Cells:
        books = []
        for market, low, high in zip(markets.tolist(), mark_low.tolist(), mark_high.tolist(), strict=True):
            book = {}
            for key, (level, *_) in self.books[market].items():
                gone = self._is_swept(key, low, high)
                book[key] = [0 if gone else level, 0, 0, level if gone else 0]
            books.append(book)
        return self._cells(books)

    def _is_swept(self, key: tuple[int, int, int], low: float, high: float) -> bool:
        if math.isnan(low):
            return False
        side, _, bucket = key
        return bucket >= int(bucket_of(low, self.factor)) if side > 0 else bucket <= int(bucket_of(high, self.factor))

    def totals(self, markets: IntArray) -> Totals:
        cells = self.published(markets)
        return self._sums(len(markets), cells, cells.at_risk_usd, cells.expected_usd)

    def _sums(self, count: int, cells: Cells, at_risk: IntArray, expected: IntArray) -> Totals:
        sums = np.zeros((2, count, 2), np.int64)
        np.add.at(sums[0], (cells.place, (cells.side < 0).astype(int)), at_risk)
        np.add.at(sums[1], (cells.place, (cells.side < 0).astype(int)), expected)
        return Totals(sums[0], sums[1])

    def swept_so_far(self, markets: IntArray, mark_low: FloatArray, mark_high: FloatArray) -> Totals:
        cells = self.published_open(markets, mark_low, mark_high)
        return self._sums(len(markets), cells, cells.swept_usd, cells.swept_usd // 2)

    def nearest(self, markets: IntArray) -> FloatArray:
        return np.full((len(markets), 2), np.nan)

    def interval(self, markets: IntArray) -> tuple[FloatArray, FloatArray]:
        return np.full((len(markets), 2), 0.5), np.full((len(markets), 2), 2.0)

    def kappa(self, markets: IntArray) -> FloatArray:
        return np.ones((len(markets), 2))

    def take(self, markets: IntArray) -> Taken:
        chosen = markets.tolist()
        return Taken(chosen, [self.books[market] for market in chosen])

    def put_back(self, taken: Taken) -> None:
        for market, book in zip(taken.markets, taken.books, strict=True):
            self.books[market] = book

    def dump(self, market: int) -> bytes:
        return msgspec.msgpack.encode([[*key, *value] for key, value in sorted(self.books[market].items())])

    def load(self, market: int, data: bytes) -> None:
        rows = msgspec.msgpack.decode(data, type=list[list[int]])
        self.books[market] = {(row[0], row[1], row[2]): row[3:] for row in rows}
