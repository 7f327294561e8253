"""The fake exchange: one loopback server, one path prefix per venue, real wire formats, faults on demand.

`/binance`, `/bybit`, `/okx` and `/hyperliquid` replace the venues' hosts, for WebSocket and REST alike.
`/_faults` controls what goes wrong, `/_state` shows the simulated time. `run` paces the markets.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from aiohttp import WSMsgType, web

from liqheat.domain.market import Venue
from liqheat.domain.windows import HOUR_MS
from liqheat.platform.clock import Clock
from liqheat.platform.errors import ConfigurationError
from liqheat.simulator.exchange import Exchange
from liqheat.simulator.faults import Fault, Faults, Trigger, answer_to, with_new_field
from liqheat.simulator.limits import WeightCounter
from liqheat.simulator.truth import write_truth
from liqheat.simulator.wire.base import Frame, RequestRefused, Subscriber, Wire

LIVE_STEP_MS = 1_000
_QUEUED_FRAMES = 20_000
"""Frames that may wait for a slow client before it is cut off, as venues do."""
_PING_SECONDS = 180.0

logger = structlog.get_logger()


@dataclass(eq=False, slots=True)
class _Client:
    """One open socket."""

    wire: Wire
    socket: web.WebSocketResponse
    subscriber: Subscriber
    transport: asyncio.Transport
    last_traffic: float
    outgoing: asyncio.Queue[str | None] = field(default_factory=lambda: asyncio.Queue(_QUEUED_FRAMES))

    def send(self, text: str) -> None:
        """Queue a frame; a client that does not keep up is cut off."""
        if self.outgoing.full():
            self.cut()
        else:
            self.outgoing.put_nowait(text)

    def cut(self) -> None:
        """Drop what waits and close without a closing handshake."""
        while not self.outgoing.empty():
            self.outgoing.get_nowait()
        self.outgoing.put_nowait(None)


class SimulatorServer:
    """Serves an exchange; `app()` is the web application, `run()` moves the markets."""

    def __init__(
        self,
        exchange: Exchange,
        wires: Mapping[Venue, Wire],
        clock: Clock,
        faults: Faults | None = None,
        truth_directory: Path | None = None,
    ) -> None:
        self.exchange = exchange
        self.faults = faults or Faults()
        self._wires, self._clock = wires, clock
        self._truth_directory = truth_directory
        self._clients: set[_Client] = set()
        self._counters = {venue: WeightCounter(wire.rate_limit, clock.monotonic) for venue, wire in wires.items()}

    def app(self) -> web.Application:
        """Return the application with the routes of all venues."""
        app = web.Application()
        app.router.add_post("/_faults", self._set_faults)
        app.router.add_get("/_faults", self._get_faults)
        app.router.add_get("/_state", self._get_state)
        for venue, wire in self._wires.items():
            prefix = f"/{venue.value}"
            for path in wire.socket_paths:
                app.router.add_get(prefix + path, self._socket)
            app.router.add_route("*", prefix + "/{path:.*}", self._request)
        app.on_shutdown.append(self._close_clients)
        return app

    async def run(self, speed: float = 1.0) -> None:
        """Move the markets on for ever, `speed` times as fast as the clock, publishing every step."""
        started, start = self._clock.monotonic(), self.exchange.now
        while True:
            due = start + (self._clock.monotonic() - started) * 1_000 * speed
            while self.exchange.now + LIVE_STEP_MS <= due:
                self.step()
                await asyncio.sleep(0)
            behind = self.exchange.now + LIVE_STEP_MS - due
            await self._clock.sleep(max(behind / speed / 1_000, 0.001))

    def step(self) -> None:
        """Move on by one live step and publish it; every simulated hour the truth is written."""
        self.exchange.advance(LIVE_STEP_MS)
        for venue, wire in self._wires.items():
            clients = [client for client in self._clients if client.wire is wire]
            if clients:
                for view in self.exchange.views[venue].values():
                    for frame in wire.publish(view):
                        self._deliver(frame, clients)
            self._cut_silent(clients)
        if self.exchange.now % HOUR_MS == 0:
            self.write_truth()

    def write_truth(self) -> None:
        """Write the true positions and map of now, where a directory was given."""
        if self._truth_directory is not None:
            write_truth(self.exchange.truths(), self._truth_directory)

    # -- sockets -------------------------------------------------------------------------------------------

    def _deliver(self, frame: Frame, clients: list[_Client]) -> None:
        for client in clients:
            if frame.topic not in client.subscriber.topics:
                continue
            text = client.wire.encode(frame, client.subscriber)
            client.last_traffic = self._clock.monotonic()
            match self.faults.for_frame(client.wire.venue, frame.topic):
                case None:
                    client.send(text)
                case Fault.DUPLICATE:
                    client.send(text)
                    client.send(text)
                case Fault.MALFORMED:
                    client.send(text[: len(text) // 2])
                case Fault.NOTICE:
                    client.send(client.wire.notice)
                    client.send(text)
                case Fault.NEW_FIELD:
                    client.send(with_new_field(text))
                case Fault.UNSUBSCRIBE:
                    client.subscriber.topics.discard(frame.topic)
                case Fault.DISCONNECT:
                    client.cut()
                case _:
                    pass  # A gap: the frame is lost on purpose, and counted by `Faults`.

    def _cut_silent(self, clients: list[_Client]) -> None:
        now = self._clock.monotonic()
        for client in clients:
            limit = client.wire.silence_limit
            if limit is not None and now - client.last_traffic > limit:
                client.cut()

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        venue, path = _venue_and_path(request)
        if fault := self.faults.for_request(venue, path):
            status, body, headers = answer_to(fault, venue.value, 1)
            return web.Response(status=503 if status == 200 else status, text=body, headers=headers)
        wire = self._wires[venue]
        socket = web.WebSocketResponse(heartbeat=_PING_SECONDS, compress=False)
        await socket.prepare(request)
        transport = request.transport
        if not isinstance(transport, asyncio.Transport):
            return socket
        client = _Client(wire, socket, wire.connect(path, request.query), transport, self._clock.monotonic())
        self._clients.add(client)
        writer = asyncio.create_task(self._write(client))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    client.last_traffic = self._clock.monotonic()
                    for answer in wire.receive(message.data, client.subscriber):
                        client.send(answer)
        finally:
            self._clients.discard(client)
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
        return socket

    async def _write(self, client: _Client) -> None:
        while (text := await client.outgoing.get()) is not None:
            try:
                await client.socket.send_str(text)
            except ConnectionError:
                logger.debug("client_gone", venue=client.wire.venue)
                return
        # As when a line breaks: no closing frame.
        client.transport.abort()

    async def _close_clients(self, _: web.Application) -> None:
        for client in list(self._clients):
            await client.socket.close(code=1001, message=b"going away")

    # -- requests ------------------------------------------------------------------------------------------

    async def _request(self, request: web.Request) -> web.Response:
        venue, path = _venue_and_path(request)
        wire = self._wires[venue]
        query: dict[str, Any] = dict(request.query)
        if request.method == "POST":
            try:
                query.update(await request.json())
            except ValueError:
                return web.json_response({"error": "the body is no JSON"}, status=422)
        used, is_within = self._counters[venue].spend(path, wire.weight(path, query))
        headers = {"x-mbx-used-weight-1m": str(used)} if venue is Venue.BINANCE else {}
        fault = self.faults.for_request(venue, path)
        if fault or not is_within:
            retry_after = 1 if fault else self._counters[venue].retry_after
            status, body, more = answer_to(fault or Fault.RATE_LIMIT, venue.value, retry_after)
            return web.Response(status=status, text=body, headers=headers | more)
        try:
            return web.json_response(wire.answer(path, query), headers=headers)
        except RequestRefused as refusal:
            return web.json_response(refusal.body, status=refusal.status, headers=headers)
        except ValueError as error:
            return web.json_response({"code": -1100, "msg": f"Illegal parameter: {error}"}, status=400, headers=headers)

    # -- control -------------------------------------------------------------------------------------------

    async def _set_faults(self, request: web.Request) -> web.Response:
        """Take `{"fault": ..., "count": 1, "venue": "", "match": ""}`, or `{"probabilities": {fault: share}}`."""
        try:
            wanted = await request.json()
            for name, probability in wanted.get("probabilities", {}).items():
                self.faults.set_probability(Fault(name), float(probability))
            if "fault" in wanted:
                fault, count = Fault(wanted["fault"]), int(wanted.get("count", 1))
                self.faults.trigger(Trigger(fault, count, wanted.get("venue", ""), wanted.get("match", "")))
        except (ValueError, AttributeError, TypeError, ConfigurationError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return await self._get_faults(request)

    async def _get_faults(self, _: web.Request) -> web.Response:
        return web.json_response({"injected": dict(self.faults.injected), "probabilities": self.faults.probabilities})

    async def _get_state(self, _: web.Request) -> web.Response:
        return web.json_response(
            {"time": self.exchange.now, "clients": len(self._clients), "symbols": self.exchange.config.symbols}
        )


def _venue_and_path(request: web.Request) -> tuple[Venue, str]:
    _, venue, path = request.path.split("/", 2)
    return Venue(venue), f"/{path}"


@contextlib.asynccontextmanager
async def serving(server: SimulatorServer, host: str, port: int) -> AsyncIterator[str]:
    """Listen while the context is open; gives the base URL. Port 0 takes a free one.

    Raises:
        ConfigurationError: the port cannot be bound.
    """
    runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigurationError(f"Cannot listen on {host}:{port} ({error.strerror}); take another --port") from error
    try:
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def environment_of(base_url: str, venues: tuple[Venue, ...]) -> dict[str, str]:
    """Return the environment variables that point the ingest services at the simulator."""
    socket_url = base_url.replace("http://", "ws://")
    variables: dict[str, str] = {}
    for venue in venues:
        prefix = f"LIQHEAT_{venue.value.upper()}__"
        variables[f"{prefix}REST_URL"] = f"{base_url}/{venue.value}"
        variables[f"{prefix}WEBSOCKET_URL"] = f"{socket_url}/{venue.value}"
    if Venue.HYPERLIQUID in venues:
        variables["LIQHEAT_HYPERLIQUID__LEADERBOARD_URL"] = f"{base_url}/hyperliquid/Mainnet/leaderboard"
    return variables
