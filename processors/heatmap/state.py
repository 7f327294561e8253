"""The state of one partition of the log: columns with one row per market, and how it is saved and rolled back.

A market is one venue's market of a symbol; it gets its number when it is first seen, and a symbol likewise. What a
symbol needs to go on is saved and loaded on its own, so that every symbol has its own checkpoint.
"""

from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from liqheat.platform.errors import FatalError
from liqheat.platform.settings import Engine as EngineSettings
from processors.heatmap.minutes import EMPTY_MARKET, EMPTY_SLOT, MARKET, NOT_STARTED, SLOT, lateness_of
from processors.positions.inferred import MODEL_VERSION, InferredPositions, SavedInferred, Taken
from processors.positions.observed import ObservedPositions, SavedObserved

Array = npt.NDArray[Any]
IntArray = npt.NDArray[np.int64]
Executed = dict[tuple[int, int], int]
"""Executed liquidations in micro-USD by (side, published bucket)."""

_CAPACITY = 64

SHOWN = np.dtype(
    [
        ("window_start", "i8"),
        ("low", "f8"),
        ("high", "f8"),
        ("base", "i8", (2, 2)),
        ("left", "i8", (2, 2)),
        ("learned", "f8", (3,)),
    ]
)
"""What is known of an open minute: its start (ms), the marks' range that was looked at, at-risk and expected totals by
side when it opened and after that range (micro-USD), and what was learned. It can be worked out again at any time."""
_NOT_SHOWN = np.zeros(1, SHOWN)
_NOT_SHOWN["window_start"] = NOT_STARTED


class SavedMarket(msgspec.Struct, array_like=True):
    """One market of a symbol: its rows of `table` and `slots`, and its positions."""

    venue: str
    instrument: str
    table: bytes
    slots: bytes
    executed: list[list[tuple[int, int, int]]]
    inferred: SavedInferred
    observed: SavedObserved | None


class SavedSymbol(msgspec.Struct, array_like=True):
    """All that is known of a symbol, and the model and grid that it was made by."""

    symbol: str
    model_version: int
    grid_factor: int
    revision: int
    markets: list[SavedMarket]


@dataclass(slots=True)
class Before:
    """What a span may change, as it was before: see `PartitionState.before` and `PartitionState.put_back`."""

    markets: IntArray
    symbols: IntArray
    table: Array
    slots: Array
    revisions: Array
    instruments: list[str]
    executed: dict[int, Executed]
    stale: npt.NDArray[np.bool_]
    counts: dict[str, int]
    observed: dict[int, ObservedPositions | None] = field(default_factory=dict)
    inferred: Taken | None = None


