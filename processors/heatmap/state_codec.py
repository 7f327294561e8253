"""A symbol's state as compact bytes and back, for the checkpoint.

MessagePack of plain values, arrays sparse and byte-shuffled, the whole zstd-compressed behind a version
byte. What is loaded behaves exactly like what was dumped; a version from another build is refused.
"""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import zstandard

from liqheat.domain.events import Kind
from liqheat.domain.margin_tiers import MarginTiers
from liqheat.platform.errors import FatalError
from liqheat.platform.settings import Engine as EngineSettings
from processors.heatmap.market import Market
from processors.heatmap.minutes import Minute, Window
from processors.positions.book import BANDS, SideBook
from processors.positions.learned_mix import Evidence, SymbolMix
from processors.positions.observed import ObservedPosition

VERSION = 4
_LEVEL = 3

PackedArray = tuple[str, int, bytes]
PackedSide = tuple[PackedArray, PackedArray, PackedArray, PackedArray]


class PackedMarket(msgspec.Struct, array_like=True):
    """One market as MessagePack holds it; the names are those of `Market`."""

    venue: str
    instrument: str
    tiers: list[list[float]]
    tier_rows: list[list[float]]
    window: tuple[int, int]
    ahead: list[tuple[str, dict[str, PackedArray]]]
    minute: tuple[int, float, float, float, int, int, int, int]
    liquidated: list[tuple[int, int, int]]
    prices: tuple[float, float, float, int, float, float]
    open_interest: tuple[float, int]
    uncovered: list[float]
    swept_since: list[int]
    scale: list[float]
    weights: list[list[float]]
    swept_minute: list[list[int]]
    swept_lesson: list[list[int]]
    executed_lesson: tuple[float, float, float]
    opened_by_size: list[float]
    band_variances: list[float]
    evidence: tuple[list[list[float]], list[float], list[float], float, int, float, float]
    profile: tuple[float, PackedArray, PackedArray]
    books: list[PackedSide]
    observed_seen: bool
    observed_books: list[PackedSide]
    accounts: list[tuple[str, int, float, int, int, int]]


class PackedState(msgspec.Struct, array_like=True):
    """One symbol as MessagePack holds it."""

    symbol: str
    applied_rows: int
    grid_factor: int
    mix_logs: list[float]
    markets: list[PackedMarket]


def pack(state: PackedState) -> bytes:
    """Return the bytes of a checkpoint."""
    return bytes([VERSION]) + zstandard.ZstdCompressor(level=_LEVEL).compress(msgspec.msgpack.encode(state))


def unpack(data: bytes) -> PackedState:
    """Read the bytes of a checkpoint.

    Raises:
        FatalError: another version wrote it, or it is damaged.
    """
    if not data or data[0] != VERSION:
        version = data[0] if data else "none"
        raise FatalError(
            f"The checkpoint has format version {version}, this build reads {VERSION}: "
            "replay the log from its start, or run the build that wrote it"
        )
    try:
        return msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(data[1:]), type=PackedState)
    except (zstandard.ZstdError, msgspec.DecodeError) as error:
        raise FatalError(f"The checkpoint is damaged: {error}") from error


def pack_market(market: Market) -> PackedMarket:
    """Take a market's state apart."""
    minute, window = market.minute, market.window
    reach = market.reach
    evidence = reach.symbol_mix.of(market.venue)
    profile = market.profile.amounts.reshape(-1)
    traded = np.flatnonzero(profile)
    return PackedMarket(
        venue=market.venue,
        instrument=market.instrument,
        tiers=market.tiers.rows() if market.tiers else [],
        tier_rows=market.tier_rows,
        window=(window.start, window.watermark),
        ahead=[(kind.value, {name: _pack(values) for name, values in rows.items()}) for kind, rows in window.ahead],
        minute=(
            minute.rows,
            minute.mark_open,
            minute.mark_high,
            minute.mark_low,
            minute.taker_buy,
            minute.taker_sell,
            minute.late_rows,
            minute.liquidations,
        ),
        liquidated=[(side, bucket, amount) for (side, bucket), amount in sorted(minute.liquidated.items())],
        prices=(
            market.mark_price,
            market.index_price,
            market.funding_rate,
            market.next_funding_time,
            market.last_trade_price,
            market.turnover,
        ),
        open_interest=(market.open_interest, market.open_interest_time),
        uncovered=market.uncovered,
        swept_since=market.swept_since,
        scale=market.scale,
        weights=reach.weights.tolist(),
        swept_minute=market.swept_minute.tolist(),
        swept_lesson=reach.swept.tolist(),
        executed_lesson=(reach.executed[0], reach.executed[1], reach.executed_squares),
        opened_by_size=reach.opened_by_size.tolist(),
        band_variances=reach.band_variances.tolist(),
        evidence=(
            evidence.precision.tolist(),
            evidence.response.tolist(),
            evidence.standing.tolist(),
            evidence.interest,
            evidence.lessons,
            evidence.executed,
            evidence.executed_squares,
        ),
        profile=(market.profile.reference, _pack(traded), _pack(profile[traded])),
        books=[_pack_side(book) for book in market.books],
        observed_seen=market.observed.seen,
        observed_books=[_pack_side(book) for book in market.observed.books],
        accounts=[
            (name, held.side, held.quantity, held.band, held.bucket, held.amount)
            for name, held in sorted(market.observed.accounts.items())
        ],
    )


