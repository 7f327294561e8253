"""Catalysts: which symbols a text names, feeds and CSV read into events."""

import time

import pytest

from ingest.catalysts.items import Tagger, event, read_csv, read_feed, to_batches
from liqheat.platform.errors import PoisonMessage
from tests.support.news import NOW, RSS, SYMBOLS

ATOM = b"""<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom"><title>Atom</title><id>a</id><updated>2026-01-01T00:00:00Z</updated>
<entry><title>Render Network ships</title><id>e-1</id><link href="https://example.org/r"/>
<updated>2026-01-01T01:00:00+02:00</updated></entry></feed>"""


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("TAO breaks out", ["TAO"]),
        ("the tao of trading", []),
        ("$tao and $VIRTUAL", ["TAO", "VIRTUAL"]),
        ("virtual reality", []),
        ("Bittensor and bittensor's rival fetch.ai", ["FET", "TAO"]),
        ("TAOX is another coin", []),
        ("VIRTUAL/USDT (GRASS)", ["GRASS", "VIRTUAL"]),
        ("Artificial Superintelligence Alliance", ["FET"]),
    ],
)
def test_a_text_names_a_symbol_by_ticker_cashtag_or_name(text: str, symbols: list[str]) -> None:
    assert Tagger(SYMBOLS).symbols_in(text) == symbols


def test_more_names_come_from_the_settings() -> None:
    for symbol in ("VIRTUAL", "virtual", " Virtual"):
        assert Tagger(SYMBOLS, {symbol: ("Luna Agent",)}).symbols_in("luna agent speaks") == ["VIRTUAL"]


def test_an_rss_feed_becomes_tagged_events() -> None:
    items = read_feed(RSS, "wire", NOW, Tagger(SYMBOLS))
    assert [(each.symbol, each.catalyst.event_time, each.catalyst.title) for each in items] == [
        ("FET", NOW - 1_800_000, "Bittensor subnet upgrade goes live"),
        ("TAO", NOW - 1_800_000, "Bittensor subnet upgrade goes live"),
        ("VIRTUAL", NOW, "VIRTUAL listed"),
    ]
    assert items[0].catalyst.link == "https://example.org/1"
    assert items[2].catalyst.link == "", "only web addresses are kept"


