"""Alerts to somebody's webhook: body in the shape asked for, signed, sent with retries, and never twice.

Pure shapes and signature above, one sender below; `sinks.webhook.service` feeds it from Kafka. The address
itself is a secret (Slack's and Telegram's hold a token), so no log line, metric or error carries it.
"""

import asyncio
import hashlib
import hmac
import json
import math
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import aiohttp
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from liqheat.domain.market import Side
from liqheat.domain.money import MICRO_USD_PER_USD
from liqheat.domain.signals import Alert
from liqheat.platform import metrics
from liqheat.platform.clock import Clock
from liqheat.platform.errors import ConfigurationError, TransientError
from liqheat.platform.retry import seconds_asked
from liqheat.platform.seen import Recent
from liqheat.platform.settings import Webhook

log = structlog.get_logger()

SIGNATURE_HEADER = "X-Liqheat-Signature"
TIMESTAMP_HEADER = "X-Liqheat-Timestamp"
IDEMPOTENCY_HEADER = "Idempotency-Key"
REMEMBERED_ALERTS = 10_000
LONGEST_WAIT = 60.0
_MOST_READ = 4_096
_RETRY_AFTER = re.compile(rb'"retry_after"\s*:\s*(\d+(?:\.\d+)?)')


class Outcome(StrEnum):
    """What became of an alert; the label of the metric."""

    SENT = "sent"
    DUPLICATE = "duplicate"
    STALE = "stale"
    GIVEN_UP = "given_up"


def generic_body(symbol: str, alert: Alert) -> dict[str, Any]:
    """Return every field by name: times as ISO 8601, amounts in USD, null for what is unknown."""
    return {
        "alert_id": alert.alert_id,
        "kind": alert.kind,
        "symbol": symbol,
        "side": Side(alert.side).label,
        "cluster_id": alert.cluster_id or None,
        "event_time": datetime.fromtimestamp(alert.event_time / 1_000, UTC).isoformat(),
        "mark_price": alert.mark_price,
        "edge_price": _known(alert.edge_price),
        "notional_usd": alert.notional_usd / MICRO_USD_PER_USD,
        "percent_of_adv": _known(alert.percent_of_adv),
        "distance_percent": _known(alert.distance),
        "message": alert.message,
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def body_of(symbol: str, alert: Alert, webhook: Webhook) -> bytes:
    """Return the JSON body in the shape that the settings ask for.

    Slack: an incoming webhook's `text`. Telegram: the parameters of `sendMessage`.
    """
    if webhook.shape == "generic":
        body = generic_body(symbol, alert)
    elif webhook.shape == "slack":
        body = {"text": alert.message}
    else:
        body = {"chat_id": webhook.telegram_chat, "text": alert.message, "disable_web_page_preview": True}
    return json.dumps(body, separators=(",", ":")).encode()


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return `sha256=` and the HMAC-SHA256, in hex, of timestamp, a full stop and the body.

    The time is signed too, so that a receiver can refuse an old request that somebody sends again.
    """
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={digest.hexdigest()}"


class WebhookSender:
    """Sends alerts one after another; an async context manager that owns the HTTP connections."""

    def __init__(
        self, webhook: Webhook, clock: Clock, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """Check the settings.

        Args:
            webhook: where to and in which shape.
            clock: for the age of alerts and the signed time.
            sleep: waits between tries.

        Raises:
            ConfigurationError: no address, or the shape telegram without a chat.
        """
        if webhook.url is None:
            raise ConfigurationError("Set LIQHEAT_WEBHOOK__URL to the address that alerts are sent to")
        if not webhook.url.get_secret_value().startswith(("http://", "https://")):
            raise ConfigurationError("Expected LIQHEAT_WEBHOOK__URL to begin with https:// or http://")
        if webhook.shape == "telegram" and not webhook.telegram_chat:
            raise ConfigurationError("The shape telegram needs LIQHEAT_WEBHOOK__TELEGRAM_CHAT")
        self._webhook = webhook
        self._url = webhook.url
        self._clock = clock
        self._sleep = sleep
        self._known = Recent(REMEMBERED_ALERTS)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "WebhookSender":
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._webhook.timeout), trust_env=True
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    def remember(self, alert_id: str) -> bool:
        """Note an alert as dealt with; return whether it was new."""
        return self._known.add(alert_id)

    async def deliver(self, symbol: str, alert: Alert) -> Outcome:
        """Send one alert unless it was sent before or is history; never raises for what the receiver does."""
        outcome = await self._deliver(symbol, alert)
        metrics.WEBHOOK_ALERTS.labels(outcome.value).inc()
        return outcome

    async def _deliver(self, symbol: str, alert: Alert) -> Outcome:
        if not self.remember(alert.alert_id):
            return Outcome.DUPLICATE
        age = (self._clock.now_ms() - alert.event_time) / 1_000
        if age > self._webhook.maximum_age:
            return Outcome.STALE
        if age < -self._webhook.maximum_age:
            log.error("alert of a time that has not come", alert_id=alert.alert_id, seconds_ahead=round(-age))
            return Outcome.GIVEN_UP
        body = body_of(symbol, alert, self._webhook)
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(TransientError),
            stop=stop_after_attempt(self._webhook.attempts),
            wait=_wait,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            async for attempt in retrying:
                with attempt:
                    status = await self._post(alert.alert_id, body)
        except TransientError as error:
            log.error("alert given up", alert_id=alert.alert_id, reason=str(error))
            return Outcome.GIVEN_UP
        if status >= 300:
            log.error("alert refused", alert_id=alert.alert_id, status=status)
            return Outcome.GIVEN_UP
        return Outcome.SENT

    async def _post(self, alert_id: str, body: bytes) -> int:
        """Try once; return the status.

        Raises:
            TransientError: nobody answered, or the receiver is busy (408, 429, 5xx).
        """
        assert self._session is not None, "use as a context manager"  # noqa: S101 - a mistake of the caller
        timestamp = str(self._clock.now_ms() // 1_000)
        headers = {"Content-Type": "application/json", IDEMPOTENCY_HEADER: alert_id, TIMESTAMP_HEADER: timestamp}
        if self._webhook.secret:
            secret = self._webhook.secret.get_secret_value()
            headers[SIGNATURE_HEADER] = signature(secret, timestamp, body)
        try:
            # A redirect would carry the alert, and its signature, to somebody else.
            async with self._session.post(
                self._url.get_secret_value(), data=body, headers=headers, allow_redirects=False
            ) as response:
                status = response.status
                after = response.headers.get("Retry-After", "")
                # Telegram and Discord say it in the body.
                answer = await response.content.read(_MOST_READ) if status == 429 else b""
        except (aiohttp.ClientError, TimeoutError) as error:
            # The library's own text may quote the address; `from None` keeps it out of tracebacks too.
            raise TransientError(f"no answer ({type(error).__name__})") from None
        if status in (408, 429) or status >= 500:
            named = _RETRY_AFTER.search(answer)
            after = after or (named[1].decode() if named else "")
            raise TransientError(f"status {status}", retry_after=seconds_asked(after, self._clock.now_ms()) or 0.0)
        return status


_BACKOFF = wait_random_exponential(multiplier=0.5, max=LONGEST_WAIT)


def _wait(state: RetryCallState) -> float:
    """Return how long to wait: exponential with jitter, and at least what the receiver asked for."""
    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.retry_after if isinstance(error, TransientError) else 0.0
    return max(float(_BACKOFF(state)), min(asked, LONGEST_WAIT))
