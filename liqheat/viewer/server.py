"""The web page: a few files, Plotly from its own package, and JSON answers read from ClickHouse.

It listens on loopback, answers only GET under the names it knows, and loads nothing from elsewhere. `answers`
works the JSON out, on threads; a viewer that goes away stops costing anything.
"""

import ipaddress
from collections import Counter
from collections.abc import Awaitable, Callable
from importlib import resources
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web
from clickhouse_connect.driver.exceptions import ClickHouseError

from liqheat.domain.market import LEVERAGE_BANDS, Basis, Venue
from liqheat.domain.venues import VENUE_FACTS
from liqheat.domain.windows import DAY_MS, MINUTE_MS
from liqheat.platform.clock import Clock, SystemClock
from liqheat.platform.errors import ConfigurationError, LiqheatError
from liqheat.platform.settings import Viewer
from liqheat.viewer import picture
from liqheat.viewer.answers import Answers, Busy, Encoded, Limits, Work
from liqheat.viewer.edge import BEHIND_MS
from liqheat.viewer.evidence import signals_answer
from liqheat.viewer.queries import Client
from liqheat.viewer.read_ahead import ReadAhead
from liqheat.viewer.request import MEASURES, RANGES, SPANS, BadRequest, MapRequest, checked_symbol
from liqheat.viewer.stored import Store

_LOG = structlog.get_logger()
_STATIC = Path(str(resources.files("liqheat.viewer") / "static"))
_FILES = {"/": "index.html"} | {
    f"/{path.name}": path.name for path in sorted(_STATIC.iterdir()) if path.suffix != ".html"
}
_CONTENT_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}

