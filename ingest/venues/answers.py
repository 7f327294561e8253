"""What an HTTP answer of a venue means: well, busy, too many, banned or refused; the one table of their codes.

Pure. Some venues say "busy" with status 200 and a code in the body, one bans with 403, one writes the end of a ban into
the message. The REST client acts on what is said here, and so does a socket whose handshake is refused.

Sources: Binance USD-M error codes and general info (limits); Bybit v5 error codes and rate limit rules; OKX v5 error
codes; Hyperliquid's rate limits; RFC 9110 (Retry-After).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from ingest.bounded_json import BOM
from ingest.venues.wire import SECONDS, decoder_of, fields_in
from liqheat.domain.market import Venue
from liqheat.domain.venues import VENUE_FACTS
from liqheat.platform.retry import is_time, seconds_asked, seconds_until


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why an answer cannot be used.

    `pause` is how many seconds all requests to the venue have to wait, 0 where only this one failed. `is_final` means
    that asking the same again cannot help.
    """

    reason: str
    pause: float = 0.0
    is_final: bool = False


UNKNOWN_PAUSE_SECONDS = 60.0
"""A venue that limits without saying for how long is left alone for this long."""
LONGEST_PAUSE_SECONDS = 3 * 86_400.0
"""Binance's longest ban; what is said to last longer is asked again after this."""
LONGEST_BUSY_SECONDS = 3_600.0
"""A venue that is busy or at maintenance is asked again after this, however late it says that it will be back."""
_FORBIDDEN_SECONDS = {"bybit": 600.0}
"""A ban by 403: Bybit lifts it after ten minutes without a request. Others do not say (their firewall answers)."""
_FORBIDDEN_ELSEWHERE_SECONDS = 300.0
_LIMITED_STATUSES = (429, 418)
_SERVER_STATUSES = (408, 425, 451)
"""Answers beside 5xx after which the same request may be asked again."""
_FIREWALL_STATUSES = (202, 405)
"""A web application firewall's challenge and captcha; no venue answers a request for data so."""
_FIREWALL_HEADER = "x-amzn-waf-action"

_GOOD = frozenset({"", "0", "200"})
_LIMITED: dict[str, dict[str, float]] = {
    # Too many requests or orders; with a ban its end is in the message.
    "binance": {"-1003": UNKNOWN_PAUSE_SECONDS, "-1015": UNKNOWN_PAUSE_SECONDS},
    # Too many visits, address limit, system-level protection, address banned.
    "bybit": {"10006": 5.0, "10018": 5.0, "10429": 5.0, "10009": 600.0},
    # Rate limit of the endpoint, of the account; too frequent; rate limit of the funding endpoints.
    "okx": {"50011": 2.0, "50061": 2.0, "50040": 2.0, "58102": 2.0},
}
"""Codes that mean "too many", with the seconds to wait where the answer does not say."""
_BUSY: dict[str, frozenset[str]] = {
    # Unknown, disconnected, unexpected answer, timeout, overloaded, shutting down.
    "binance": frozenset({"-1000", "-1001", "-1006", "-1007", "-1008", "-1016"}),
    # Server timeout, server error, maintenance, high server load.
    "bybit": frozenset({"10000", "10016", "10019", "429"}),
    # Temporarily unavailable, timeout, offline, system busy, system error.
    "okx": frozenset({"50001", "50004", "50005", "50013", "50026"}),
}
"""Codes that mean "busy": the same request may be asked again."""

_SAYS_LIMITED = re.compile(
    r"too many (cumulative )?(requests|visits|connections|subscribe attempts)|rate limit|too (frequent|fast)|throttl",
    re.IGNORECASE,
)
"""What a venue says that limits by a code which is not in the table, or by none; only of answers that are errors."""

_SAYS_BUSY = re.compile(
    r"(try again|retry) *(later)?\W*$|try later|please retry|\bbusy\b|temporarily|timed? ?out|maintenance(?! margin)"
    r"|(service|system|server|currently) (is )?unavailable|overload|server load|internal (server |system )?error"
    r"|\bupgrading\b|\brestarting\b|shutting down",
    re.IGNORECASE,
)
"""What a venue says likewise that is busy."""

