"""What is really there: every position of a market, and the liquidation map that follows from them.

Scores compare an inferred map with this one; the server writes both to Parquet while it runs.
"""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import numpy as np
import polars as pl

from liqheat.domain.money import to_micro_usd
from liqheat.domain.price_grid import MAXIMUM_PRICE, bucket_of, lower_edge, upper_edge
from liqheat.simulator.makers import maker_account
from liqheat.simulator.market import Market
from liqheat.simulator.traders import TraderKind

_CROSS_KINDS = (TraderKind.CROSS, TraderKind.HEDGER, TraderKind.MAKER)


@lru_cache(maxsize=100_000)
def account_address(symbol: str, account: int) -> str:
    """Return the address of an account: 20 bytes in hex, as on Hyperliquid."""
    return "0x" + blake2b(f"{symbol}:{account}".encode(), digest_size=20).hexdigest()


@dataclass(frozen=True, slots=True)
class Truth:
    """All positions of one coin at one time (ms).

    `positions` columns: `venue, symbol, account, kind, side` (+1/-1)`, quantity` (coins)`, entry_price,
    leverage, is_cross, margin` (USD)`, liquidation_price` and `bankruptcy_price` (NaN for none)`, notional`
    (USD at entry, which is how the engine books what was opened)`, opened` (ms).
    """

    time: int
    symbol: str
    mark_prices: dict[str, float]
    positions: pl.DataFrame

    def map(self, factor: int = 1) -> pl.DataFrame:
        """Return the liquidation map: at-risk notional at the price that liquidates it.

        Columns `venue, side, bucket, price_low, price_high, at_risk_usd` (int64 micro-USD), sorted; buckets on
        the price grid at the level `factor`. Positions without a liquidation price are in no bucket.
        """
        reachable = self.positions.filter(
            pl.col("liquidation_price").is_not_nan() & (pl.col("liquidation_price") <= MAXIMUM_PRICE)
        )
        buckets = bucket_of(reachable["liquidation_price"].to_numpy(), factor)
        return (
            reachable.select("venue", "side")
            .with_columns(
                bucket=pl.Series(buckets, dtype=pl.Int64),
                at_risk_usd=pl.Series(to_micro_usd(reachable["notional"].to_numpy()), dtype=pl.Int64),
            )
            .group_by("venue", "side", "bucket")
            .agg(pl.col("at_risk_usd").sum())
            .sort("venue", "side", "bucket")
            .with_columns(
                price_low=pl.col("bucket").map_batches(lambda column: pl.Series(lower_edge(column.to_numpy(), factor))),
                price_high=pl.col("bucket").map_batches(
                    lambda column: pl.Series(upper_edge(column.to_numpy(), factor))
                ),
            )
            .select("venue", "side", "bucket", "price_low", "price_high", "at_risk_usd")
        )


def truth_of(market: Market) -> Truth:
    """Return the true positions of `market` as they are now."""
    table, listings = market.positions, market.listings
    rows = table.open_rows
    quantity = table.quantity(rows)
    venues = np.array([listing.venue.value for listing in listings])
    symbol = market.coin.symbol
    traders = pl.DataFrame(
        {
            "venue": venues[table.venue[rows]].tolist(),
            "account": [account_address(symbol, number) for number in table.account[rows].tolist()],
            "kind": [TraderKind(kind).name.lower() for kind in table.kind[rows].tolist()],
            "side": table.side[rows].astype(np.int8),
            "quantity": quantity,
            "entry_price": table.entry_price[rows],
            "leverage": table.leverage[rows],
            "is_cross": np.isin(table.kind[rows], _CROSS_KINDS),
            "margin": table.margin[rows],
            "liquidation_price": table.liquidation_price[rows],
            "bankruptcy_price": table.bankruptcy_price(rows),
            "notional": quantity * table.entry_price[rows],
            "opened": table.opened[rows],
        }
    )
    positions = pl.concat([traders, _makers_of(market, traders.schema)])
    return Truth(
        market.now,
        symbol,
        {listing.venue.value: float(mark) for listing, mark in zip(listings, market.mark_prices, strict=True)},
        positions.with_columns(symbol=pl.lit(symbol)).select("venue", "symbol", pl.exclude("venue", "symbol")),
    )


def _makers_of(market: Market, schema: pl.Schema) -> pl.DataFrame:
    venue, maker = np.nonzero(market.makers.lots)
    lots = market.makers.lots[venue, maker]
    quantity = np.abs(lots) * market.quantity_steps[venue]
    marks = market.mark_prices[venue]
    accounts = maker_account(maker).tolist()
    nothing = np.full(len(lots), np.nan)
    return pl.DataFrame(
        {
            "venue": [market.listings[number].venue.value for number in venue],
            "account": [account_address(market.coin.symbol, account) for account in accounts],
            "kind": [TraderKind.MAKER.name.lower()] * len(lots),
            "side": np.sign(lots).astype(np.int8),
            "quantity": quantity,
            "entry_price": marks,
            "leverage": np.ones(len(lots)),
            "is_cross": np.ones(len(lots), bool),
            "margin": quantity * marks,
            "liquidation_price": nothing,
            "bankruptcy_price": nothing,
            "notional": quantity * marks,
            "opened": np.full(len(lots), market.now),
        },
        schema=schema,
    )


def write_truth(truths: list[Truth], directory: Path) -> None:
    """Write `positions-TIME.parquet` and `map-TIME.parquet` of all coins at one time into `directory`.

    The map has a column `symbol` in front and a `time` (ms) behind.
    """
    directory.mkdir(parents=True, exist_ok=True)
    time = max(truth.time for truth in truths)
    stamp = pl.lit(time, dtype=pl.Int64).alias("time")
    positions = pl.concat([truth.positions for truth in truths]).with_columns(stamp)
    maps = [truth.map().select(pl.lit(truth.symbol).alias("symbol"), pl.all()) for truth in truths]
    positions.write_parquet(directory / f"positions-{time}.parquet")
    pl.concat(maps).with_columns(stamp).write_parquet(directory / f"map-{time}.parquet")
