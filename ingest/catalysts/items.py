"""News and known events as catalysts: RSS and Atom items or CSV lines in, events tagged by symbol out.

All here is pure; `ingest.catalysts.service` fetches and publishes. An item is tagged with every symbol that it
names, and gets the same id whenever it is read again, so that reading a feed often does no harm.
"""

import calendar
import csv
import hashlib
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import feedparser
import polars as pl

from liqheat.domain.events import Batch, Kind, schema_of
from liqheat.domain.instruments import is_symbol, symbol_asked
from liqheat.domain.market import ALL_VENUES
from liqheat.domain.signals import Catalyst
from liqheat.domain.units import LATEST_MS
from liqheat.domain.windows import DAY_MS
from liqheat.platform.errors import PoisonMessage

IMPORTANCES = ("low", "normal", "high")
MAXIMUM_TITLE = 500
MAXIMUM_TEXT = 50_000
MAXIMUM_ITEMS = 1_000
_MOST_LINES = 10
_RECORD_BEGINS = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EARLIEST_MS = 946_684_800_000
"""1 January 2000: no feed is older, and some write 1970 for "not known"."""

DEFAULT_NAMES: dict[str, tuple[str, ...]] = {
    "VIRTUAL": ("Virtuals Protocol",),
    "FET": ("Fetch.ai", "Artificial Superintelligence Alliance"),
    "TAO": ("Bittensor",),
    "WLD": ("Worldcoin",),
    "KAITO": ("Kaito AI",),
    "GRASS": ("Grass Network", "getgrass"),
    "RENDER": ("Render Network",),
    "BTC": ("Bitcoin",),
    "ETH": ("Ethereum",),
}
"""Names under which news speak of a coin; `LIQHEAT_CATALYSTS__NAMES` adds more."""


@dataclass(frozen=True, slots=True)
class Tagged:
    """A catalyst of one symbol."""

    symbol: str
    catalyst: Catalyst


class Tagger:
    """Finds the symbols that a text names.

    A ticker counts in capitals (`TAO`) or as a cashtag (`$tao`), since many are plain words otherwise; a name of
    `names` counts in any case. Both only as whole words, but for a ticker in another script, which counts anywhere.
    """

    def __init__(self, symbols: Iterable[str], names: Mapping[str, Sequence[str]] | None = None) -> None:
        wanted = set(symbols)
        self._tickers = {symbol.upper(): symbol for symbol in wanted}
        self._names = {
            name.lower(): symbol
            for table in (DEFAULT_NAMES, names or {})
            for written, spoken in table.items()
            if (symbol := symbol_asked(written)) in wanted
            for name in spoken
        }
        spoken = sorted(self._names, key=len, reverse=True)
        # Scripts without spaces show no ends of words.
        self._other_scripts = [symbol for symbol in wanted if not symbol.isascii()]
        self._name_pattern = re.compile(
            r"(?<!\w)(" + "|".join(re.escape(name) for name in spoken) + r")(?!\w)", re.IGNORECASE
        )

    def symbols_in(self, text: str) -> list[str]:
        """Return the symbols that `text` names, in alphabetical order."""
        found = {
            self._tickers[word] for word in re.findall(r"(?<![\w$])[A-Z0-9]{2,24}(?!\w)", text) if word in self._tickers
        }
        cashtags = (tag.upper() for tag in re.findall(r"(?<!\w)\$([A-Za-z0-9]{2,24})(?!\w)", text))
        found |= {self._tickers[tag] for tag in cashtags if tag in self._tickers}
        if self._names:
            found |= {self._names[name.lower()] for name in self._name_pattern.findall(text)}
        found |= {symbol for symbol in self._other_scripts if symbol in text.upper()}
        return sorted(found)


def catalyst_id(*parts: str) -> str:
    """Return an id made of what names an item, 16 hexadecimal digits."""
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=8).hexdigest()


def read_feed(content: bytes, source: str, received_at: int, tagger: Tagger) -> list[Tagged]:
    """Return the tagged items of an RSS or Atom document, oldest first; items that name no symbol are left out.

    Args:
        content: the document.
        source: name of the feed, stored with each item.
        received_at: time (ms) for items that carry none, or one that cannot be true.
        tagger: knows the symbols.

    Raises:
        PoisonMessage: it is no feed.
    """
    # As a stream: given bytes, feedparser would first try them as the name of a file. Its own cleaning of HTML is left
    # out, since only plain text is taken.
    parsed = feedparser.parse(io.BytesIO(content), sanitize_html=False, resolve_relative_uris=False)
    if not parsed.entries and (parsed.bozo or not parsed.get("version")):
        reason = parsed.get("bozo_exception", "no feed of a known kind")
        raise PoisonMessage(f"Expected an RSS or Atom feed: {reason}")
    tagged = []
    for entry in parsed.entries[:MAXIMUM_ITEMS]:
        title = _text(entry.get("title"))
        if not title:
            continue
        link = _text(entry.get("link"))
        item = Catalyst(
            event_time=_time(entry, received_at),
            catalyst_id=catalyst_id(source, _text(entry.get("id")) or link or title),
            source=source,
            title=title[:MAXIMUM_TITLE],
            link=link if link.startswith(("http://", "https://")) else "",
        )
        tags = " ".join(_text(tag.get("term")) for tag in entry.get("tags", ()))
        text = f"{title} {_text(entry.get('summary'))} {tags}"
        tagged += [Tagged(symbol, item) for symbol in tagger.symbols_in(text)]
    return sorted(tagged, key=lambda each: each.catalyst.event_time)