@pytest.mark.parametrize("date", ["Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "", "soon"])
def test_an_item_of_a_time_that_cannot_be_true_is_of_now(date: str) -> None:
    feed = RSS.replace(b"Wed, 31 Dec 2025 23:30:00 GMT", date.encode())
    assert {each.catalyst.event_time for each in read_feed(feed, "wire", NOW, Tagger(SYMBOLS))} == {NOW}


def test_a_ticker_in_another_script_is_found_within_a_text() -> None:
    symbol = "\u5e01\u5b89\u4eba\u751f"
    assert Tagger((*SYMBOLS, symbol)).symbols_in(f"\u4eca\u65e5{symbol}\u4e0a\u7ebf TAO") == ["TAO", symbol]


@pytest.mark.parametrize("time", ["1969-12-31", "9999-01-01", "0001-01-01T00:00"])
def test_an_event_of_a_time_that_no_row_holds_is_refused(time: str) -> None:
    with pytest.raises(PoisonMessage, match="from 2000 to 2100"):
        event(time, "title", "source")


def test_an_atom_feed_is_read_with_its_offset() -> None:
    (item,) = read_feed(ATOM, "atom", NOW, Tagger(SYMBOLS))
    assert (item.symbol, item.catalyst.event_time) == ("RENDER", NOW - 3_600_000)


def test_an_item_read_again_has_the_same_id() -> None:
    first, second = (read_feed(RSS, "wire", NOW + delay, Tagger(SYMBOLS)) for delay in (0, 60_000))
    assert [each.catalyst.catalyst_id for each in first] == [each.catalyst.catalyst_id for each in second]
    assert len({each.catalyst.catalyst_id for each in first}) == 2


@pytest.mark.parametrize(
    "content", [b"", b"<html><body>Not found</body></html>", b"\x00\xff\xfe", b"{}", __file__.encode()]
)
def test_what_is_no_feed_is_poison(content: bytes) -> None:
    with pytest.raises(PoisonMessage, match="Expected an RSS or Atom feed"):
        read_feed(content, "wire", NOW, Tagger(SYMBOLS))


def test_a_csv_is_read_and_a_wrong_line_is_named() -> None:
    good = "time,symbol,title,importance\n2026-01-01,virtual fet,Unlock,high\n2026-01-02T12:00+02:00,TAO,Vote,\n"
    items = read_csv(good, "calendar.csv")
    assert [(each.symbol, each.catalyst.importance) for each in items] == [
        ("VIRTUAL", "high"),
        ("FET", "high"),
        ("TAO", "normal"),
    ]
    assert items[2].catalyst.event_time == NOW + 34 * 3_600_000
    for bad, sentence in (
        ("symbol,title\n", "missing: time"),
        ("time,symbol,title\nyesterday,TAO,x\n", "Line 2: Expected an ISO 8601 time, was 'yesterday'"),
        ("time,symbol,title\n2026-01-01,TAO,x\n2026-01-01,,x\n", "Line 3: expected a symbol"),
        ("time,symbol,title,importance\n2026-01-01,TAO,x,huge\n", "out of low, normal, high"),
    ):
        with pytest.raises(PoisonMessage, match=sentence):
            read_csv(bad, "calendar.csv")


def test_an_event_without_title_is_refused() -> None:
    with pytest.raises(PoisonMessage, match="Expected a title"):
        event("2026-01-01", "  ", "command")


def test_catalysts_survive_the_codec() -> None:
    batches = to_batches(read_feed(RSS, "wire", NOW, Tagger(SYMBOLS)))
    assert [batch.symbols[0] for batch in batches] == ["FET", "TAO", "VIRTUAL"]


@pytest.mark.parametrize("unit", ["<", "<a", "<b>", "A", "$A", "fetch.", "&", "&lt;", "<a href=", "<!--", " "])
def test_cleaning_takes_time_in_proportion_to_the_text(unit: str) -> None:
    tagger = Tagger(("FET", "TAO"))

    def seconds(length: int) -> float:
        text = (unit * (length // len(unit))).replace("&", "&amp;").replace("<", "&lt;")
        document = (
            '<rss version="2.0"><channel><title>News</title><item><title>TAO</title>'
            f"<description>{text}</description></item></channel></rss>"
        )
        began = time.process_time()
        read_feed(document.encode(), "news", 0, tagger)
        return time.process_time() - began

    # 320,000 characters took 60 s of processor time for the first of these; a linear reader needs a second or two.
    assert seconds(320_000) < 6.0


def test_symbols_of_a_csv_may_be_written_as_people_do() -> None:
    rows = read_csv("time,symbol,title\n2026-01-01,kPEPE btcusdt ai16z,unlock\n", "file")
    assert [each.symbol for each in rows] == ["PEPE", "BTC", "ELIZAOS"]


ODD_LINES = {
    "yesterday,TAO,x": "Expected an ISO 8601 time, was 'yesterday'",
    "2026-01-01,,x": "expected a symbol",
    "2026-01-01,***,x": "expected a symbol such as VIRTUAL, was '***'",
    "2026-01-01,BTC-USD-SWAP,x": "expected a symbol such as VIRTUAL, was 'BTC-USD-SWAP'",
    "2026-01-01,TAO,": "Expected a title",
    "2026-01-01,TAO": "Expected a title",
    "2026-01-01,TAO,a,b,c,d": "expected at most 3 fields, were 6",
    '2026-01-01,TAO,"a quote that does not end': "no CSV",
    "9999-01-01,TAO,x": "Expected a time from 2000 to 2100",
}


def test_an_odd_line_of_a_csv_is_said_and_costs_no_other() -> None:
    lines = [each for odd in ODD_LINES for each in (odd, "2026-01-01,TAO,Vote")]
    lines.append('2026-01-01,TAO,"Vote\nof ""two""\n\u2028lines"')
    said: dict[int, str] = {}
    items = read_csv("\r\n".join(["Time, Symbol ,TITLE", *lines, ""]), "calendar.csv", said.__setitem__)
    assert [each.symbol for each in items] == ["TAO"] * (len(ODD_LINES) + 1)
    assert items[-1].catalyst.title == 'Vote of "two" lines'
    assert list(said) == list(range(2, 2 + 2 * len(ODD_LINES), 2))
    for reason, wanted in zip(said.values(), ODD_LINES.values(), strict=True):
        assert wanted in reason


def test_a_file_that_is_no_csv_is_refused_with_its_line() -> None:
    with pytest.raises(PoisonMessage, match="Line 2: no CSV"):
        read_csv("time,symbol,title\n2026-01-01,BTC," + "x" * 200_000 + "\n", "file")