_SHORT_BODY = 8_192
"""The end of a ban, and an error that is a row or a text, are looked for no further than this."""
_LONGEST_MESSAGE = 500
_BAN_END = re.compile(r"(?:until|till|retryAfter)\D{0,4}(\d{13}|\d{10})(?!\d)", re.IGNORECASE)
"""A time in ms, or in seconds."""
_LONGEST_LIMIT_SECONDS = 600.0
"""No window of a venue that counts in ms is longer; a gateway before it counts in s."""
JSON_STARTS = (b"{", b"[", b'"')
"""First bytes of what venues send as JSON."""
_SAYS_ERROR = re.compile(r"\berror\b", re.IGNORECASE)
_CLOUDFLARE_LIMIT = b"error code: 1015"
PONG = "pong"
"""The text that keeps a socket alive."""


class _Body(msgspec.Struct, gc=False):
    """What errors are called; each is read by itself, so that an odd message hides no code."""

    code: msgspec.Raw = msgspec.Raw()
    ret_code: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="retCode")
    old_code: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="ret_code")
    msg: msgspec.Raw = msgspec.Raw()
    ret_msg: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="retMsg")
    old_msg: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="ret_msg")
    error_code: msgspec.Raw = msgspec.Raw()
    error_message: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()
    errors: msgspec.Raw = msgspec.Raw()
    data: msgspec.Raw = msgspec.Raw()
    status: msgspec.Raw = msgspec.Raw()
    message: msgspec.Raw = msgspec.Raw()
    response: msgspec.Raw = msgspec.Raw()


_BODY = decoder_of(_Body)
_ROWS = decoder_of(list[msgspec.Raw])
_VALUE = decoder_of(Any)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_NO_CODE = "error"
"""Stands for the code of an answer that is an error and has none."""
_SEVERAL = frozenset({"1", "2"})
"""OKX's codes for "all" and "some operations failed": the rows of `data` say why."""


def trouble_of(venue: Venue, status: int, headers: Mapping[str, str], body: bytes, now_ms: int) -> Trouble | None:
    """Return what is wrong with an answer, None where it is well.

    `now_ms` is the wall clock, by which dates and ends of bans are counted where the answer does not name its own time.
    """
    body = body.removeprefix(BOM)
    code, message = _code_of(body)
    text = f"{code}: {message}" if code not in _GOOD else body[:200].decode(errors="replace")
    if status in _LIMITED_STATUSES:
        return Trouble(f"answered {status}: {text}", pause_of(venue, status, headers, body, now_ms))
    if status == 403:
        pause = pause_of(venue, status, headers, body, now_ms)
        return Trouble(f"answered 403, which is a ban{_page(body)}: {text}", pause)
    limited = _LIMITED.get(venue.value, {}).get(code)
    busy = code in _BUSY.get(venue.value, ())
    if limited is None and not busy and code not in _GOOD:
        limited = UNKNOWN_PAUSE_SECONDS if _SAYS_LIMITED.search(message) else None
        busy = _SAYS_BUSY.search(message) is not None
    if status == 200 and limited is None and not busy:
        return _trouble_of_body(status, body, code, text)
    now_ms = _sent_at(headers, now_ms)
    if limited is not None:
        pause = _said(venue, headers, body, now_ms) or _reset_of(headers, now_ms) or limited
        return Trouble(f"answered {status}: {text}", pause)
    if busy or status >= 500 or status in _SERVER_STATUSES:
        return Trouble(f"answered {status}{_page(body)}: {text}", _while_busy(_said(venue, headers, body, now_ms)))
    if status in _FIREWALL_STATUSES or (status != 200 and headers.get(_FIREWALL_HEADER)):
        pause = _said(venue, headers, body, now_ms) or UNKNOWN_PAUSE_SECONDS
        return Trouble(f"answered {status} by its firewall{_page(body)}: {text}", pause)
    return _trouble_of_body(status, body, code, text)


