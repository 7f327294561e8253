"""What an HTTP answer means, in whatever dress: errors with status 200, ends of bans, Retry-After, firewalls."""

import json
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest

from ingest.venues.answers import (
    LONGEST_BUSY_SECONDS,
    LONGEST_PAUSE_SECONDS,
    UNKNOWN_PAUSE_SECONDS,
    pause_in,
    pause_of,
    trouble_of,
)
from liqheat.domain.market import Venue

NOW = 1_795_000_000_000


def judged(venue: Venue | str, body: Any, status: int = 200, **headers: str) -> tuple[float, bool] | None:
    """Return pause and finality of what is wrong with an answer, None where it is well."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    trouble = trouble_of(Venue(venue), status, named, raw, NOW)
    return None if trouble is None else (trouble.pause, trouble.is_final)


@pytest.mark.parametrize(
    ("venue", "body"),
    [
        ("bybit", {"ret_code": 10006, "ret_msg": "Too many visits!"}),
        ("bybit", {"retCode": 10006, "retMsg": {"a": 1}}),
        ("bybit", {"retCode": 10006.0, "retMsg": None}),
        ("bybit", {"retCode": 10006, "retMsg": "x" * 9_000}),
        ("binance", [{"code": -1003, "msg": "Way too many requests"}]),
        ("binance", {"status": 429, "error": {"code": -1003, "msg": ["x"]}}),
        ("okx", b'\xef\xbb\xbf{"code":"50011","msg":"x"}'),
        ("okx", {"code": "1", "msg": "", "data": [{"sCode": "50011", "sMsg": "Rate limit reached"}]}),
        ("okx", {"code": "58102", "msg": "Rate limit reached"}),
        *((venue, {"errors": [{"msg": "Too many requests"}]}) for venue in Venue),
        *((venue, {"error": "Rate limit reached"}) for venue in Venue),
        *((venue, "Too many requests") for venue in Venue),
    ],
)
def test_too_many_with_status_200_is_waited_for(venue: Venue | str, body: Any) -> None:
    found = judged(venue, body)
    assert found is not None
    assert 2 <= found[0] <= UNKNOWN_PAUSE_SECONDS
    assert not found[1]


@pytest.mark.parametrize("venue", Venue)
def test_an_error_of_another_kind_is_refused_and_a_good_answer_is_none(venue: Venue) -> None:
    for error in ({"errors": [{"msg": "Market not found"}]}, {"error": {"code": 7, "msg": "x"}}, "Failed to read"):
        assert judged(venue, error) == (0, True)
    empty: list[Any] = [[], {}, {"code": "0", "msg": "", "data": []}, {"errors": []}]
    for good in (*empty, [{"a": 1}], {"error": None, "a": 1}):
        assert judged(venue, good) is None
    assert judged(venue, {"retCode": 0, "retMsg": "too many requests are counted", "result": {}}) is None
    assert judged(venue, {"candles": ["x" * 9_000], "code": 0}) is None


@pytest.mark.parametrize("venue", Venue)
@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": -1003, "msg": "banned", "data": {"serverTime": NOW, "retryAfter": NOW + 500_000}}},
        {"code": -1003, "msg": f"Banned Until: {NOW + 500_000}."},
        {"code": -1003, "msg": f"IP(1.2.3.4) banned till {NOW + 500_000}."},
        {"code": -1003, "msg": f"IP banned until {(NOW + 500_000) // 1_000}"},
    ],
)
def test_the_end_of_a_ban_is_read_in_whatever_words(venue: Venue, body: Any) -> None:
    assert judged(venue, body, 418) == (501, False)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("30", 30),
        ("2026-11-18T11:13:50Z", 430),
        ("2026-11-18T11:13:50", 430),
        ("Wed, 18 Nov 2026 11:13:50 GMT", 430),
        ("soon", 60),
        ("inf", 60),
        ("nan", 60),
    ],
)
def test_retry_after_is_a_number_or_a_date_of_either_kind(header: str, seconds: float) -> None:
    assert judged("okx", {}, 429, Retry_After=header) == (seconds, False)


@pytest.mark.parametrize("venue", Venue)
def test_a_busy_venue_is_left_alone_for_as_long_as_it_says(venue: Venue) -> None:
    assert judged(venue, b"", 503, Retry_After="120") == (120, False)
    assert judged(venue, b"", 503) == (0, False)
    assert judged(venue, b"", 503, Retry_After="99999999") == (LONGEST_BUSY_SECONDS, False)
    assert pause_of(venue, 503, {"Retry-After": "120"}, b"", NOW) == 120, "a handshake too"
    assert pause_of(venue, 404, {}, b"", NOW) == 0


@pytest.mark.parametrize(("venue", "code"), [("binance", {"code": -1008}), ("bybit", {"retCode": 10016})])
def test_a_busy_code_is_waited_for_as_long_as_it_says(venue: str, code: dict[str, int]) -> None:
    assert judged(venue, code, Retry_After="30") == (30, False)
    assert judged(venue, code) == (0, False)


@pytest.mark.parametrize("venue", Venue)
def test_a_firewall_is_asked_again_later(venue: Venue) -> None:
    assert judged(venue, b"", 202, x_amzn_waf_action="challenge") == (60, False)
    assert judged(venue, b"<html>", 405, x_amzn_waf_action="captcha") == (60, False)
    assert judged(venue, b"<html>", 405, Retry_After="90") == (90, False)


@pytest.mark.parametrize("venue", Venue)
@pytest.mark.parametrize(
    "body",
    [
        b"Too Many Requests",
        b"rate limited",
        b"error code: 1015",
        {"message": "Too many requests"},
        {"status": 429, "message": "Rate limit exceeded"},
        {"status": "err", "response": "Too many cumulative requests sent"},
        {"error_code": "1", "error_message": "Too many visits!"},
        {"error": {"message": "rate limit"}},
    ],
)
def test_a_limit_in_any_words_is_waited_for(venue: Venue, body: Any) -> None:
    assert judged(venue, body) == (60, False)


@pytest.mark.parametrize("venue", Venue)
@pytest.mark.parametrize(
    "body",
    [b"upstream connect error", {"message": "Endpoint request timed out"}, {"code": 7, "msg": "Please retry later"}],
)
def test_busy_in_any_words_is_asked_again(venue: Venue, body: Any) -> None:
    assert judged(venue, body) == (0, False)


@pytest.mark.parametrize("venue", Venue)
@pytest.mark.parametrize("words", ["this instrument is unavailable", "below the maintenance margin rate"])
def test_a_refusal_that_only_sounds_busy_is_not_asked_again(venue: Venue, words: str) -> None:
    assert judged(venue, {"code": 7, "msg": words}) == (0, True)


@pytest.mark.parametrize("venue", Venue)
@pytest.mark.parametrize(
    ("words", "pause"),
    [
        ("Too many connections attempted.", UNKNOWN_PAUSE_SECONDS),
        ("Endpoint is suspended, please try later", 0),
        ("Internal system error", 0),
        ("The system is upgrading", 0),
        ("Server is restarting", 0),
        ("The server is shutting down", 0),
    ],
)
def test_further_words_of_the_venues_documentation_are_waited_for(venue: Venue, words: str, pause: float) -> None:
    assert judged(venue, {"code": 63999, "msg": words}) == (pause, False)
    assert judged(venue, {"retCode": 3303001, "retMsg": words}) == (pause, False)
    assert judged(venue, {"error": words}) == (pause, False)


@pytest.mark.parametrize("venue", Venue)
@pytest.mark.parametrize("skew", [-900, 0, 900])
def test_dates_are_counted_by_the_venues_own_clock_where_it_names_its_time(venue: Venue, skew: int) -> None:
    """With our clock a quarter of an hour ahead, a ban that goes on would have ended."""
    sent_at = NOW // 1_000 + skew
    date, end = format_datetime(datetime.fromtimestamp(sent_at, UTC)), datetime.fromtimestamp(sent_at + 120, UTC)
    for headers in ({"Retry_After": format_datetime(end)}, {"Retry_After": end.isoformat()}):
        assert judged(venue, b"", 418, Date=date, **headers) == (120, False)
    message = {"code": -1003, "msg": f"banned until {(sent_at + 120) * 1_000}"}
    assert judged(venue, message, 418, Date=date) == (121, False)
    assert judged(venue, b"", 418, Date="yesterday", Retry_After="7") == (7, False)


@pytest.mark.parametrize(
    ("words", "pause"),
    [
        (f"Way too many requests; IP banned until {NOW + 90_000}.", 91.0),
        (f"banned until {NOW // 1_000 + 90}", 91.0),
        (f"banned until {NOW + 10**12}", LONGEST_PAUSE_SECONDS),
        ("Too many visits!", UNKNOWN_PAUSE_SECONDS),
        ("Requests too frequent", UNKNOWN_PAUSE_SECONDS),
        ("Too many subscribe attempts for channel v4_trades-BTC-USD. Please reconnect and try again.", 60.0),
        ('{"method":"pong"}', 0.0),
        ("going away", 0.0),
        ("\ufffd", 0.0),
        ("", 0.0),
    ],
)
def test_a_socket_says_in_words_that_it_wants_to_be_left_alone(words: str, pause: float) -> None:
    assert pause_in(words.encode(), NOW) == pause
