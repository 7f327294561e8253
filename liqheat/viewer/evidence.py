"""What is shown beside the map as evidence: where moves come to rest, what earlier maps predicted, what clusters did.

Reads the views `cascades`, `track_record` and `evidence`. Answers are plain JSON: percentages, USD, null for what is
unknown.
"""

from typing import Any

from liqheat.scoring.study_rows import ALL
from liqheat.viewer.queries import Client, records
from liqheat.viewer.signals import signals_picture

RECORD_DAYS = 7
PROVEN_HOURS = 50
"""Hours with liquidations from which a symbol's record counts as proven, as in the view `track_record_months`."""

_CASCADES = """
SELECT side, mark_price, move_percent, rest_percent, liquidated_usd, beyond_percent,
       absorption_1, absorption_2, absorption_5, trigger_percent, trigger_price, trigger_rest_percent, book_coverage
FROM cascades
WHERE symbol = {symbol:String} AND window_start = (
    SELECT max(window_start) FROM cascades
    WHERE symbol = {symbol:String} AND window_start < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
      AND window_start >= fromUnixTimestamp64Milli({end:Int64} - {stale:Int64}, 'UTC'))
ORDER BY side
"""

_RECORD = """
SELECT horizon_hours,
       sum(predicted_long_usd + predicted_short_usd) AS predicted_usd,
       sum(executed_long_usd + executed_short_usd) AS executed_usd,
       countIf(executed_long_usd + executed_short_usd > 0) AS judged,
       sumIf(place_weight * place_score, place_score IS NOT NULL) AS place,
       sumIf(place_weight * kernel_score, place_score IS NOT NULL) AS kernel,
       sumIf(place_weight, place_score IS NOT NULL) AS weight
FROM track_record
WHERE symbol = {symbol:String} AND feed != 'none' AND NOT warming_up
  AND window_start >= fromUnixTimestamp64Milli({end:Int64}, 'UTC') - INTERVAL {days:UInt8} DAY
  AND window_start < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
GROUP BY horizon_hours
ORDER BY horizon_hours
"""

_FOLLOWED = """
SELECT symbol, stage, measure, horizon_minutes, cases, is_enough, difference, difference_low, difference_high, effect,
       verdict, words, symbols, percent_of_adv, near_percent,
       toUnixTimestamp(start_time) * 1000 AS start, toUnixTimestamp(end_time) * 1000 AS end
FROM evidence
WHERE symbol IN ({symbol:String}, {all:String})
ORDER BY symbol, stage, measure, horizon_minutes
"""
_OF_SYMBOL = ("verdict", "symbols", "percent_of_adv", "near_percent", "start", "end")
_OF_STAGE = ("cases", "is_enough", "words")
_OF_OUTCOME = ("horizon_minutes", "difference", "difference_low", "difference_high", "effect")


def followed(client: Client, symbol: str) -> dict[str, Any]:
    """Return what followed once price met clusters: of the symbol (`own`) and of `all` together, null where not judged.

    By stage and measure there are lists of minutes, difference from like moments, its 95 % interval, and its effect.
    """
    found: dict[str, Any] = {"own": None, "all": None}
    for row in records(client.query(_FOLLOWED, parameters={"symbol": symbol, "all": ALL})):
        of = "all" if row["symbol"] == ALL else "own"
        if found[of] is None:
            found[of] = {name: row[name] for name in _OF_SYMBOL} | {"stages": {}}
        stage = found[of]["stages"].setdefault(row["stage"], {name: row[name] for name in _OF_STAGE} | {"outcomes": {}})
        stage["outcomes"].setdefault(row["measure"], []).append([row[name] for name in _OF_OUTCOME])
    return found


def cascades(client: Client, symbol: str, end: int, stale: int) -> list[dict[str, Any]]:
    """Return the symbol's newest curve of each direction before `end` and not older than `stale` (ms)."""
    parameters = {"symbol": symbol, "end": end, "stale": stale}
    return records(client.query(_CASCADES, parameters=parameters))


def signals_answer(client: Client, symbol: str, start: int, end: int, stale: int) -> dict[str, Any]:
    """Return `signals_picture` with the symbol's cascade curves: what `liqheat watch` and `what-if` ask for."""
    return signals_picture(client, symbol, start, end) | {"cascades": cascades(client, symbol, end, stale)}


def record(client: Client, symbol: str, end: int) -> list[dict[str, Any]]:
    """Return predicted and executed USD and the place scores of the `RECORD_DAYS` before `end` (ms), per horizon."""
    parameters = {"symbol": symbol, "end": end, "days": RECORD_DAYS}
    rows = records(client.query(_RECORD, parameters=parameters))
    for row in rows:
        weight, place, kernel = row.pop("weight"), row.pop("place"), row.pop("kernel")
        row |= {
            "days": RECORD_DAYS,
            "needed": PROVEN_HOURS,
            "proven": row["judged"] >= PROVEN_HOURS,
            "place_score": place / weight if weight else None,
            "kernel_score": kernel / weight if weight else None,
        }
    return rows
