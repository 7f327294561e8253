"""Hand-made maps for the signals' tests: a bucket is $0.01 wide from $0.50 to $1.00, so a reader can count.

`market` makes what the position engine would say of one venue's minute; `Story` plays minutes one by one.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from liqheat.domain.events import Batch, Kind, schema_of
from liqheat.domain.market import LEVERAGE_BANDS, Basis, Side, Venue
from liqheat.domain.money import MICRO_USD_PER_USD
from liqheat.domain.price_grid import bucket_of, lower_edge
from liqheat.domain.signals import Alert, Cluster, ClusterShare, MarketSignal, SymbolSignal
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.codec import decode, encode
from liqheat.platform.settings import Signals
from liqheat.platform.state_codec import pack, unpack
from processors.signals import curves
from processors.signals.book import ROW, MapMinute, Piece, Rows, SideBook, side_books
from processors.signals.engine import Closed, Record, to_batches, update_all
from processors.signals.state import NO_ROWS, Reading, SignalState

FACTOR = 20
START = 1_767_225_600_000
"""2026-01-01 00:00 UTC."""

CLUSTER = {0.85: 3e6, 0.86: 3e6}
"""Longs on $0.85-$0.87: 6M, below 15% of the 100M ADV; their outer edge is $0.87."""

WALL = {0.83: 2e6, 0.84: 2e6, 0.85: 2e6, 0.86: 2e6}
"""Four buckets of 2M from $0.83 to $0.87."""

Levels = Mapping[float, float]
"""USD at risk (or swept) by the lower edge of a $0.01 bucket."""


def heatmap_frame(
    window: int,
    longs: Levels,
    shorts: Levels,
    swept_longs: Levels | None = None,
    swept_shorts: Levels | None = None,
    *,
    band: str = "10-25x",
    basis: str = "inferred",
    confidence: float = 0.5,
    factor: int = FACTOR,
) -> pl.DataFrame:
    """Return rows as the position engine writes them for one closed minute."""
    sides = ((1, longs, swept_longs or {}), (-1, shorts, swept_shorts or {}))
    cells = [
        (side, price, levels.get(price, 0), swept.get(price, 0))
        for side, levels, swept in sides
        for price in sorted({*levels, *swept})
    ]
    buckets = bucket_of([price * (1 + 1e-9) for _, price, _, _ in cells], factor)
    zeros = [0] * len(cells)
    columns = {
        "window_start": [window] * len(cells),
        "side": [side for side, _, _, _ in cells],
        "basis": [basis] * len(cells),
        "leverage_band": [band] * len(cells),
        "price_low": lower_edge(buckets, factor),
        "price_high": lower_edge(buckets + 1, factor),
        "at_risk_usd": [round(at_risk * MICRO_USD_PER_USD) for _, _, at_risk, _ in cells],
        "opened_usd": zeros,
        "closed_usd": zeros,
        "swept_usd": [round(swept * MICRO_USD_PER_USD) for _, _, _, swept in cells],
        "liquidated_usd": zeros,
        "confidence": [confidence] * len(cells),
        "revision": [1] * len(cells),
    }
    return pl.DataFrame(columns, schema=schema_of(Kind.HEATMAP_BUCKETS).polars)


def minute_frame(window: int, mark: float, **changes: Any) -> pl.DataFrame:
    """Return the market minute; `low`, `high` are the mark's range, other names are columns."""
    row = dict.fromkeys(schema_of(Kind.MARKET_MINUTES).polars, 0) | {
        "window_start": window,
        "mark_open": mark,
        "mark_high": changes.pop("high", mark),
        "mark_low": changes.pop("low", mark),
        "mark_close": mark,
        "index_price": math.nan,
        "funding_rate": math.nan,
        "open_interest": math.nan,
        "open_interest_usd": math.nan,
        "turnover_24h_usd": 100e6,
        "model_version": 1,
        "revision": 1,
    }
    return pl.DataFrame([row | changes], schema=schema_of(Kind.MARKET_MINUTES).polars)


