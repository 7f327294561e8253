"""Messages of the log as one span: which row is of which market, and each kind's columns end to end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from liqheat.domain.events import Kind
from liqheat.domain.price_grid import IntArray
from liqheat.platform.codec_blocks import RowBlock
from processors.heatmap import gathering
from processors.heatmap.minutes import UNTIMED
from processors.heatmap.state import PartitionState

TIMED_KINDS = (Kind.TRADES, Kind.MARKS, Kind.OPEN_INTEREST, Kind.LIQUIDATIONS)
"""Kinds that move the watermark. The others are absolute facts, often read when a service starts and older or newer
than its history: they hold from their place in the log, whatever their time."""


@dataclass(slots=True, eq=False)
class Gathered:
    """The rows of a span: market, symbol and rank of each row in log order, shape (n,), and each kind's columns.

    `kind` is a code per row, `source` the row's place in the columns of its kind.
    """

    market: IntArray
    symbol: IntArray
    rank: IntArray
    times: IntArray
    kind: IntArray
    source: IntArray
    columns: dict[Kind, dict[str, Any]]
    instruments: dict[int, str]
    markets: IntArray
    symbols: IntArray
    counts: IntArray
    written_at: IntArray | None


KIND_CODES = {kind: code for code, kind in enumerate(Kind)}


def gathered_of(state: PartitionState, span: Sequence[RowBlock]) -> Gathered:
    """Return the rows of `span` in log order; markets never seen are added to `state`, which changes in nothing else.

    Raises:
        PoisonMessage: a notional is beyond all reason.
    """
    pieces: dict[Kind, list[RowBlock]] = {}
    for block in span:
        pieces.setdefault(block.kind, []).append(block)
    blocks = [block for parts in pieces.values() for block in parts]
    market, instruments = _markets(state, blocks)
    kinds, sources, times = [], [], []
    for kind, parts in pieces.items():
        rows = sum(block.height for block in parts)
        kinds.append(np.full(rows, KIND_CODES[kind]))
        sources.append(np.arange(rows))
        times += [block.columns["event_time"] for block in parts] if kind in TIMED_KINDS else [np.full(rows, UNTIMED)]
    heights = np.concatenate([block.heights for block in blocks])
    # By message, and within one as they come.
    order = np.argsort(np.repeat(np.concatenate([block.places for block in blocks]), heights), kind="stable")
    market = market[order]
    symbol = state.symbol_of[market]
    symbols, counts, rank = _ranks(symbol)
    written_at = [block.written_at for block in blocks if block.written_at is not None]
    return Gathered(
        market,
        symbol,
        rank,
        np.concatenate(times)[order],
        np.concatenate(kinds)[order],
        np.concatenate(sources)[order],
        {kind: _columns_of(kind, parts) for kind, parts in pieces.items()},
        instruments,
        np.unique(market),
        symbols,
        counts,
        np.repeat(np.concatenate(written_at), heights)[order] if len(written_at) == len(blocks) else None,
    )


def _ranks(symbol: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Return the symbols that have rows, ascending, how many each has, and each row's place among its symbol's."""
    order = np.argsort(symbol, kind="stable")
    ordered = symbol[order]
    heads = np.flatnonzero(np.diff(ordered, prepend=-1))
    counts = np.diff(heads, append=len(ordered))
    rank = np.empty(len(ordered), np.int64)
    rank[order] = np.arange(len(ordered)) - np.repeat(heads, counts)
    return ordered[heads], counts, rank


@dataclass(frozen=True, slots=True, eq=False)
class _Mentions:
    """The markets of a block, each once: (venue, symbol, instrument), and where in the log it comes first and last.

    `of_run` says which of them each run is of.
    """

    markets: list[tuple[str, str, str]]
    first: list[int]
    last: list[int]
    of_run: IntArray

    @classmethod
    def of(cls, block: RowBlock) -> "_Mentions":
        if len(block.venues) == 1:
            places = [(int(block.places[0]) << 32) + run for run in range(len(block.markets))]
            return cls([(block.venues[0], *market) for market in block.markets], places, places, block.market)
        venues = list(dict.fromkeys(block.venues))
        codes = {venue: code for code, venue in enumerate(venues)}
        of_message = np.array([codes[venue] for venue in block.venues])
        keys = np.repeat(of_message, block.runs) * len(block.markets) + block.market
        found, first, of_run = np.unique(keys, return_index=True, return_inverse=True)
        place = (np.repeat(block.places, block.runs) << 32) + np.arange(len(keys))
        last = np.empty(len(found), np.int64)
        last[of_run] = place
        pairs = [divmod(key, len(block.markets)) for key in found.tolist()]
        markets = [(venues[code], *block.markets[market]) for code, market in pairs]
        return cls(markets, place[first].tolist(), last.tolist(), of_run)


def _markets(state: PartitionState, blocks: Sequence[RowBlock]) -> tuple[IntArray, dict[int, str]]:
    """Return the number of each row's market, block by block, and the instrument that each market has last.

    Markets never seen are numbered in the order in which the log names them.
    """
    mentions = [_Mentions.of(block) for block in blocks]
    known = state.numbers
    unknown = [
        (first, venue, symbol)
        for each in mentions
        for first, (venue, symbol, _) in zip(each.first, each.markets, strict=True)
        if (venue, symbol) not in known
    ]
    for _, venue, symbol in sorted(unknown):
        state.number_of(venue, symbol)
    runs: list[IntArray] = []
    starts: list[IntArray] = []
    total = 0
    instruments: dict[int, str] = {}
    latest: dict[int, int] = {}
    for block, each in zip(blocks, mentions, strict=True):
        numbers = [known[venue, symbol] for venue, symbol, _ in each.markets]
        for number, (_, _, instrument), last in zip(numbers, each.markets, each.last, strict=True):
            if last >= latest.get(number, -1):
                latest[number], instruments[number] = last, instrument
        runs.append(np.array(numbers)[each.of_run])
        starts.append(block.starts + total)
        total += block.height
    ends = np.concatenate([*starts, np.array([total])])[1:]
    return np.repeat(np.concatenate(runs), ends - np.concatenate(starts)), instruments


def _columns_of(kind: Kind, parts: list[RowBlock]) -> dict[str, Any]:
    first = parts[0].columns
    if len(parts) == 1:
        columns = dict(first)
    else:
        columns = {
            name: np.concatenate([part.columns[name] for part in parts])
            if isinstance(values, np.ndarray)
            else [value for part in parts for value in part.columns[name]]
            for name, values in first.items()
        }
    if kind in (Kind.TRADES, Kind.LIQUIDATIONS):
        columns["micro_usd"] = gathering.micro_usd(columns["price"], columns["quantity"])
    return columns