def _trouble_of_body(status: int, body: bytes, code: str, text: str) -> Trouble | None:
    """Return what is wrong with an answer that is neither limited nor busy."""
    if status != 200:
        return Trouble(f"refused the request ({status}): {text}", is_final=True)
    if body.strip() in (b"", b"null"):
        return Trouble("answered 200 with nothing")
    if body[:200].lstrip()[:1] not in JSON_STARTS:
        # A text that says nothing of the kind is the reader's to refuse.
        limited = _SAYS_LIMITED.search(text) or _CLOUDFLARE_LIMIT in body[:200]
        if limited or _page(body) or _SAYS_BUSY.search(text) or _SAYS_ERROR.search(text):
            pause = UNKNOWN_PAUSE_SECONDS if limited else 0.0
            return Trouble(f"answered 200{_page(body) or ' with a text'}: {text}", pause)
    if code not in _GOOD:
        return Trouble(f"refused the request: {text}", is_final=True)
    return None


def notice_in(frame: bytes) -> str:
    """Return what a frame that is no JSON says, where it is a notice: pong, or that the venue is busy.

    "" where it is none: JSON, a web page, or a text that says nothing of the kind.
    """
    start = frame[:_LONGEST_MESSAGE].lstrip()
    if start[:1] in (*JSON_STARTS, b"<"):
        return ""
    text = start.decode(errors="replace").strip()
    if text.lower() == PONG:
        return PONG
    return "a text about limits or maintenance" if _SAYS_LIMITED.search(text) or _SAYS_BUSY.search(text) else ""


def pause_of(venue: Venue, status: int, headers: Mapping[str, str], body: bytes, now_ms: int) -> float:
    """Return how many seconds to leave the venue alone: by what it says, else after 403, 418 and 429 as usual."""
    now_ms = _sent_at(headers, now_ms)
    if status != 403 and status not in _LIMITED_STATUSES:
        return _while_busy(_said(venue, headers, body, now_ms))
    usual = UNKNOWN_PAUSE_SECONDS
    if status == 403:
        usual = _FORBIDDEN_SECONDS.get(venue.value, _FORBIDDEN_ELSEWHERE_SECONDS)
    said = _said(venue, headers, body, now_ms)
    if said is None and is_time(reset := (headers.get("RateLimit-Reset") or "").strip()):
        said = min(max(seconds_until(reset, now_ms), 1.0), UNKNOWN_PAUSE_SECONDS)
    return usual if said is None else max(said, usual) if status == 403 else said


def pause_in(words: bytes, now_ms: int) -> float:
    """Return for how many seconds a socket asks to be left alone, by an error frame or its close's reason; else 0."""
    end, text = _ban_end(words, now_ms), words[:_LONGEST_MESSAGE].decode(errors="replace")
    if end is None and not _SAYS_LIMITED.search(text):
        return 0.0
    return min(max(UNKNOWN_PAUSE_SECONDS if end is None else end, 1.0), LONGEST_PAUSE_SECONDS)


def _sent_at(headers: Mapping[str, str], now_ms: int) -> int:
    """Return when an answer was sent by the venue's own clock (ms): a date in it is not of a clock that is ours."""
    try:
        sent_at = round(parsedate_to_datetime(headers.get("Date") or "").timestamp() * 1_000)
    except (ValueError, TypeError, IndexError, OverflowError):
        return now_ms
    return sent_at if sent_at >= SECONDS.stop else now_ms


def _while_busy(said: float | None) -> float:
    """Return how many seconds to leave a venue alone that is busy and names `said`; 0 where it names nothing."""
    return min(said or 0.0, LONGEST_BUSY_SECONDS)


def _said(venue: Venue, headers: Mapping[str, str], body: bytes, now_ms: int) -> float | None:
    """Return the seconds that `Retry-After` (a number or a date) or the body names; the longer of both."""
    named = (_retry_after(venue, headers, now_ms), _ban_end(body, now_ms))
    found = [seconds for seconds in named if seconds is not None]
    return min(max(*found, 1.0), LONGEST_PAUSE_SECONDS) if found else None


