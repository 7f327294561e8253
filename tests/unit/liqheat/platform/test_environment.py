"""Settings as people write them: plain lists, words in any case, and one sentence where neither is meant."""

import json

import pytest

from liqheat.cli.ingest import with_symbols
from liqheat.domain.market import Venue
from liqheat.platform.errors import ConfigurationError
from liqheat.platform.settings import load
from tests.support.field_cases import cases


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("VIRTUAL,FET", ("VIRTUAL", "FET")),
        (" virtual , fet,", ("VIRTUAL", "FET")),
        ('["virtual","FET"]', ("VIRTUAL", "FET")),
        ("All", ("all",)),
        ("kPEPE", ("kPEPE",)),
        ("币安人生", ("币安人生",)),
    ],
)
def test_symbols_are_written_in_any_way(monkeypatch: pytest.MonkeyPatch, text: str, symbols: tuple[str, ...]) -> None:
    monkeypatch.setenv("LIQHEAT_INGEST__SYMBOLS", text)
    assert load().ingest.symbols == symbols


def test_words_are_taken_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (
        ("LIQHEAT_VENUES", "Binance,OKX"),
        ("LIQHEAT_SERVICE__LOG_LEVEL", "DEBUG"),
        ("LIQHEAT_SERVICE__LOG_STYLE", "Console"),
        ("LIQHEAT_KAFKA__SECURITY_PROTOCOL", "ssl"),
        ("LIQHEAT_INGEST__BACKFILL", "6H"),
        ("LIQHEAT_CATALYSTS__FEEDS", "https://a.example/rss, https://b.example/rss"),
        ("LIQHEAT_CATALYSTS__NAMES", '{"FET": ["fetch.ai"]}'),
    ):
        monkeypatch.setenv(name, text)
    settings = load()
    assert settings.venues == (Venue.BINANCE, Venue.OKX)
    assert (settings.service.log_level, settings.service.log_style) == ("debug", "console")
    assert settings.kafka.security_protocol == "SSL"
    assert settings.catalysts.feeds == ("https://a.example/rss", "https://b.example/rss")
    assert settings.catalysts.names == {"FET": ("fetch.ai",)}
    monkeypatch.setenv("LIQHEAT_CATALYSTS__FEEDS", "")
    assert load().catalysts.feeds == ()


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        (
            "LIQHEAT_INGEST__SYMBOLS",
            '["VIRTUAL"',
            r'LIQHEAT_INGEST__SYMBOLS: Expected a list such as a,b or \["a","b"\]',
        ),
        ("LIQHEAT_INGEST__SYMBOLS", "", "LIQHEAT_INGEST__SYMBOLS: Expected at least one symbol"),
        ("LIQHEAT_INGEST__SYMBOLS", "BTC;ETH", "LIQHEAT_INGEST__SYMBOLS: Expected symbols, each as BTC or BTC/USDT"),
        ("LIQHEAT_INGEST__SYMBOLS", "BTC ETH", "was 'BTC ETH'"),
        ("LIQHEAT_INGEST__SYMBOLS", "*", "or `all`, was '\\*'"),
        ("LIQHEAT_INGEST__SYMBOLS", '{"a": 1}', r'Expected a list such as a,b or \["a","b"\]'),
        ("LIQHEAT_VENUES", "mtgox", "LIQHEAT_VENUES: Input should be 'binance'"),
        ("LIQHEAT_SIGNALS__OVERRIDES", "BTC", "LIQHEAT_SIGNALS__OVERRIDES: Expected a JSON object"),
        ("LIQHEAT_SIGNALS__OVERRIDES", '{"btc": {}, "BTCUSDT": {}}', "two overrides are of one symbol: BTCUSDT, btc"),
        ("LIQHEAT_INGEST", "{", "LIQHEAT_INGEST: Expected a JSON object"),
    ],
)
def test_what_is_neither_is_one_sentence(monkeypatch: pytest.MonkeyPatch, name: str, text: str, sentence: str) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(ConfigurationError, match=sentence) as error:
        load()
    assert "\n" not in str(error.value)


def test_lists_are_plain_or_json(monkeypatch: pytest.MonkeyPatch) -> None:
    (case,) = [case for case in cases("elsewhere") if case.id == "F32"]
    given = json.loads(case.path.read_bytes())
    for item in (given, *given["also"]):
        with monkeypatch.context() as patched:
            for name, text in item["env"].items():
                patched.setenv(name, text)
            if text.startswith("["):
                with pytest.raises(ConfigurationError, match=name):
                    load()
            else:
                settings = load()
                assert settings.ingest.symbols == ("VIRTUAL", "FET") or settings.venues == (Venue.BINANCE,)


@pytest.mark.parametrize("quoted", ['"wld,fet"', "'wld,fet'", "wld,fet", "'wld','fet'", '"wld", "fet"', "'wld',fet"])
def test_quotes_around_a_list_are_no_part_of_it(monkeypatch: pytest.MonkeyPatch, quoted: str) -> None:
    monkeypatch.setenv("LIQHEAT_INGEST__SYMBOLS", quoted)
    assert load().ingest.symbols == ("WLD", "FET")


def test_what_holds_for_single_symbols_is_found_however_they_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIQHEAT_SIGNALS__OVERRIDES", '{"btc": {"cluster_usd": 5}, "1000PEPE": {"cluster_usd": 6}}')
    signals = load().signals
    assert [signals.of(symbol).cluster_usd for symbol in ("BTC", "PEPE")] == [5, 6]


def test_a_list_of_the_command_line_is_plain_or_json() -> None:
    for text in ("wld, fet", '["wld","fet"]', "'wld,fet'", "wld,,fet,"):
        assert with_symbols(load(), text).ingest.symbols == ("WLD", "FET")
    for text in ("[wld", "[1]"):
        with pytest.raises(ConfigurationError, match="--symbols as a list such as a,b"):
            with_symbols(load(), text)


@pytest.mark.parametrize("value", ["inf", "nan", "1e400", "-inf"])
@pytest.mark.parametrize(
    "name",
    [
        "LIQHEAT_INGEST__SILENCE_LIMIT",
        "LIQHEAT_ENGINE__PLAUSIBLE_PRICE_STEP",
        "LIQHEAT_ENGINE__WARM_UP_HOURS",
        "LIQHEAT_SINK__BATCH_AGE",
        "LIQHEAT_WEBHOOK__MAXIMUM_AGE",
        "LIQHEAT_CATALYSTS__INTERVAL",
        "LIQHEAT_STUDY__PERCENT",
    ],
)
def test_no_setting_is_infinite(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"^Wrong settings: {name}: Input should be"):
        load()