def _text(value: Any) -> str:
    """Return the words of a text that may hold HTML; of a long one only the beginning.

    A tag ends at the next bracket of either kind: one that could run on to the end would be looked for from each
    `<` again, which is quadratic.
    """
    text = re.sub(r"<[^<>]*>", " ", value[:MAXIMUM_TEXT]) if isinstance(value, str) else ""
    return " ".join(text.split())


def _time(entry: Mapping[str, Any], received_at: int) -> int:
    for name in ("published_parsed", "updated_parsed"):
        # `get` would fall back to the other name, with a warning.
        if name in entry and (moment := entry[name]) is not None:
            # feedparser gives UTC.
            time = calendar.timegm(moment) * 1_000
            if _EARLIEST_MS <= time <= received_at + DAY_MS:
                return time
    return received_at


OnBadLine = Callable[[int, str], None]
"""Called with the number of a line that cannot be read, and the reason."""


def read_csv(text: str, source: str, on_bad_line: OnBadLine | None = None) -> list[Tagged]:
    """Return the events of a CSV with the columns `time,symbol,title` and, if wanted, `link,importance`.

    Args:
        text: the file; times are ISO 8601, UTC unless they say otherwise; several symbols are separated by spaces.
        source: stored with each event.
        on_bad_line: takes lines that cannot be read, and the others count. None: the first refuses the file.

    Raises:
        PoisonMessage: a column is missing, or a line is wrong and nobody takes it; the sentence names the line.
    """
    header, *lines = (line.removesuffix("\r") for line in text.split("\n"))
    names = [name.strip().lower() for name in header.split(",")]
    if missing := {"time", "symbol", "title"} - set(names):
        raise PoisonMessage(f"Expected the columns time, symbol and title; missing: {', '.join(sorted(missing))}")
    tagged = []
    place = 0
    while place < len(lines):
        count = _lines_together(lines, place)
        try:
            tagged += _read_record("\n".join(lines[place : place + count]), names, source)
        except PoisonMessage as error:
            if on_bad_line is None:
                raise PoisonMessage(f"Line {place + 2}: {error.reason}") from error
            on_bad_line(place + 2, error.reason)
        place += count
    return tagged


def _lines_together(lines: Sequence[str], first: int) -> int:
    """Return how many lines from the place `first` on are one record: more than one where a quoted title has breaks.

    A quote that does not end soon is of its line alone, and so is one that would take a record with it.
    """
    for count in range(1, _MOST_LINES + 1):
        together = lines[first : first + count]
        if len(together) < count or (count > 1 and _RECORD_BEGINS.match(together[-1])):
            break
        try:
            next(csv.reader(["\n".join(together)], strict=True), [])
        except csv.Error:
            continue
        return count
    return 1


def _read_record(text: str, names: Sequence[str], source: str) -> list[Tagged]:
    """Return the events of a record, one per symbol; none of an empty one.

    Raises:
        PoisonMessage: it cannot be read.
    """
    try:
        values = next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise PoisonMessage(f"no CSV ({error})") from error
    if not values:
        return []
    if len(values) > len(names):
        raise PoisonMessage(f"expected at most {len(names)} fields, were {len(values)}")
    row = dict(zip(names, values, strict=False))
    item = event(
        row.get("time", ""),
        row.get("title", ""),
        source,
        row.get("link", ""),
        row.get("importance", "").strip().lower() or "normal",
    )
    symbols = [symbol_asked(name) for name in row.get("symbol", "").split()]
    if not symbols:
        raise PoisonMessage("expected a symbol")
    for name, symbol in zip(row["symbol"].split(), symbols, strict=True):
        if not is_symbol(symbol):
            raise PoisonMessage(f"expected a symbol such as VIRTUAL, was {name[:40]!r}")
    return [Tagged(symbol, item) for symbol in symbols]


def event(time: str, title: str, source: str, link: str = "", importance: str = "normal") -> Catalyst:
    """Return a catalyst that somebody wrote down.

    Raises:
        PoisonMessage: no ISO 8601 time, no title, or an unknown importance.
    """
    try:
        moment = datetime.fromisoformat((time or "").strip())
    except ValueError as error:
        raise PoisonMessage(f"Expected an ISO 8601 time, was {time!r}") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    title = " ".join((title or "").split())[:MAXIMUM_TITLE]
    if not title:
        raise PoisonMessage("Expected a title")
    if importance not in IMPORTANCES:
        raise PoisonMessage(f"Expected an importance out of {', '.join(IMPORTANCES)}, was {importance!r}")
    event_time = int(moment.timestamp() * 1_000)
    if not _EARLIEST_MS <= event_time < LATEST_MS:
        raise PoisonMessage(f"Expected a time from 2000 to 2100, was {time!r}")
    return Catalyst(event_time, catalyst_id(source, str(event_time), title), source, title, link, importance)


def to_batches(tagged: Sequence[Tagged]) -> list[Batch]:
    """Return the catalysts as one batch per symbol, in order."""
    by_symbol: dict[str, list[Catalyst]] = {}
    for each in tagged:
        by_symbol.setdefault(each.symbol, []).append(each.catalyst)
    schema = schema_of(Kind.CATALYSTS).polars
    return [
        Batch.of_market(
            Kind.CATALYSTS,
            ALL_VENUES,
            symbol,
            "",
            pl.DataFrame({name: [getattr(item, name) for item in items] for name in schema}, schema=schema),
        )
        for symbol, items in sorted(by_symbol.items())
    ]