_BAND_INDEX = {band: index for index, band in enumerate(LEVERAGE_BANDS)}


def read_rows(frame: pl.DataFrame) -> tuple[Rows, int]:
    """Return the rows of bucket frames, and the grid factor that they are published at.

    Args:
        frame: columns of `Kind.HEATMAP_BUCKETS`; may be empty (then the factor is 0, "unknown").
    """
    rows = np.zeros(frame.height, dtype=ROW)
    if not frame.height:
        return rows, 0
    columns = {series.name: series for series in frame.get_columns()}
    low, high = columns["price_low"].to_numpy(), columns["price_high"].to_numpy()
    edges = bucket_of(np.append(low, high[0]))
    factor = int(edges[-1] - edges[0])
    rows["bucket"] = edges[:-1] // factor
    rows["at_risk"] = rows["expected"] = columns["at_risk_usd"].to_numpy()
    rows["swept"] = columns["swept_usd"].to_numpy()
    rows["confidence"] = np.nan_to_num(columns["confidence"].to_numpy())
    rows["side"] = columns["side"].to_numpy()
    # A minute has some hundred rows, for which a dictionary is far quicker than a cast of polars.
    rows["band"] = [_BAND_INDEX.get(band, -1) for band in columns["leverage_band"].to_list()]
    rows["observed"] = (columns["basis"] == Basis.OBSERVED.value).to_numpy()
    return rows, factor


def readings_of(outputs: Sequence[Batch]) -> list[tuple[str, Reading]]:
    """Return the minutes in batches of bucket rows and market minutes with their venues, oldest first."""
    readings = []
    for batch in outputs:
        if batch.kind is not Kind.MARKET_MINUTES:
            continue
        frames = [each.frame for each in outputs if each.venue == batch.venue and each.kind is Kind.HEATMAP_BUCKETS]
        for minute in batch.frame.iter_rows(named=True):
            window = minute["window_start"]
            own = [frame.filter(pl.col("window_start") == window) for frame in frames]
            rows = np.concatenate([read_rows(frame)[0] for frame in own]) if own else NO_ROWS
            fields = {name: minute[name] for name in Reading.__struct_fields__ if name in minute and name != "rows"}
            fields.pop("window", None)
            readings.append((batch.venue, Reading(window=window, rows=rows, **fields)))
    return sorted(readings, key=lambda each: each[1].window)


def update(
    state: SignalState, readings: Iterable[tuple[str, Reading]], settings: Signals, factor: int
) -> list[tuple[Kind, str, Record]]:
    """Take in what closed of one symbol; return the records of its minutes."""
    closed = [Closed(state, venue, reading, settings) for venue, reading in readings]
    return [record for _, record in update_all(closed, factor)]


def said_of(state: SignalState, outputs: Sequence[Batch], settings: Signals, factor: int = FACTOR) -> list[Batch]:
    """Return the signals' batches that follow from outputs as above, as a reader of the log gets them."""
    said = update(state, readings_of(outputs), settings, factor)
    return [decode(*encode(batch)) for batch in to_batches([(state.symbol, each) for each in said])]


def market(
    window: int,
    mark: float,
    *frames: pl.DataFrame,
    venue: Venue = Venue.BINANCE,
    symbol: str = "VIRTUAL",
    **changes: Any,
) -> list[Batch]:
    """Return what the position engine publishes when a venue closes `window`."""
    buckets = [
        Batch.of_market(Kind.HEATMAP_BUCKETS, venue, symbol, f"{symbol}USDT", frame) for frame in frames if frame.height
    ]
    minutes = Batch.of_market(
        Kind.MARKET_MINUTES, venue, symbol, f"{symbol}USDT", minute_frame(window, mark, **changes)
    )
    return [*buckets, minutes]


