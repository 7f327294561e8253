"""The venues' servers of the load: WebSockets that are written to in large pieces, and REST bodies.

Lean on purpose: a step's frames are encoded once and joined into one write per connection. No faults, no limits:
what the ingest services ask for is counted by path, to be set beside the documented budgets.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from liqheat.domain.market import Venue
from tests.bench.market.tape import Step
from tests.bench.market.venues.base import VenueWire, framed

HOST = "127.0.0.1"


@dataclass(eq=False, slots=True)
class _Client:
    venue: Venue
    transport: asyncio.Transport
    topics: set[str] = field(default_factory=set)


class LoadServer:
    """Serves all venues, each under its name."""

    def __init__(
        self, wires: Sequence[VenueWire], started: int, now: Callable[[], int], begin_storm: Callable[[float], None]
    ) -> None:
        """Serve `wires`.

        Args:
            wires: the venues.
            started: the first moment of the load, ms.
            now: gives its present moment, ms.
            begin_storm: is called with its seconds when a storm is asked for.
        """
        self._started = started
        self._begin_storm = begin_storm
        self._wires = {wire.venue: wire for wire in wires}
        self._now = now
        self._clients: set[_Client] = set()
        self.sent: Counter[str] = Counter()
        """Frames sent, by venue."""
        self.requests: Counter[str] = Counter()
        """Requests answered, by venue and path."""
        self.most_waiting = 0
        """Most bytes that waited for one client to read."""
        self.late_ms = 0
        """How late a step was sent at most, ms."""

    def app(self) -> web.Application:
        """Return the routes."""
        app = web.Application()
        for venue, wire in self._wires.items():
            app.router.add_get(f"/{venue.value}{wire.socket_path}", self._socket)
            app.router.add_route("*", f"/{venue.value}/{{path:.*}}", self._request)
        app.router.add_get("/_state", self._state)
        app.router.add_post("/_storm", self._storm)
        app.on_shutdown.append(self._cut)
        return app

    def publish(self, step: Step) -> None:
        """Send what one step puts on the sockets to all who subscribed to it."""
        for venue, wire in self._wires.items():
            frames = list(wire.frames(step))
            for client in [client for client in self._clients if client.venue is venue]:
                wanted = [frame.data for frame in frames if frame.topic in client.topics]
                if wanted and not client.transport.is_closing():
                    client.transport.write(b"".join(wanted))
                    self.sent[venue.value] += len(wanted)
                    self.most_waiting = max(self.most_waiting, client.transport.get_write_buffer_size())

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        venue = Venue(request.path.split("/")[1])
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        transport = request.transport
        if not isinstance(transport, asyncio.Transport):
            return socket
        client = _Client(venue, transport, set(filter(None, request.query.get("streams", "").split("/"))))
        self._clients.add(client)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    heard = self._wires[venue].hear(message.data, self._now())
                    # The answers first: they are written as whole frames, as the steps are.
                    transport.write(b"".join(map(framed, heard.answers)))
                    client.topics.update(heard.topics)
        finally:
            self._clients.discard(client)
        return socket

    async def _request(self, request: web.Request) -> web.Response:
        venue, path = request.path[1:].split("/", 1)
        query: dict[str, Any] = dict(request.query)
        if request.method == "POST":
            query |= await request.json()
        kind = f" {query['type']}" if "type" in query else ""
        self.requests[f"{venue} /{path}{kind}"] += 1
        body = self._wires[Venue(venue)].answer(f"/{path}", query, self._now())
        if body is None:
            return web.json_response({"error": "not part of the load"}, status=404)
        return web.Response(body=body, content_type="application/json")

    async def _state(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "started": self._started,
                "time": self._now(),
                "clients": len(self._clients),
                "sent": dict(self.sent),
                "requests": dict(self.requests),
                "most_waiting": self.most_waiting,
                "late_ms": self.late_ms,
            }
        )

    async def _storm(self, request: web.Request) -> web.Response:
        self._begin_storm(float(request.query["seconds"]))
        return await self._state(request)

    async def _cut(self, _: web.Application) -> None:
        for client in self._clients:
            client.transport.abort()


@contextlib.asynccontextmanager
async def serving(server: LoadServer, port: int) -> AsyncIterator[str]:
    """Listen on loopback while the context is open; gives the base URL. Port 0 takes a free one."""
    runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
        yield f"http://{HOST}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def environment_of(base_url: str) -> dict[str, str]:
    """Return the environment variables that point the ingest services at the load."""
    variables = {"LIQHEAT_HYPERLIQUID__LEADERBOARD_URL": f"{base_url}/hyperliquid/Mainnet/leaderboard"}
    for venue in Venue:
        prefix = f"LIQHEAT_{venue.value.upper()}__"
        variables[f"{prefix}REST_URL"] = f"{base_url}/{venue.value}"
        variables[f"{prefix}WEBSOCKET_URL"] = f"{base_url.replace('http', 'ws', 1)}/{venue.value}"
    return variables
