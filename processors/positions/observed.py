"""Positions that a venue shows: one absolute entry per account, kept beside the inferred part of the book.

A new row of an account replaces its old one, quantity 0 ends it, and the venue's liquidation price is taken
as it is. Open interest less what is observed is left to `inference`.
"""

import math
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from liqheat.domain.market import Side, leverage_band
from liqheat.domain.money import MAXIMUM_NOTIONAL_USD, MICRO_USD_PER_USD
from liqheat.domain.price_grid import MAXIMUM_PRICE, MINIMUM_PRICE, bucket_of
from processors.positions.book import SideBook

NO_LEVEL = -1_000_000
"""Bucket of a position without a liquidation price on the grid."""


@dataclass(slots=True)
class ObservedPosition:
    """One account's position: coins, and its level in the book (micro-USD, 0 once swept)."""

    side: int
    quantity: float
    band: int
    bucket: int
    amount: int


class SavedObserved(msgspec.Struct, array_like=True):
    """One market's accounts (name, side, coins, band, bucket, micro-USD), and cells of the minute's flows by side."""

    accounts: list[tuple[str, int, float, int, int, int]]
    flows: list[list[tuple[int, int, int, int]]]


class ObservedPositions:
    """All accounts of one market, and the books of their liquidation levels (longs, shorts)."""

    __slots__ = ("accounts", "books")

    def __init__(self, factor: int) -> None:
        self.accounts: dict[str, ObservedPosition] = {}
        self.books = (SideBook(Side.LONG, factor), SideBook(Side.SHORT, factor))

    def copy(self) -> "ObservedPositions":
        """Return an equal object that shares nothing with this one."""
        other = ObservedPositions(self.books[0].factor)
        other.accounts = {name: replace(position) for name, position in self.accounts.items()}
        other.books = (self.books[0].copy(), self.books[1].copy())
        return other

    def coins_of_sides(self) -> tuple[float, float]:
        """Return the coins held long and short."""
        return self.coins(Side.LONG), self.coins(Side.SHORT)

    def has_flows(self) -> bool:
        """Whether anything opened, closed or was swept since the minute began."""
        return any(bool(book.flows.any()) for book in self.books)

    def saved(self) -> "SavedObserved":
        """Return the accounts and the minute's flows for a checkpoint; `restored` makes an equal object of them."""
        accounts = [
            (name, held.side, held.quantity, held.band, held.bucket, held.amount)
            for name, held in sorted(self.accounts.items())
        ]
        return SavedObserved(accounts, [book.flow_cells() for book in self.books])

    @classmethod
    def restored(cls, saved: "SavedObserved", factor: int) -> "ObservedPositions":
        """Return what `saved` was made of."""
        made = cls(factor)
        made.accounts = {each[0]: ObservedPosition(*each[1:]) for each in saved.accounts}
        for side, book, cells in zip((Side.LONG, Side.SHORT), made.books, saved.flows, strict=True):
            held = [each for each in made.accounts.values() if each.side == side and each.amount]
            book.restore(
                np.array([each.band for each in held], np.int64),
                np.array([each.bucket for each in held], np.int64),
                np.array([each.amount for each in held], np.int64),
                np.array(cells, np.int64).reshape(-1, 4),
            )
        return made

    def coins(self, side: Side) -> float:
        """Return the coins that accounts hold on `side`; exact summation, so that their order never shows."""
        return math.fsum(position.quantity for position in self.accounts.values() if position.side == side)

    def put(
        self, account: str, side: int, quantity: float, liquidation_price: float, leverage: float, price: float
    ) -> None:
        """Replace what is known of `account`.

        Args:
            account: the venue's name of it.
            side: +1 long, -1 short; 0 with a quantity of 0.
            quantity: coins, 0 where the position ended.
            liquidation_price: USD per coin, NaN where the venue gives none.
            leverage: times, NaN where unknown (then the first band).
            price: the mark, NaN where unknown; a level on its far side is no level.
        """
        old = self.accounts.pop(account, None)
        new = _position(side, quantity, liquidation_price, leverage, price) if quantity > 0 else None
        if new is not None:
            self.accounts[account] = new
        if old is not None and new is not None and (old.side, old.band, old.bucket) == (new.side, new.band, new.bucket):
            self._move(new, new.amount - old.amount)
            return
        if old is not None:
            self._move(old, -old.amount)
        if new is not None:
            self._move(new, new.amount)

    def sweep_range(self, low: float, high: float) -> None:
        """Take out what marks from `low` to `high` (USD) liquidate."""
        for side, price, book in zip((Side.LONG, Side.SHORT), (low, high), self.books, strict=True):
            if book.is_reached(price):
                self.sweep(side, int(bucket_of(price)))

    def is_reached(self, low: float, high: float) -> bool:
        """Whether marks from `low` to `high` (USD) may liquidate anything."""
        return self.books[0].is_reached(low) or self.books[1].is_reached(high)

    def sweep(self, side: Side, bucket: int) -> None:
        """Take out what a mark in fine `bucket` liquidates; the accounts stay until the venue says otherwise."""
        book = self.books[0 if side is Side.LONG else 1]
        if not book.sweep(bucket).any():
            return
        for position in self.accounts.values():
            if position.side == side and (bucket - position.bucket) * side <= 0:
                position.amount = 0

    def _move(self, position: ObservedPosition, amount: int) -> None:
        book = self.books[0 if position.side == Side.LONG else 1]
        if amount > 0:
            book.open(np.array([position.band]), np.array([position.bucket]), np.array([amount]))
        elif amount < 0:
            book.remove(position.band, position.bucket, -amount)


def _position(
    side: int, quantity: float, liquidation_price: float, leverage: float, price: float
) -> ObservedPosition | None:
    band = 0 if math.isnan(leverage) else int(leverage_band(leverage))
    bucket, amount = NO_LEVEL, 0
    if MINIMUM_PRICE <= liquidation_price < MAXIMUM_PRICE:
        level = int(bucket_of(liquidation_price))
        if math.isnan(price) or (int(bucket_of(price)) - level) * side > 0:
            usd = min(quantity * liquidation_price, MAXIMUM_NOTIONAL_USD)
            bucket, amount = level, int(np.rint(usd * MICRO_USD_PER_USD))
    return ObservedPosition(side, quantity, band, bucket, amount)