def _retry_after(venue: Venue, headers: Mapping[str, str], now_ms: int) -> float | None:
    text = headers.get("Retry-After") or ""
    seconds = seconds_asked(text, now_ms)
    is_own = "RateLimit-Reset" in headers or (seconds or 0.0) > _LONGEST_LIMIT_SECONDS
    if seconds is not None and is_own and VENUE_FACTS[venue].limits_in_ms and text.strip().isdecimal():
        return seconds / 1_000
    return seconds


def _ban_end(body: bytes, now_ms: int) -> float | None:
    if match := _BAN_END.search(body[:_SHORT_BODY].decode(errors="replace")):
        return seconds_until(match[1], now_ms)
    return None


def _reset_of(headers: Mapping[str, str], now_ms: int) -> float | None:
    """Return the seconds until Bybit's limit begins again; not every answer has the header."""
    try:
        seconds = (int(headers.get("X-Bapi-Limit-Reset-Timestamp") or "") - now_ms) / 1_000
    except ValueError:
        return None
    return min(max(seconds, 0.5), UNKNOWN_PAUSE_SECONDS)


def _code_of(body: bytes) -> tuple[str, str]:
    """Return code and message of an error, whatever it is written in; a code of `_GOOD` where there is none."""
    first = body[:200].lstrip()[:1]
    if first == b"{":
        return _code_of_object(body)
    if len(body) <= _SHORT_BODY:
        if first == b'"':
            # No endpoint answers with a text.
            return _NO_CODE, _text_of(msgspec.Raw(body))
        if first == b"[" and (row := next(_rows_of(body), None)) and row.lstrip()[:1] == b"{":
            return _code_of_object(row)
    return "", ""


def _code_of_object(body: bytes) -> tuple[str, str]:
    try:
        answer = _BODY.decode(body)
    except _UNREADABLE:
        return "", ""
    code = _first_of(answer.code, answer.ret_code, answer.old_code)
    message = _first_of(answer.msg, answer.ret_msg, answer.old_msg)
    if code in _SEVERAL:
        for row in map(fields_in, _rows_of(bytes(answer.data))):
            if row.get("sCode"):
                return str(row["sCode"]), message or str(row.get("sMsg") or "")
    if code not in _GOOD:
        return code, message
    for error in (bytes(answer.error), *_rows_of(bytes(answer.errors))):
        if error in (b"", b"null", b"{}", b'""', b"false", b"0"):
            continue
        fields = fields_in(error)
        code, message = (str(fields.get(name) or "") for name in ("code", "msg"))
        return code or _NO_CODE, message or error[:200].decode(errors="replace")
    return _code_of_gateway(answer) or (code, message)


def _code_of_gateway(answer: _Body) -> tuple[str, str] | None:
    """Return code and message of an error in the words of a gateway or of another version; None where there is none.

    No answer with data has a message or an error code.
    """
    message = _first_of(answer.error_message, answer.message, answer.response)
    status = _text_of(answer.status)
    code = _text_of(answer.error_code)
    if code in _GOOD and status[:1] in ("4", "5"):
        code = f"status {status}"
    if code in _GOOD and (status == "err" or _text_of(answer.message)):
        code = _NO_CODE
    return (code, message) if code not in _GOOD else None


def _first_of(*values: msgspec.Raw) -> str:
    return next((text for value in values if (text := _text_of(value))), "")


def _text_of(value: msgspec.Raw) -> str:
    """Return a code or message as text, whatever type it has."""
    try:
        found = _VALUE.decode(value)
    except _UNREADABLE:
        return ""
    if isinstance(found, float) and found.is_integer():
        return str(int(found))
    return "" if found is None else str(found)[:_LONGEST_MESSAGE]


def _rows_of(data: bytes) -> Iterator[bytes]:
    """Yield the rows of what may be a list."""
    try:
        yield from map(bytes, _ROWS.decode(data))
    except _UNREADABLE:
        return


def _page(body: bytes) -> str:
    return " with a web page (HTML)" if body[:200].lstrip()[:1] == b"<" else ""