class PartitionState:
    """All markets of one partition. Market `m` has row `m` of `table` and rows `2 m` and `2 m + 1` of `slots`.

    `revisions` counts the rows of each symbol's log that were applied, `lateness` is how long a market's minutes wait
    after their end (ms). `stale` marks markets whose open minute has changed since it was published, `shown` is what is
    known of it, `counts` are rows held as implausible and watermarks healed; none of these three is saved.
    """

    def __init__(self, settings: EngineSettings) -> None:
        """Begin without markets."""
        self.settings = settings
        self.venues: list[str] = []
        self.symbols: list[str] = []
        self.instruments: list[str] = []
        self.numbers: dict[tuple[str, str], int] = {}
        self.symbol_numbers: dict[str, int] = {}
        self.markets_of: list[list[int]] = []
        self.table: Array = np.repeat(EMPTY_MARKET, _CAPACITY)
        self.slots: Array = np.repeat(EMPTY_SLOT, 2 * _CAPACITY)
        self.symbol_of: IntArray = np.zeros(_CAPACITY, np.int64)
        self.lateness: IntArray = np.zeros(_CAPACITY, np.int64)
        self.stale = np.zeros(_CAPACITY, np.bool_)
        self.shown: Array = np.repeat(_NOT_SHOWN, _CAPACITY)
        self.revisions: IntArray = np.zeros(_CAPACITY, np.int64)
        self.inferred = InferredPositions(settings.grid_factor)
        self.observed: dict[int, ObservedPositions] = {}
        self.executed: dict[int, Executed] = {}
        self.counts = {"held": 0, "healed": 0}

    def number_of(self, venue: str, symbol: str) -> int:
        """Return the number of a market; one never seen is added."""
        number = self.numbers.get((venue, symbol))
        if number is not None:
            return number
        number = self.numbers[venue, symbol] = len(self.venues)
        if number >= len(self.table):
            self.table = np.concatenate([self.table, np.repeat(EMPTY_MARKET, number)])
            self.slots = np.concatenate([self.slots, np.repeat(EMPTY_SLOT, 2 * number)])
            self.symbol_of = np.concatenate([self.symbol_of, np.zeros(number, np.int64)])
            self.lateness = np.concatenate([self.lateness, np.zeros(number, np.int64)])
            self.stale = np.concatenate([self.stale, np.zeros(number, np.bool_)])
            self.shown = np.concatenate([self.shown, np.repeat(_NOT_SHOWN, number)])
        place = self.symbol_number_of(symbol)
        self.venues.append(venue)
        self.symbols.append(symbol)
        self.instruments.append("")
        self.symbol_of[number] = place
        self.lateness[number] = lateness_of(symbol, self.settings.lateness_ms, self.settings.closing_spread_ms)
        self.markets_of[place].append(number)
        self.inferred.add_market(venue, symbol)
        return number

    def symbol_number_of(self, symbol: str) -> int:
        """Return the number of a symbol; one never seen is added."""
        place = self.symbol_numbers.get(symbol)
        if place is None:
            place = self.symbol_numbers[symbol] = len(self.markets_of)
            self.markets_of.append([])
            if place >= len(self.revisions):
                self.revisions = np.concatenate([self.revisions, np.zeros(place, np.int64)])
        return place

    def before(self, markets: IntArray, symbols: IntArray) -> Before:
        """Copy what a span on `markets` of `symbols` may change; positions are added when they are about to."""
        slots = np.concatenate([2 * markets, 2 * markets + 1])
        executed = {
            slot: dict(self.executed[slot])
            for slot in (slots.tolist() if self.executed else ())
            if slot in self.executed
        }
        return Before(
            markets,
            symbols,
            self.table[markets],
            self.slots[slots],
            self.revisions[symbols],
            [self.instruments[market] for market in markets.tolist()],
            executed,
            self.stale[markets],
            dict(self.counts),
        )

    def put_back(self, before: Before) -> None:
        """Make the state what it was at `before`; markets that were added since stay, empty."""
        slots = np.concatenate([2 * before.markets, 2 * before.markets + 1])
        self.table[before.markets] = before.table
        self.slots[slots] = before.slots
        self.revisions[before.symbols] = before.revisions
        self.stale[before.markets] = before.stale
        self.counts.update(before.counts)
        for market, instrument in zip(before.markets.tolist(), before.instruments, strict=True):
            self.instruments[market] = instrument
        for slot in slots.tolist():
            self.executed.pop(slot, None)
        self.executed.update(before.executed)
        for market, observed in before.observed.items():
            if observed is None:
                self.observed.pop(market, None)
            else:
                self.observed[market] = observed
        if before.inferred is not None:
            self.inferred.put_back(before.inferred)

    def saved(self, symbol: str) -> SavedSymbol:
        """Return all that is known of `symbol` for its checkpoint."""
        place = self.symbol_numbers[symbol]
        markets = [self._saved(market) for market in self.markets_of[place] if self._is_seen(market)]
        return SavedSymbol(symbol, MODEL_VERSION, self.settings.grid_factor, int(self.revisions[place]), markets)

    def restore(self, saved: SavedSymbol) -> None:
        """Take in a saved symbol; it goes on exactly as the saved one would have.

        Raises:
            FatalError: another model or grid made it, or its parts do not fit together.
        """
        if saved.model_version != MODEL_VERSION:
            raise FatalError(
                f"The checkpoint has model {saved.model_version}, this build has {MODEL_VERSION}: "
                "replay the log from its start, or run the build that wrote it"
            )
        if saved.grid_factor != self.settings.grid_factor:
            raise FatalError(
                f"The checkpoint has grid factor {saved.grid_factor}, the settings {self.settings.grid_factor}: "
                "set LIQHEAT_ENGINE__GRID_FACTOR back, or replay the log from its start"
            )
        try:
            self._restore(saved)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise FatalError(f"The checkpoint of {saved.symbol} is damaged ({error}): replay the log") from error

    def _restore(self, saved: SavedSymbol) -> None:
        place = self.symbol_number_of(saved.symbol)
        self.revisions[place] = saved.revision
        for each in saved.markets:
            market = self.number_of(each.venue, saved.symbol)
            self.instruments[market] = each.instrument
            (self.table[market],) = np.frombuffer(each.table, MARKET)
            self.slots[2 * market : 2 * market + 2] = np.frombuffer(each.slots, SLOT).reshape(2)
            for slot, executed in enumerate(each.executed):
                if executed:
                    self.executed[2 * market + slot] = {(side, bucket): amount for side, bucket, amount in executed}
            self.inferred.restore(market, each.inferred)
            if each.observed is not None:
                self.observed[market] = ObservedPositions.restored(each.observed, self.settings.grid_factor)
            self.stale[market] = True
            self.shown[market] = _NOT_SHOWN[0]

    def _is_seen(self, market: int) -> bool:
        row = self.table[market]
        return bool(
            row["start"] != NOT_STARTED or not np.isnan(row["turnover"]) or row["depth_time"] or market in self.observed
        )

    def _saved(self, market: int) -> SavedMarket:
        observed = self.observed.get(market)
        executed = [
            [(side, bucket, amount) for (side, bucket), amount in sorted(self.executed.get(slot, {}).items())]
            for slot in (2 * market, 2 * market + 1)
        ]
        return SavedMarket(
            self.venues[market],
            self.instruments[market],
            self.table[market : market + 1].tobytes(),
            self.slots[2 * market : 2 * market + 2].tobytes(),
            executed,
            self.inferred.saved(market),
            None if observed is None else observed.saved(),
        )
