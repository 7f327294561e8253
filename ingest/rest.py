"""The REST client of one venue: budgets kept, bans obeyed, failures turned into liqheat's errors.

Pollers, recovery, backfill and reference reads all go through one client, so they share the venue's budget.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from math import isfinite
from types import TracebackType

import aiohttp
import structlog
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from ingest.bounded_json import BOM, MAXIMUM_BODY_BYTES, refusal
from ingest.outbound import outbound_session
from ingest.venues.answers import trouble_of
from ingest.venues.interface import RateLimit, Request
from liqheat.domain.market import Venue
from liqheat.platform import metrics
from liqheat.platform.clock import Clock
from liqheat.platform.clock_watch import OffsetWatch
from liqheat.platform.errors import Origin, PoisonMessage, TransientError

log = structlog.get_logger(__name__)

TIMEOUT_SECONDS = 20.0
# Spent at once at most; the rest of the budget comes in evenly, so no window can hold more than the budget.
_BURST_SHARE = 0.25


@dataclass(slots=True)
class _Budget:
    """A token bucket for one rate limit; refills evenly up to a burst."""

    limit: RateLimit
    tokens: float
    refilled_at: float
    line: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Who waits for tokens waits first come, first served: else light requests would starve a heavy one."""

    @property
    def burst(self) -> float:
        return max(self.limit.weight * _BURST_SHARE, 1.0)

    def wait_for(self, weight: float, now: float) -> float:
        """Take `weight` if it is there and return 0, else return the seconds until it may be."""
        rate = self.limit.weight * (1.0 - _BURST_SHARE) / self.limit.seconds
        self.tokens = min(self.burst, self.tokens + (now - self.refilled_at) * rate)
        self.refilled_at = now
        # One request may weigh more than the burst; it then leaves a debt.
        needed = min(weight, self.burst)
        if self.tokens >= needed:
            self.tokens -= weight
            return 0.0
        # At least a millisecond, for a clock may not see less go by.
        return max((needed - self.tokens) / rate, 0.001)


class BannedError(TransientError):
    """The venue has banned us for longer than this client is willing to wait."""


