"""What an HTTP answer of a venue means: well, busy, too many, banned or refused; the one table of their codes.

Pure. Some venues say "busy" with status 200 and a code in the body, one bans with 403, one writes the end of a ban into
the message. The REST client acts on what is said here, and so does a socket whose handshake is refused.

Sources: Binance USD-M error codes and general info (limits); Bybit v5 error codes and rate limit rules; OKX v5 error
codes; Hyperliquid's rate limits; RFC 9110 (Retry-After).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

import msgspec

from ingest.venues.wire import Text, decoder_of, text_of
from liqheat.domain.market import Venue


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
_FORBIDDEN_SECONDS = {"bybit": 600.0}
"""A ban by 403: Bybit lifts it after ten minutes without a request. Others do not say (their firewall answers)."""
_FORBIDDEN_ELSEWHERE_SECONDS = 300.0
_LIMITED_STATUSES = (429, 418)
_SERVER_STATUSES = (408, 425, 451)
"""Answers beside 5xx after which the same request may be asked again."""

_GOOD = frozenset({"", "0", "200", "None"})
_LIMITED: dict[str, dict[str, float]] = {
    # Too many requests or orders; with a ban its end is in the message.
    "binance": {"-1003": UNKNOWN_PAUSE_SECONDS, "-1015": UNKNOWN_PAUSE_SECONDS},
    # Too many visits, address limit, system-level protection, address banned.
    "bybit": {"10006": 5.0, "10018": 5.0, "10429": 5.0, "10009": 600.0},
    # Rate limit of the endpoint, of the account; too frequent.
    "okx": {"50011": 2.0, "50061": 2.0, "50040": 2.0},
}
"""Codes that mean "too many", with the seconds to wait where the answer does not say."""
_BUSY: dict[str, frozenset[str]] = {
    # Unknown, disconnected, unexpected answer, timeout, overloaded, shutting down.
    "binance": frozenset({"-1000", "-1001", "-1006", "-1007", "-1008", "-1016"}),
    # Server timeout, server error, maintenance.
    "bybit": frozenset({"10000", "10016", "10019"}),
    # Temporarily unavailable, timeout, offline, system busy, system error.
    "okx": frozenset({"50001", "50004", "50005", "50013", "50026"}),
}
"""Codes that mean "busy": the same request may be asked again."""

_SHORT_BODY = 8_192
"""Errors are short; a longer body is data."""
_BAN_END = re.compile(r"until\D{0,3}(\d{13})")


class _Body(msgspec.Struct, gc=False):
    code: Text = None
    ret_code: Text = msgspec.field(default=None, name="retCode")
    msg: Text = None
    ret_msg: Text = msgspec.field(default=None, name="retMsg")


_BODY = decoder_of(_Body)


def trouble_of(venue: Venue, status: int, headers: Mapping[str, str], body: bytes, now_ms: int) -> Trouble | None:
    """Return what is wrong with an answer, None where it is well.

    `now_ms` is the wall clock, by which dates and ends of bans are counted.
    """
    code, message = _code_of(body)
    text = f"{code}: {message}" if code not in _GOOD else body[:200].decode(errors="replace")
    name = venue.value
    if status in _LIMITED_STATUSES:
        return Trouble(f"answered {status}: {text}", pause_of(venue, status, headers, body, now_ms))
    if status == 403:
        pause = pause_of(venue, status, headers, body, now_ms)
        return Trouble(f"answered 403, which is a ban{_page(body)}: {text}", pause)
    if code in _LIMITED.get(name, {}):
        pause = _said(headers, body, now_ms) or _reset_of(headers, now_ms) or _LIMITED[name][code]
        return Trouble(f"answered {status}: {text}", pause)
    if code in _BUSY.get(name, ()) or status >= 500 or status in _SERVER_STATUSES:
        return Trouble(f"answered {status}{_page(body)}: {text}")
    if status != 200:
        return Trouble(f"refused the request ({status}): {text}", is_final=True)
    if body[:200].lstrip()[:1] == b"<":
        return Trouble(f"answered 200{_page(body)}: {text}")
    if body.strip() in (b"", b"null"):
        return Trouble("answered 200 with nothing")
    if code not in _GOOD:
        return Trouble(f"refused the request: {text}", is_final=True)
    return None


def pause_of(venue: Venue, status: int, headers: Mapping[str, str], body: bytes, now_ms: int) -> float:
    """Return how many seconds to leave the venue alone after 403, 418 or 429: by what it says, else as usual."""
    usual = UNKNOWN_PAUSE_SECONDS
    if status == 403:
        usual = _FORBIDDEN_SECONDS.get(venue.value, _FORBIDDEN_ELSEWHERE_SECONDS)
    said = _said(headers, body, now_ms)
    return usual if said is None else max(said, usual) if status == 403 else said


def _said(headers: Mapping[str, str], body: bytes, now_ms: int) -> float | None:
    """Return the seconds that `Retry-After` (a number or a date) or the message names; the longer of both."""
    found = [seconds for seconds in (_retry_after(headers, now_ms), _ban_end(body, now_ms)) if seconds is not None]
    return min(max(*found, 1.0), LONGEST_PAUSE_SECONDS) if found else None


def _retry_after(headers: Mapping[str, str], now_ms: int) -> float | None:
    text = (headers.get("Retry-After") or "").strip()
    try:
        seconds = float(text)
    except ValueError:
        pass
    else:
        return seconds if seconds == seconds else None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.timestamp() - now_ms / 1_000


def _ban_end(body: bytes, now_ms: int) -> float | None:
    if match := _BAN_END.search(body[:_SHORT_BODY].decode(errors="replace")):
        # A second more, for the venue's clock is not ours.
        return (int(match[1]) - now_ms) / 1_000 + 1.0
    return None


def _reset_of(headers: Mapping[str, str], now_ms: int) -> float | None:
    """Return the seconds until Bybit's limit begins again; not every answer has the header."""
    try:
        seconds = (int(headers.get("X-Bapi-Limit-Reset-Timestamp") or "") - now_ms) / 1_000
    except ValueError:
        return None
    return min(max(seconds, 0.5), UNKNOWN_PAUSE_SECONDS)


def _code_of(body: bytes) -> tuple[str, str]:
    """Return code and message of a short body that is an object, empty where it has none."""
    if len(body) > _SHORT_BODY or body[:200].lstrip()[:1] != b"{":
        return "", ""
    try:
        answer = _BODY.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "", ""
    code = text_of(answer.code) or text_of(answer.ret_code)
    return code, text_of(answer.msg) or text_of(answer.ret_msg)


def _page(body: bytes) -> str:
    return " with a web page (HTML)" if body[:200].lstrip()[:1] == b"<" else ""
