"""Which rows OKX sends on which channel, and how a row of a REST answer shows its kind; read by the mapper."""

from typing import Any

from msgspec import Raw

from ingest.venues.okx import messages as raw
from ingest.venues.wire import RowReader, fields_in

READERS: dict[str, RowReader[Any]] = {
    "ctVal": RowReader(raw.Instrument, "an OKX instrument"),
    "mmr": RowReader(raw.PositionTier, "an OKX position tier"),
    "oi": RowReader(raw.OpenInterest, "OKX open interest"),
    "markPx": RowReader(raw.MarkPrice, "an OKX mark"),
    "idxPx": RowReader(raw.IndexTicker, "an OKX index price"),
    "volCcy24h": RowReader(raw.Ticker, "an OKX ticker"),
    "tradeId": RowReader(raw.Trade, "an OKX trade"),
    "fundingRate": RowReader(raw.FundingRate, "an OKX funding rate"),
    "details": RowReader(raw.LiquidationOrders, "OKX liquidations"),
}
"""By the field that only this kind of row has; a row of a REST answer is of the first kind whose field it has."""
KIND_OF_CHANNEL = {
    "trades": "tradeId",
    "trades-all": "tradeId",
    "mark-price": "markPx",
    "index-tickers": "idxPx",
    "funding-rate": "fundingRate",
    "open-interest": "oi",
    "liquidation-orders": "details",
    "tickers": "volCcy24h",
    "instruments": "ctVal",
}
SILENT_CHANNELS = frozenset(
    {"bbo-tbt", "books", "books-l2-tbt", "books5", "books50-l2-tbt", "estimated-price", "price-limit", "status"}
)
"""Documented channels that say nothing about positions."""
ANSWERS = frozenset({"subscribe", "unsubscribe", "login"})
"""Events that answer what we sent; others are notices."""


def kind_of(row: Raw) -> str:
    """Return the field that shows the kind of a row; "" where none does, as in candles."""
    fields = fields_in(row)
    return next((field for field in READERS if field in fields), "")