class RestClient:
    """Fetches bodies within the venue's budgets; an async context manager.

    Up to `concurrency` requests run at once; others wait in line. A ban is waited out, unless it lasts longer than
    `patience` seconds: a command that somebody waits for says so instead.
    """

    def __init__(
        self,
        venue: Venue,
        clock: Clock,
        concurrency: int = 8,
        patience: float | None = None,
        offset: OffsetWatch | None = None,
    ) -> None:
        """Prepare; `offset` learns from the answers how far the venue's clock is from ours."""
        self._offset = offset or OffsetWatch()
        self._venue = venue
        self._clock = clock
        self._budgets: dict[str, _Budget] = {}
        self._patience = patience
        self._banned_until = 0.0
        self._slots = asyncio.Semaphore(concurrency)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "RestClient":
        self._session = outbound_session(TIMEOUT_SECONDS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def fetch(self, request: Request, attempts: int = 5) -> bytes:
        """Return the body; see `ingest.venues.interface.Rest`."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(
                lambda error: isinstance(error, TransientError) and not isinstance(error, BannedError)
            ),
            stop=stop_after_attempt(attempts),
            # A ban is waited for with the budget; this only spreads out what failed together.
            wait=wait_random_exponential(multiplier=0.5, max=20.0),
            sleep=self._clock.sleep,
            reraise=True,
        ):
            with attempt:
                return await self._fetch_once(request)
        raise AssertionError("Retrying ends with a result or an error")

    async def _fetch_once(self, request: Request) -> bytes:
        assert self._session is not None, "The client is used as a context manager"  # noqa: S101 - a caller's mistake
        async with self._turn(request):
            asked = self._clock.now_ms()
            try:
                async with self._session.request(
                    "GET" if request.body is None else "POST",
                    request.url,
                    params=dict(request.parameters),
                    data=request.body,
                    headers=_headers(request),
                ) as response:
                    answered = self._clock.now_ms()
                    body = await _bounded(request, response)
            except (aiohttp.ClientError, TimeoutError) as error:
                reason = str(error) or type(error).__name__
                raise TransientError(f"{request.url} cannot be reached: {reason}") from error
        if (date := _date_ms(response.headers.get("Date"))) is not None:
            self._offset.note(asked, answered, date)
        self._note_usage(request.limit, response.headers)
        return self._judge(request, response.status, response.headers, body)

    def _judge(self, request: Request, status: int, headers: Mapping[str, str], body: bytes) -> bytes:
        body = body.removeprefix(BOM)
        trouble = trouble_of(self._venue, status, headers, body, self._clock.now_ms())
        if trouble is None:
            if (reason := refusal(body, MAXIMUM_BODY_BYTES)) is not None:
                raise PoisonMessage(f"{request.url}: {reason}", Origin(request.stream or request.url))
            return body
        reason = f"{request.url} {trouble.reason}"
        if trouble.is_final:
            raise PoisonMessage(reason, Origin(request.stream or request.url))
        if not trouble.pause:
            raise TransientError(reason)
        self._banned_until = max(self._banned_until, self._clock.monotonic() + trouble.pause)
        metrics.RATE_LIMITED.labels(self._venue.value).inc()
        log.warning(
            "The venue wants to be left alone", venue=self._venue.value, reason=trouble.reason, seconds=trouble.pause
        )
        if self._patience is not None and trouble.pause > self._patience:
            raise BannedError(reason, trouble.pause)
        raise TransientError(reason, retry_after=trouble.pause)

    @asynccontextmanager
    async def _turn(self, request: Request) -> AsyncIterator[None]:
        """Wait for the budget, then for a slot; hold the slot.

        The slot comes last, so that a budget which is used up holds up no request on another one, and within the
        line, so that tokens do not pile up at requests that wait for a slow venue.
        """
        limit = request.limit
        budget = self._budgets.get(limit.name)
        if budget is None:
            budget = self._budgets[limit.name] = _Budget(limit, 0.0, self._clock.monotonic())
            budget.tokens = budget.burst
        async with budget.line:
            await self._await_end_of_ban()
            while (seconds := budget.wait_for(request.weight, self._clock.monotonic())) > 0:
                await self._clock.sleep(seconds)
                await self._await_end_of_ban()
            await self._slots.acquire()
        try:
            await self._await_end_of_ban()
            yield
        finally:
            self._slots.release()

    async def _await_end_of_ban(self) -> None:
        while (ban := self._banned_until - self._clock.monotonic()) > 0:
            if self._patience is not None and ban > self._patience:
                raise BannedError(f"{self._venue.value} limits our requests for another {ban:,.0f} s", ban)
            await self._clock.sleep(ban)

    def _note_usage(self, limit: RateLimit, headers: Mapping[str, str]) -> None:
        """Believe the venue where it counts more than we do: others may share our address."""
        used = _number(headers.get(limit.used_header or ""))
        if used is None:
            return
        metrics.REQUEST_WEIGHT.labels(self._venue.value).set(used)
        budget = self._budgets[limit.name]
        # A count that no budget can hold is wrong, and must not stop us for longer than a used one refills.
        left = min(max(limit.weight - used, -limit.weight), limit.weight)
        if left < budget.tokens:
            budget.tokens = left
            budget.refilled_at = self._clock.monotonic()


async def _bounded(request: Request, response: aiohttp.ClientResponse) -> bytes:
    """Read the body as far as it may reach.

    Raises:
        PoisonMessage: it is longer.
    """
    parts, length = [], 0
    async for part in response.content.iter_chunked(1 << 18):
        length += len(part)
        if length > MAXIMUM_BODY_BYTES:
            raise PoisonMessage(
                f"{request.url} answered with more than {MAXIMUM_BODY_BYTES:,} bytes",
                Origin(request.stream or request.url),
            )
        parts.append(part)
    return b"".join(parts)


def _headers(request: Request) -> dict[str, str]:
    content = {} if request.body is None else {"Content-Type": "application/json"}
    return content | dict(request.headers)


def _number(text: str | None) -> float | None:
    try:
        number = None if text is None else float(text)
    except ValueError:
        return None
    return number if number is not None and isfinite(number) else None


def _date_ms(text: str | None) -> int | None:
    """Read an HTTP date; None where there is none or it is none."""
    if text is None:
        return None
    try:
        return round(parsedate_to_datetime(text).timestamp() * 1_000)
    except (ValueError, OverflowError):
        return None
