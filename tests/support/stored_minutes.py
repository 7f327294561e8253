"""Random stored minutes, random questions about them, and the comparison with what the direct question shows."""

import random
from typing import Any

from clickhouse_connect.driver.client import Client

from liqheat.domain.windows import HOUR_MS, MINUTE_MS
from liqheat.viewer import picture
from liqheat.viewer.request import MapRequest
from liqheat.viewer.stored import Store
from tests.support.direct_picture import direct, shown_of

START = 1_767_225_600_000 + 7 * HOUR_MS  # 2026-01-01 07:00 UTC
STALE = 5 * MINUTE_MS
SYMBOLS = ("VIRTUAL", "TAO")


def store_minutes(client: Client, first: int, minutes: int, revision: int = 1) -> None:
    """Write minutes of two symbols on three venues: a fifth of a venue's minutes are missing, some have no levels."""
    keys = f"""
        (SELECT number % {minutes} AS minute, intDiv(number, {minutes}) % 3 AS place,
                {list(SYMBOLS)}[1 + intDiv(number, {3 * minutes})] AS symbol,
                ['binance', 'bybit', 'okx'][1 + place] AS venue,
                toDateTime({first // 1_000} + 60 * minute) AS window_start,
                cityHash64(symbol, venue, window_start) AS chance
         FROM numbers({6 * minutes}) WHERE chance % 5 > 0)"""
    client.command(
        "INSERT INTO market_minutes_raw (symbol, venue, window_start, mark_open, mark_high, mark_low, mark_close,"
        " open_interest_usd, turnover_24h_usd, liquidated_long_micro_usd, model_version, revision)"
        f" SELECT symbol, venue, window_start, 1 + chance % 7 / 1000, 1.01 + chance % 5 / 1000, 0.99, {revision} +"
        f" chance % 3 / 1000, 1e7, 5e7, chance % 11 * 1000000, 2, {revision} FROM {keys}"
    )
    client.command(
        "INSERT INTO heatmap_levels_raw (symbol, venue, window_start, side, basis, leverage_band, bucket,"
        " at_risk_steps, expected_steps, opened_steps, closed_steps, swept_micro_usd, liquidated_micro_usd,"
        " confidence, grid_factor, model_version, revision)"
        " SELECT symbol, venue, window_start, side, ['inferred', 'observed'][1 + chance % 2],"
        " ['1-5x', '50x+'][1 + chance % 2], arrayMap(x -> x + if(side = 'long', -60, 20), range(40)) AS bucket,"
        f" arrayMap(x -> toUInt16(cityHash64(chance, x, {revision}) % 3000), bucket) AS steps,"
        " arrayMap(x -> intDiv(x, 2), steps), steps, steps, arrayMap(x -> 0, bucket), arrayMap(x -> 0, bucket),"
        f" arrayMap(x -> 0.5, bucket), 5, 2, {revision} FROM {keys} ARRAY JOIN ['long', 'short'] AS side"
        " WHERE chance % 13 > 0"
    )
    client.command(
        "INSERT INTO liquidations_raw (symbol, venue, event_time, side, price, quantity, occurrence)"
        " SELECT symbol, venue, toDateTime64(window_start, 3) + chance % 60, 'long', 1., toFloat64(chance % 977),"
        f" {revision} FROM {keys} WHERE chance % 3 = 0"
    )


def any_request(choose: random.Random, first: int, latest: int) -> dict[str, str]:
    query = {"symbol": choose.choice(SYMBOLS), "measure": choose.choice(("at_risk", "expected"))}
    if choose.random() < 0.4:
        query["range"] = choose.choice(("1h", "3h", "6h", "24h", "7d"))
    else:
        length = choose.randrange(5 * MINUTE_MS, 13 * HOUR_MS)
        end = choose.randrange(first + HOUR_MS, latest + HOUR_MS)
        query |= {"from": str(end - length), "to": str(end)}
    if choose.random() < 0.3:
        query |= {"low": "0.83", "high": str(choose.choice((0.99, 1.04)))}
    if choose.random() < 0.2:
        query |= {"venues": choose.choice(("binance", "okx,bybit")), "bands": "1-5x"}
    return query


def asked(client: Client, store: Store, query: dict[str, str], now: int) -> dict[str, Any]:
    return picture.heatmap_picture(store, client, MapRequest.parse(query), 5, now)


def assert_direct(client: Client, store: Store, query: dict[str, str], now: int, latest: dict[str, int]) -> None:
    request = MapRequest.parse(query)
    answer = asked(client, store, query, now)
    if answer["state"] == "ready":
        expected = direct(client, request, answer, latest[request.symbol], store.stale_ms)
        for part, shown in shown_of(answer).items():
            assert shown == expected[part], (part, query)


def latest_of(client: Client) -> dict[str, int]:
    query = "SELECT symbol, toInt64(toUnixTimestamp(max(window_start))) * 1000 FROM market_minutes GROUP BY symbol"
    return {str(row[0]): int(row[1]) for row in client.query(query).result_rows}
