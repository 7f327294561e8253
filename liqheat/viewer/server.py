"""The local web page: a few files, Plotly from its own package, and two JSON answers read from ClickHouse.

It listens on loopback, answers only GET, and loads nothing from elsewhere. The client it is given may be a
server's or chDB's; queries run on a thread, so that a slow one does
not hold up the rest of the page.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web
from clickhouse_connect.driver.exceptions import ClickHouseError

from liqheat.domain.market import LEVERAGE_BANDS, Basis, Venue
from liqheat.domain.venues import VENUE_FACTS
from liqheat.platform.clock import Clock, SystemClock
from liqheat.platform.errors import ConfigurationError
from liqheat.platform.settings import Viewer
from liqheat.viewer import picture
from liqheat.viewer.queries import Client
from liqheat.viewer.request import RANGES, SPANS, BadRequest, MapRequest
from liqheat.viewer.signals import signals_picture

_LOG = structlog.get_logger()
_STATIC = Path(str(resources.files("liqheat.viewer") / "static"))
_FILES = {
    "/": "index.html",
    "/app.js": "app.js",
    "/chart.js": "chart.js",
    "/format.js": "format.js",
    "/panels.js": "panels.js",
    "/picture.js": "picture.js",
    "/signals.js": "signals.js",
    "/style.css": "style.css",
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

    def __init__(self, settings: Viewer, client: Client, stored_factor: int, clock: Clock | None = None) -> None:
        """Prepare, without listening yet.

        Args:
            settings: where to listen; port 0 takes a free one.
            client: reads the database that the sink writes.
            stored_factor: grid level of the stored buckets (setting `engine.grid_factor`).
            clock: only to say how old the data are.
        """
        self._settings = settings
        self._client = client
        self._stored_factor = stored_factor
        self._clock = clock or SystemClock()
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="viewer-query")
        self._runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=1.0)

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
        self._threads.shutdown(wait=True, cancel_futures=True)

    def application(self) -> web.Application:
        """Return the routes."""
        application = web.Application(middlewares=[_guard])
        for path, name in _FILES.items():
            application.router.add_get(path, _file(name))
        application.router.add_get("/plotly.js", _plotly)
        application.router.add_get("/api/markets", self._markets)
        application.router.add_get("/api/heatmap", self._heatmap)
        application.router.add_get("/api/signals", self._signals)
        return application

    async def _markets(self, _: web.Request) -> web.Response:
        answer = await self._in_thread(lambda: picture.market_list(self._client))
        offered = {
            "venues": [venue.value for venue in Venue],
            "venue_labels": {venue.value: facts.label for venue, facts in VENUE_FACTS.items()},
            "venue_colours": {venue.value: facts.colour for venue, facts in VENUE_FACTS.items()},
            "bases": [basis.value for basis in Basis],
            "bands": LEVERAGE_BANDS,
            "ranges": list(RANGES),
            "spans": SPANS,
        }
        return _json(answer | {"offered": offered})

    async def _heatmap(self, request: web.Request) -> web.Response:
        wanted = MapRequest.parse(request.query)
        now = self._clock.now_ms()
        return _json(
            await self._in_thread(lambda: picture.heatmap_picture(self._client, wanted, self._stored_factor, now))
        )

    async def _signals(self, request: web.Request) -> web.Response:
        symbol = request.query.get("symbol", "").upper()
        return _json(await self._in_thread(lambda: signals_picture(self._client, symbol)))

    async def _in_thread(self, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn errors into sentences for the page, and put the security headers on every answer."""
    try:
        response = await handler(request)
    except BadRequest as error:
        response = _json({"problem": str(error)}, status=400)
    except ClickHouseError as error:
        _LOG.warning("viewer_query_failed", path=request.path, error=str(error))
        response = _json({"problem": _sentence(error)}, status=503)
    except web.HTTPException as error:
        error.headers.update(_SECURITY_HEADERS)
        raise
    response.headers.update(_SECURITY_HEADERS)
    return response


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


def _json(answer: dict[str, Any], status: int = 200) -> web.Response:
    response = web.Response(
        text=json.dumps(answer, separators=(",", ":"), allow_nan=False),
        content_type="application/json",
        status=status,
        headers={"Cache-Control": "no-store"},
    )
    response.enable_compression()
    return response
