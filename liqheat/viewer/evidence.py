"""What is shown beside the map as evidence: where moves come to rest, what earlier maps predicted, what clusters did.

Reads the views `cascades`, `track_record` and `evidence`. Answers are plain JSON: percentages, USD, null for what is
unknown.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from liqheat.domain.instruments import ALL_SYMBOLS
from liqheat.viewer.queries import Client, Parameters, records
from liqheat.viewer.signals import Found, signals_picture

RECORD_DAYS = 7
PROVEN_HOURS = 50
"""Hours with liquidations from which a symbol's record counts as proven, as in the view `track_record_months`."""

# A minute has two curves at most.
_CASCADES = """
SELECT symbol, window_start, side, mark_price, move_percent, rest_percent, liquidated_usd, beyond_percent,
       absorption_1, absorption_2, absorption_5, trigger_percent, trigger_price, trigger_rest_percent, book_coverage
FROM cascades
WHERE symbol IN {symbols:Array(String)} AND window_start < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
  AND window_start >= fromUnixTimestamp64Milli({end:Int64} - {stale:Int64}, 'UTC')
ORDER BY symbol, window_start DESC, side
LIMIT 2 BY symbol
"""

_RECORD = """
SELECT symbol, horizon_hours,
       sum(predicted_long_usd + predicted_short_usd) AS predicted_usd,
       sum(executed_long_usd + executed_short_usd) AS executed_usd,
       countIf(executed_long_usd + executed_short_usd > 0) AS judged,
       sumIf(place_weight * place_score, place_score IS NOT NULL) AS place,
       sumIf(place_weight * kernel_score, place_score IS NOT NULL) AS kernel,
       sumIf(place_weight, place_score IS NOT NULL) AS weight
FROM track_record
WHERE symbol IN {symbols:Array(String)} AND feed != 'none' AND NOT warming_up
  AND window_start >= fromUnixTimestamp64Milli({end:Int64}, 'UTC') - INTERVAL {days:UInt8} DAY
  AND window_start < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
GROUP BY symbol, horizon_hours
ORDER BY symbol, horizon_hours
"""

_FOLLOWED = """
SELECT symbol, stage, measure, horizon_minutes, cases, is_enough, difference, difference_low, difference_high, effect,
       verdict, words, symbols, percent_of_adv, near_percent,
       toUnixTimestamp(start_time) * 1000 AS start, toUnixTimestamp(end_time) * 1000 AS end
FROM evidence
WHERE symbol IN {symbols:Array(String)}
ORDER BY symbol, stage, measure, horizon_minutes
"""
_OF_SYMBOL = ("verdict", "symbols", "percent_of_adv", "near_percent", "start", "end")
_OF_STAGE = ("cases", "is_enough", "words")
_OF_OUTCOME = ("horizon_minutes", "difference", "difference_low", "difference_high", "effect")


def followed(client: Client, symbols: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return what followed once price met clusters, per symbol: of it (`own`) and of `all` together.

    Each is null where nothing was judged. By stage and measure there are lists of minutes, difference from like
    moments, its 95 % interval, and its effect.
    """
    found: dict[str, dict[str, Any]] = {}
    for symbol, rows in _by_symbol(client, _FOLLOWED, {"symbols": [*symbols, ALL_SYMBOLS]}).items():
        judged = found[symbol] = {name: rows[0][name] for name in _OF_SYMBOL} | {"stages": {}}
        for row in rows:
            known = {name: row[name] for name in _OF_STAGE} | {"outcomes": {}}
            stage = judged["stages"].setdefault(row["stage"], known)
            stage["outcomes"].setdefault(row["measure"], []).append([row[name] for name in _OF_OUTCOME])
    return {symbol: {"own": found.get(symbol), "all": found.get(ALL_SYMBOLS)} for symbol in symbols}


def cascades(client: Client, symbols: Sequence[str], end: int, stale: int) -> Found:
    """Return each symbol's newest curve of each direction before `end` and not older than `stale` (ms)."""
    parameters = {"symbols": list(symbols), "end": end, "stale": stale}
    found: Found = {symbol: [] for symbol in symbols}
    for symbol, rows in _by_symbol(client, _CASCADES, parameters).items():
        newest = rows[0]["window_start"]
        found[symbol] = [row for row in rows if row.pop("window_start") == newest]
    return found


def signals_answer(client: Client, symbol: str, start: int, end: int, stale: int) -> dict[str, Any]:
    """Return `signals_picture` with the symbol's cascade curves: what `liqheat watch` and `what-if` ask for."""
    curves = cascades(client, [symbol], end, stale)[symbol]
    return signals_picture(client, symbol, start, end) | {"cascades": curves}


def record(client: Client, symbols: Sequence[str], end: int) -> Found:
    """Return predicted and executed USD and place scores of the `RECORD_DAYS` before `end` (ms), per horizon."""
    parameters = {"symbols": list(symbols), "end": end, "days": RECORD_DAYS}
    found: Found = {symbol: [] for symbol in symbols}
    found |= _by_symbol(client, _RECORD, parameters)
    for row in chain.from_iterable(found.values()):
        weight, place, kernel = row.pop("weight"), row.pop("place"), row.pop("kernel")
        row |= {
            "days": RECORD_DAYS,
            "needed": PROVEN_HOURS,
            "proven": row["judged"] >= PROVEN_HOURS,
            "place_score": place / weight if weight else None,
            "kernel_score": kernel / weight if weight else None,
        }
    return found


def _by_symbol(client: Client, query: str, parameters: Parameters) -> Found:
    found: Found = {}
    for row in records(client.query(query, parameters=parameters)):
        found.setdefault(row.pop("symbol"), []).append(row)
    return found