def unpack_market(packed: PackedMarket, settings: EngineSettings, symbol_mix: SymbolMix) -> Market:
    """Put a market's state together; its evidence goes into `symbol_mix`."""
    market = Market(packed.venue, settings, symbol_mix)
    market.instrument = packed.instrument
    market.tiers = MarginTiers.of(packed.tiers) if packed.tiers else None
    market.tier_rows = packed.tier_rows
    ahead = [
        (Kind(kind), {name: _unpack(values) for name, values in columns.items()}) for kind, columns in packed.ahead
    ]
    market.window = Window(*packed.window, ahead)
    market.minute = Minute(
        *packed.minute, liquidated={(side, bucket): amount for side, bucket, amount in packed.liquidated}
    )
    (
        market.mark_price,
        market.index_price,
        market.funding_rate,
        market.next_funding_time,
        market.last_trade_price,
        market.turnover,
    ) = packed.prices
    market.open_interest, market.open_interest_time = packed.open_interest
    market.uncovered, market.swept_since, market.scale = packed.uncovered, packed.swept_since, packed.scale
    reach = market.reach
    reach.weights = np.array(packed.weights)
    market.swept_minute = np.array(packed.swept_minute, dtype=np.int64)
    reach.swept = np.array(packed.swept_lesson, dtype=np.int64)
    reach.executed, reach.executed_squares = list(packed.executed_lesson[:2]), packed.executed_lesson[2]
    reach.opened_by_size = np.array(packed.opened_by_size)
    reach.band_variances = np.array(packed.band_variances)
    precision, response, standing, interest, lessons, executed, squares = packed.evidence
    symbol_mix.evidence[packed.venue] = Evidence(
        np.array(precision), np.array(response), np.array(standing), interest, lessons, executed, squares
    )
    reference, cells, amounts = packed.profile
    market.profile.reference = reference
    market.profile.amounts.reshape(-1)[_unpack(cells)] = _unpack(amounts)
    for book, side in zip(market.books, packed.books, strict=True):
        _unpack_side(book, side)
    market.observed.seen = packed.observed_seen
    for book, side in zip(market.observed.books, packed.observed_books, strict=True):
        _unpack_side(book, side)
    market.observed.accounts = {
        name: ObservedPosition(side, quantity, band, bucket, amount)
        for name, side, quantity, band, bucket, amount in packed.accounts
    }
    return market


def _pack_side(book: SideBook) -> PackedSide:
    """Take a book apart into places and amounts of its levels, then of its flows."""
    rows, columns = np.nonzero(book.standing)
    flows, flow_bands, flow_columns = np.nonzero(book.flows)
    first = book.base // book.factor
    return (
        _pack((columns + book.base) * len(book.bands) + rows),
        _pack(book.standing[rows, columns]),
        _pack(((flow_columns + first) * BANDS + flow_bands) * 3 + flows),
        _pack(book.flows[flows, flow_bands, flow_columns]),
    )


def _unpack_side(book: SideBook, packed: PackedSide) -> None:
    places, levels, flow_places, flows = (_unpack(values) for values in packed)
    flow_cells, kinds = np.divmod(flow_places, 3)
    flow_columns, flow_bands = np.divmod(flow_cells, BANDS)
    columns, rows = np.divmod(places, len(book.bands))
    book.restore(rows, columns, levels, kinds, flow_bands, flow_columns, flows)


def _pack(values: npt.NDArray[Any]) -> PackedArray:
    """Pack a 1-D array: type, length, and its bytes with all first bytes first, which compress far better."""
    size = values.dtype.itemsize
    shuffled = np.ascontiguousarray(values).view(np.uint8).reshape(-1, size).T
    return values.dtype.str, len(values), shuffled.tobytes()


def _unpack(packed: PackedArray) -> npt.NDArray[Any]:
    dtype, length, data = packed
    size = np.dtype(dtype).itemsize
    shuffled = np.frombuffer(data, dtype=np.uint8).reshape(size, length)
    return np.ascontiguousarray(shuffled.T).view(dtype).reshape(-1)