def book(side: Side, levels: Levels, mark: float = 0.95, reach: float = 25.0, **options: Any) -> SideBook:
    """Return one side's book around `mark` from levels of one venue."""
    longs, shorts = (levels, {}) if side == Side.LONG else ({}, levels)
    rows, factor = read_rows(heatmap_frame(START, longs, shorts, **options))
    return book_of(side, mark, [rows], reach, factor or FACTOR)


def book_of(side: Side, mark: float, rows: Sequence[Rows], reach: float = 25.0, factor: int = FACTOR) -> SideBook:
    """Return one side's book around `mark` from rows of one venue."""
    pieces = [Piece(Venue.BINANCE, each) for each in rows]
    return side_books([MapMinute(mark, mark, reach, pieces)], factor)[0][side]


def liquidated_by(book: SideBook, price: float) -> int:
    """Return what a move to `price` would liquidate of a book, micro-USD."""
    return curves.liquidated_by(book, [price])[0]


class Story:
    """One symbol, minute by minute, from one venue; gathers everything that is published."""

    def __init__(self, **settings: Any) -> None:
        self.settings = Signals(**settings)
        self.state = SignalState("VIRTUAL")
        self.window = START
        self.clusters: list[Cluster] = []
        self.cluster_shares: list[tuple[str, ClusterShare]] = []
        self.alerts: list[Alert] = []
        self.readings: list[SymbolSignal] = []
        self.market_readings: list[tuple[str, MarketSignal]] = []

    def minute(
        self,
        mark: float,
        longs: Levels | None = None,
        shorts: Levels | None = None,
        swept_longs: Levels | None = None,
        swept_shorts: Levels | None = None,
        **changes: Any,
    ) -> list[Alert]:
        """Close the next minute; return the alerts of it."""
        frame = heatmap_frame(self.window, longs or {}, shorts or {}, swept_longs, swept_shorts)
        heard = self.hear(market(self.window, mark, frame, **changes))
        self.window += MINUTE_MS
        return heard

    def hear(self, outputs: list[Batch]) -> list[Alert]:
        """Take in outputs of the position engine; return the alerts that follow."""
        heard: list[Alert] = []
        for batch in said_of(self.state, outputs, self.settings):
            for _, _, *row in batch.frame.iter_rows():
                if batch.kind is Kind.CLUSTERS:
                    self.clusters.append(Cluster(*row))
                elif batch.kind is Kind.CLUSTER_SHARES:
                    self.cluster_shares.append((batch.venue, ClusterShare(*row)))
                elif batch.kind is Kind.ALERTS:
                    heard.append(Alert(*row))
                elif batch.kind is Kind.SYMBOL_SIGNALS:
                    self.readings.append(SymbolSignal(*row))
                elif batch.kind is Kind.MARKET_SIGNALS:
                    self.market_readings.append((batch.venue, MarketSignal(*row)))
        self.alerts += heard
        return heard

    def restart(self) -> None:
        """Go on from a checkpoint."""
        self.state = unpack(pack(self.state), SignalState)

    def latest_clusters(self) -> list[Cluster]:
        """Return the clusters of the last judged minute."""
        return [cluster for cluster in self.clusters if cluster.window_start == self.clusters[-1].window_start]


def rules(alerts: list[Alert]) -> list[str]:
    """Return the rules of alerts in order."""
    return [alert.kind for alert in alerts]


def alerts_of(story: Story, marks: list[float], **minute: Any) -> list[list[str]]:
    """Return the kinds of alerts of minute after minute that ends at each mark, below which is `CLUSTER`."""
    return [rules(story.minute(mark, longs=CLUSTER, **minute)) for mark in marks]


def swept_at(*prices: float) -> dict[str, dict[float, float]]:
    """Return what is left of the wall above `prices`, which the minute swept."""
    swept = {price: WALL[price] for price in prices}
    return {"longs": {price: usd for price, usd in WALL.items() if price < min(prices)}, "swept_longs": swept}