# Plotly sets inline styles; everything else comes from this server alone.
_SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ViewerServer:
    """Serves the page; an async context manager that frees its port at the end."""

    def __init__(
        self, settings: Viewer, open_client: Callable[[], Client], stored_factor: int, clock: Clock | None = None
    ) -> None:
        """Prepare, without listening yet.

        Args:
            settings: where to listen; port 0 takes a free one.
            open_client: opens a client of the database that the sink writes; called once for each thread.
            stored_factor: grid level of the stored buckets (setting `engine.grid_factor`).
            clock: says how old the data are, and how long an answer is kept.
        """
        self._settings = settings
        self._stored_factor = stored_factor
        self._clock = clock or SystemClock()
        self._answers = Answers(
            open_client, self._clock, Limits(threads=settings.query_threads, questions=settings.maximum_questions)
        )
        self._store = Store(settings.stale_minutes * MINUTE_MS, settings.kept_bytes, BEHIND_MS)
        self._ahead = ReadAhead(self._store.edges, open_client, self._clock)
        self._in_flight: Counter[str] = Counter()
        # A request's handler is cancelled when its viewer goes away.
        self._runner = web.AppRunner(
            self.application(), access_log=None, shutdown_timeout=1.0, handler_cancellation=True, keepalive_timeout=30.0
        )

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._runner.addresses[0][1])

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://{self._settings.host}:{self.port}/"

    async def __aenter__(self) -> "ViewerServer":
        """Listen.

        Raises:
            ConfigurationError: the address cannot be bound.
        """
        await self._runner.setup()
        self._ahead.start()
        try:
            await web.TCPSite(self._runner, self._settings.host, self._settings.port).start()
        except OSError as error:
            await self._close()
            raise ConfigurationError(
                f"Cannot serve the page on {self._settings.host}:{self._settings.port} ({error.strerror}); "
                "choose another with --port or LIQHEAT_VIEWER__PORT"
            ) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def _close(self) -> None:
        await self._runner.cleanup()
        await self._ahead.stop()
        self._answers.close()

    def application(self) -> web.Application:
        """Return the routes."""
        application = web.Application(middlewares=[self._guard])
        for path, name in _FILES.items():
            application.router.add_get(path, _file(name))
        application.router.add_get("/plotly.js", _plotly)
        application.router.add_get("/api/markets", self._markets)
        application.router.add_get("/api/heatmap", self._heatmap)
        application.router.add_get("/api/signals", self._signals)
        return application

    async def _markets(self, request: web.Request) -> web.Response:
        offered = {
            "venues": [venue.value for venue in Venue],
            "venue_labels": {venue.value: facts.label for venue, facts in VENUE_FACTS.items()},
            "venue_colours": {venue.value: facts.colour for venue, facts in VENUE_FACTS.items()},
            "bases": [basis.value for basis in Basis],
            "bands": LEVERAGE_BANDS,
            "ranges": list(RANGES),
            "spans": SPANS,
            "measures": MEASURES,
        }
        return await self._answer(
            request, "markets", lambda client: picture.market_list(client, self._clock.now_ms()) | {"offered": offered}
        )

    async def _heatmap(self, request: web.Request) -> web.Response:
        wanted = MapRequest.parse(request.query)

        def work(client: Client) -> dict[str, Any]:
            return picture.heatmap_picture(self._store, client, wanted, self._stored_factor, self._clock.now_ms())

        # What continues a picture that the page holds costs a hundredth of a new one.
        return await self._answer(request, repr(wanted), work, wanted.symbol, is_small=bool(wanted.grid))

    async def _signals(self, request: web.Request) -> web.Response:
        symbol = checked_symbol(request.query.get("symbol", ""))
        end, stale_ms = self._clock.now_ms() + MINUTE_MS, self._settings.stale_minutes * MINUTE_MS
        return await self._answer(
            request, f"signals {symbol}", lambda client: signals_answer(client, symbol, end - 7 * DAY_MS, end, stale_ms)
        )

    async def _answer(
        self, request: web.Request, key: str, work: Work, lane: str | None = None, *, is_small: bool = False
    ) -> web.Response:
        """Answer from `key`'s answer, unless this viewer's address has too many requests open."""
        address = request.remote or ""
        if self._in_flight[address] >= self._settings.maximum_requests_per_client:
            return _problem("Too many requests at once from this address; this page tries again by itself.", 429)
        self._in_flight[address] += 1
        try:
            answer = await self._answers.get(key, work, lane, is_small=is_small)
        except Busy:
            return _problem("Many viewers ask at once; this page tries again by itself.", 503)
        finally:
            self._in_flight[address] -= 1
            if not self._in_flight[address]:
                del self._in_flight[address]
        return _encoded(answer, request)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turn errors into sentences for the page, and put the security headers on every answer."""
        try:
            if not self._is_known(request.host):
                response: web.StreamResponse = _problem(
                    f"This page does not answer to the name {request.host[:80]!r}; "
                    "add it to LIQHEAT_VIEWER__HOSTS if it is yours.",
                    421,
                )
            else:
                response = await handler(request)
        except BadRequest as error:
            response = _problem(str(error), 400)
        except ClickHouseError as error:
            _LOG.warning("viewer_query_failed", path=request.path, error=str(error))
            response = _problem(_sentence(error), 503)
        except LiqheatError as error:
            # Of a thread that cannot connect; the sentence names server and user, which are none of the viewer's.
            _LOG.warning("viewer_query_failed", path=request.path, error=str(error))
            response = _problem("ClickHouse does not answer; the log of the page says why.", 503)
        except web.HTTPException as error:
            error.headers.update(_SECURITY_HEADERS)
            raise
        response.headers.update(_SECURITY_HEADERS)
        return response

    def _is_known(self, host: str) -> bool:
        """Whether the page may be asked under this name: an address, localhost, or one of the settings.

        A web site whose name is pointed at this address would else read the page through a viewer's browser.
        """
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        name = name.strip("[]").lower()
        if name == "localhost" or name == self._settings.host.lower() or name in self._settings.hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _sentence(error: ClickHouseError) -> str:
    text = str(error)
    if "UNKNOWN_DATABASE" in text or "UNKNOWN_TABLE" in text:
        return "The database lacks tables: start the sink, or run `liqheat migrate`."
    return f"ClickHouse does not answer: {text.splitlines()[0][:200]}"


def _file(name: str) -> Handler:
    headers = {"Content-Type": f"{_CONTENT_TYPES[Path(name).suffix]}; charset=utf-8", "Cache-Control": "no-cache"}

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(_STATIC / name, headers=headers)

    return answer


async def _plotly(_: web.Request) -> web.StreamResponse:
    path = Path(str(resources.files("plotly") / "package_data" / "plotly.min.js"))
    return web.FileResponse(path, headers={"Content-Type": "text/javascript; charset=utf-8"})


def _problem(sentence: str, status: int) -> web.Response:
    headers = {"Cache-Control": "no-store"} | ({"Retry-After": "2"} if status in (429, 503) else {})
    return web.json_response({"problem": sentence}, status=status, headers=headers)


def _encoded(answer: Encoded, request: web.Request) -> web.Response:
    headers = {"Cache-Control": "no-store", "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return web.Response(body=answer.packed, content_type="application/json", headers=headers)
    return web.Response(body=answer.plain, content_type="application/json", headers=headers)
