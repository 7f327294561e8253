"""A simulated history with clusters, written into the tables as the services would: for tests of what is made of it."""

from typing import Any

import numpy as np
from clickhouse_connect.driver.client import Client

from liqheat.domain.events import Kind
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.errors import Origin
from liqheat.platform.settings import Settings
from liqheat.scoring.study_moments import History
from sinks.clickhouse.rows import hours_of_minutes, rows_of
from sinks.clickhouse.tables import MARKET_HOURS, STORED
from sinks.clickhouse.writer import ClickHouseWriter
from tests.support.sink_fakes import filled_batch

START_MS = 1_767_225_600_000
END_MS = START_MS + 100 * 86_400_000


def write_history(history: History, settings: Settings, client: Client) -> None:
    """Write a simulated history as the services would, with a second venue that joins late and is a percent off."""
    times = (START_MS + MINUTE_MS * np.arange(len(history.close))).tolist()
    minutes: dict[str, list[dict[str, Any]]] = {"binance": [], "bybit": []}
    for place, time in enumerate(times):
        row = {"window_start": time, "model_version": 2}
        marks = {f"mark_{name}": float(getattr(history, name)[place]) for name in ("close", "high", "low")}
        longs, shorts = (round(float(usd) * 1e6) // 2 for usd in history.executed[place])
        row |= {"liquidated_long_usd": longs, "liquidated_short_usd": shorts}
        minutes["binance"].append(row | marks)
        if place >= 1_000:
            minutes["bybit"].append(row | {name: 1.01 * price for name, price in marks.items()})
    of_clusters = history.clusters
    clusters = [
        {
            "window_start": times[of_clusters.minute[place]],
            "cluster_id": f"cluster {of_clusters.cluster[place]:04d}",
            "side": int(of_clusters.side[place]),
            "state": "swept" if of_clusters.swept[place] else "steady",
            "price_low": float(of_clusters.low[place]),
            "price_high": float(of_clusters.high[place]),
            "percent_of_adv": float(of_clusters.percent_of_adv[place]),
        }
        for place in range(len(of_clusters.cluster))
    ]
    small = {"window_start": times[5], "cluster_id": "small", "side": 1, "price_low": 0.9, "price_high": 0.95}
    batches = [
        filled_batch(Kind.MARKET_MINUTES, *of_venue, symbol=history.symbol, venue=venue)
        for venue, of_venue in minutes.items()
    ]
    batches.append(
        filled_batch(Kind.CLUSTERS, *clusters, small | {"percent_of_adv": 1.0}, symbol=history.symbol, venue="all")
    )
    judged = [{"window_start": time} for time in times]
    batches.append(filled_batch(Kind.SYMBOL_SIGNALS, *judged, symbol=history.symbol, venue="all"))
    # Another symbol, backfilled: no daily volume is known.
    for venue in ("binance", "bybit"):
        flows = [
            {"window_start": time, "mark_close": 1.0, "mark_high": 1.0, "mark_low": 1.0, "taker_buy_usd": 10**9}
            for time in times[:200]
        ]
        batches.append(filled_batch(Kind.MARKET_MINUTES, *flows, symbol="OLD", venue=venue))
    old = [
        {"window_start": times[minute], "cluster_id": "old", "side": 1, "at_risk_usd": 288_000 * 10**6}
        for minute in (10, 100, 150)
    ]
    batches.append(filled_batch(Kind.CLUSTERS, *old, symbol="OLD", venue="all"))
    writer = ClickHouseWriter(client, settings.clickhouse)
    for batch in batches:
        rows = rows_of(batch, Origin("test", 0, 0))
        writer.insert(STORED[batch.kind].table.name, [rows])
        if batch.kind is Kind.MARKET_MINUTES:
            writer.insert(MARKET_HOURS.name, [hours_of_minutes(rows)])
