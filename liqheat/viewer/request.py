"""What the page may ask for, read from a query string and checked before any SQL sees it.

A wrong parameter is a `BadRequest` with a sentence; the server answers it with status 400.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from liqheat.domain.instruments import symbol_asked
from liqheat.domain.market import LEVERAGE_BANDS, Basis, Venue
from liqheat.domain.price_grid import MAXIMUM_PRICE, MINIMUM_PRICE
from liqheat.domain.windows import DAY_MS, HOUR_MS, MINUTE_MS

RANGES: dict[str, tuple[int, int]] = {
    "1h": (HOUR_MS, MINUTE_MS),
    "3h": (3 * HOUR_MS, MINUTE_MS),
    "6h": (6 * HOUR_MS, MINUTE_MS),
    "24h": (DAY_MS, 5 * MINUTE_MS),
    "3d": (3 * DAY_MS, 15 * MINUTE_MS),
    "7d": (7 * DAY_MS, 30 * MINUTE_MS),
}
"""Length and column width of each range, ms; none has more than 360 columns."""

MAXIMUM_COLUMNS = 360
STEPS = tuple(minutes * MINUTE_MS for minutes in (1, 5, 15, 30, 60, 180, 360, 1_440))
"""Column widths that a stretch chosen by hand may get, ms: the narrowest that keeps to `MAXIMUM_COLUMNS`."""
LONGEST_STRETCH = 90 * DAY_MS

MEASURES = ("at_risk", "expected")
"""What the map shows: positions whose liquidation price is there, or what will be executed if price gets there."""

SPANS = (3, 5, 10, 20, 40)
"""How far the picture reaches beyond the lowest and highest mark price, in %."""

_SYMBOL = re.compile(r"^[^\W_]{1,40}$")


class BadRequest(ValueError):
    """A parameter is missing or wrong; the message says which, and what was expected."""


def checked_symbol(text: str) -> str:
    """Return the canonical symbol that `text` asks for: letters and digits of any script, upper case.

    Raises:
        BadRequest: it is something else.
    """
    symbol = symbol_asked(text)
    if not _SYMBOL.match(symbol):
        raise BadRequest("Expected a symbol such as VIRTUAL")
    return symbol


class Shape(NamedTuple):
    """What decides which columns of a symbol's map a picture takes: their width (ms), the measure and the filters."""

    step: int
    measure: str
    venues: tuple[str, ...]
    bases: tuple[str, ...]
    bands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MapRequest:
    """One picture: a symbol over a range, filtered; `since` and `grid` name what the page already has.

    `since` is the start (ms) of the first column that the page wants again, 0 for all of them. `end` is the end (ms)
    of a stretch chosen by hand, 0 for "up to now"; `low` and `high` its prices (USD), 0 for `span` around the price.
    """

    symbol: str
    measure: str
    length: int
    step: int
    end: int
    span: int
    low: float
    high: float
    venues: tuple[str, ...]
    bases: tuple[str, ...]
    bands: tuple[str, ...]
    since: int
    grid: str

    @property
    def shape(self) -> Shape:
        """What pictures of other ranges share with this one."""
        return Shape(self.step, self.measure, self.venues, self.bases, self.bands)

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> "MapRequest":
        """Read a query string; filters left out mean "all", given but empty mean "none".

        Raises:
            BadRequest: a value is not one of those offered.
        """
        symbol = checked_symbol(query.get("symbol", ""))
        range_name = query.get("range", "6h")
        if range_name not in RANGES:
            raise BadRequest(f"Expected a range out of {', '.join(RANGES)}")
        length, step = RANGES[range_name]
        begin, end = _integer(query, "from", 0), _integer(query, "to", 0)
        if begin or end:
            length, step, end = _stretch(begin, end)
        low, high = _price(query, "low"), _price(query, "high")
        if (low or high) and not low < high:
            raise BadRequest("Expected low below high")
        measure = query.get("measure", "at_risk")
        if measure not in MEASURES:
            raise BadRequest(f"Expected a measure out of {', '.join(MEASURES)}")
        span = _integer(query, "span", 10)
        if span not in SPANS:
            raise BadRequest(f"Expected a span out of {', '.join(map(str, SPANS))} %")
        return cls(
            symbol=symbol,
            measure=measure,
            length=length,
            step=step,
            end=end,
            span=span,
            low=low,
            high=high,
            venues=_chosen(query, "venues", tuple(venue.value for venue in Venue)),
            bases=_chosen(query, "bases", tuple(basis.value for basis in Basis)),
            bands=_chosen(query, "bands", LEVERAGE_BANDS),
            since=_integer(query, "since", 0),
            grid=query.get("grid", ""),
        )


def _stretch(begin: int, end: int) -> tuple[int, int, int]:
    """Return length, column width and end (ms) of a stretch chosen by hand, widened to whole columns."""
    if not 0 < end - begin <= LONGEST_STRETCH:
        raise BadRequest("Expected `from` before `to`, at most 90 days apart, in ms since 1970")
    step = next(step for step in STEPS if end - begin <= step * MAXIMUM_COLUMNS)
    end = -(-end // step) * step
    columns = min(max(-(-(end - begin) // step), 1), MAXIMUM_COLUMNS)
    return columns * step, step, end


def _price(query: Mapping[str, str], name: str) -> float:
    text = query.get(name)
    if text is None:
        return 0.0
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not MINIMUM_PRICE <= value <= MAXIMUM_PRICE:
        raise BadRequest(f"Expected {name} as a price in USD")
    return value


def _integer(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isdecimal() or len(text) > 15:
        raise BadRequest(f"Expected {name} as a whole number")
    return int(text)


def _chosen(query: Mapping[str, str], name: str, offered: tuple[str, ...]) -> tuple[str, ...]:
    text = query.get(name)
    if text is None:
        return offered
    chosen = {part for part in text.split(",") if part}
    if unknown := chosen - set(offered):
        raise BadRequest(f"Expected {name} out of {', '.join(offered)}, not {', '.join(sorted(unknown))[:80]}")
    # In one order and each once, for what is kept is found by it.
    return tuple(each for each in offered if each in chosen)
