"""The Faust worker: partitions, offsets and the changelog are Faust's, everything else is the driver's.

One agent reads the log and acknowledges nothing by itself. (Faust's isolated partitions are of no use here:
one event loop does the work anyway, and actors that come and go lose messages.) Two loops of our own write
checkpoints and publish open windows. `run` ends cleanly on SIGTERM or SIGINT, and raises what stopped it otherwise.
"""

import asyncio
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

import structlog
from aiokafka.errors import KafkaError

from liqheat.platform.ending import leave_within, limit_the_end
from liqheat.platform.errors import FatalError, TransientError
from liqheat.platform.settings import Settings
from liqheat.platform.standstill import Standstill
from liqheat.platform.topics import Topic
from liqheat.platform.watching import broker_watch, watched
from processors.worker.checkpoint import partition_of
from processors.worker.deaths import is_mark
from processors.worker.driver import Driver
from processors.worker.engine import Engine, State
from processors.worker.faust_app import GROUP, make_app, make_table
from processors.worker.faust_outlet import FaustOutlet
from processors.worker.rewinding_consumer import RewindingConsumer

_LOG = structlog.get_logger()

_READ = (Topic.POSITION_EVENTS,)
# Beyond this the event loop counts as blocked.
_ROUND_SECONDS = 30.0
# Checkpoints or open windows that wait for longer, with a broker that answers, wait for ever.
_ENDLESS_SECONDS = 45.0
# After so long without a message the worker asks whether it has missed some.
_QUIET_SECONDS = 2.0
# A clean end must fit into the ten seconds that a container is given.
_FINAL_CHECKPOINT_SECONDS = 5.0
_STOP_SECONDS = 4.0
_AGENTS_SECONDS = 0.5
_LEAVE_SECONDS = 15.0
# Most of the worker's time that checkpoints and open windows may take; the rest belongs to the messages.
_CHECKPOINT_SHARE = 0.08
_SNAPSHOT_SHARE = 0.2
# However long one took: a machine that stood still for a minute is no reason to write nothing for the next ten.
_LONGEST_REST = 60.0


class Worker:
    """One worker of the group; it lives for one `serve`."""

    def __init__(self, settings: Settings, engine: Engine[State]) -> None:
        self._settings = settings
        self._app = make_app(settings.kafka)
        self._table = make_table(self._app, settings.kafka)
        self._log_topic = settings.kafka.topic(Topic.POSITION_EVENTS)
        outlet = FaustOutlet(self._app, self._table, settings.kafka)
        self._driver = Driver(engine, settings.engine, outlet, settings.kafka.partitions)
        self._broker = broker_watch(settings.kafka, GROUP, _READ, self._reached)
        self._standstill = Standstill[int]()
        self._began: dict[str, float] = {}
        self._failure: asyncio.Future[None] | None = None
        self._is_assigned = False
        self._partitions: set[int] = set()
        self._is_stopping = False
        self._handing_over: set[asyncio.Task[None]] = set()
        self._last_round = time.monotonic()
        log = self._app.topic(self._log_topic, key_serializer="raw", value_serializer="raw", allow_empty=True)
        self._app.agent(log, name="log")(self._consume)
        self._app.on_partitions_revoked.connect(self._on_revoked, weak=False)
        self._table.on_recover(self._on_recovered)

    async def serve(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; then write the last checkpoints and leave the group.

        Raises:
            LiqheatError: what made going on impossible.
        """
        self._failure = asyncio.get_running_loop().create_future()
        limit_the_end()
        with watched(self._settings, GROUP, self.problem, group=GROUP, topics=_READ, broker=self._broker):
            tasks = [
                asyncio.create_task(self._guarded(self._app.start())),
                asyncio.create_task(
                    self._repeat(self._driver.checkpoint, self._settings.engine.checkpoint_seconds, _CHECKPOINT_SHARE)
                ),
                asyncio.create_task(
                    self._repeat(
                        self._driver.publish_open_windows, self._settings.engine.snapshot_seconds, _SNAPSHOT_SHARE
                    )
                ),
                asyncio.create_task(self._watch()),
            ]
            stopping = asyncio.create_task(stop.wait())
            try:
                ends: list[asyncio.Future[Any]] = [self._failure, stopping]
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                if self._failure.done():
                    # Faust may wait for a silent broker on its way out.
                    leave_within(
                        _LEAVE_SECONDS, f"{type(self._failure.exception()).__name__}: {self._failure.exception()}"
                    )
                else:
                    await self._finish()
            finally:
                self._is_stopping = True
                for task in [*tasks, stopping]:
                    task.cancel()
                await asyncio.gather(*tasks, stopping, return_exceptions=True)
                await self._stop_app()
            if self._failure.done():
                self._failure.result()

    def problem(self) -> str | None:
        """Say what is wrong, for the health endpoint; None while all is well."""
        if self._failure is not None and self._failure.done():
            return f"Stopping: {self._failure.exception()}"
        if not self._is_assigned:
            return "Waiting for partitions"
        age = time.monotonic() - self._last_round
        return f"The event loop is blocked for {age:.0f} s" if age > _ROUND_SECONDS else None

    def _reached(self) -> dict[tuple[str, int], int | None]:
        """Return how far each partition is; from any thread. Checkpoints of many markets come less often than that."""
        return {(self._log_topic, number): self._driver.reached(number) for number in list(self._partitions)}

    async def _consume(self, stream: Any) -> None:
        async for event in stream.noack().events():
            if self._is_stopping:
                await _for_ever()
            last = event.message
            messages = cast(RewindingConsumer, self._app.consumer).bundle(last.partition, last.offset)
            if messages:
                await self._guarded(self._driver.handle(messages))

    async def _guarded(self, work: Awaitable[Any]) -> None:
        """Do `work`; if it fails, hand the error to `serve` and hold still, since Faust would try again."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 - it is raised again by `serve`
            self._fail(error)
            await _for_ever()

    def _fail(self, error: Exception) -> None:
        if isinstance(error, KafkaError):
            error = TransientError(
                f"Kafka at {self._settings.kafka.bootstrap_servers} does not take what the worker sends "
                f"({type(error).__name__}); started again, it goes on from its last checkpoint"
            )
        if self._failure is not None and not self._failure.done():
            self._failure.set_exception(error)

    async def _repeat(self, work: Callable[[], Awaitable[float]], seconds: float, share: float) -> None:
        """Do `work`, which returns the seconds that it took, every `seconds`, and in at most `share` of the time."""
        while True:
            spent = 0.0

            async def once() -> None:
                nonlocal spent
                spent = await work()

            self._began[work.__name__] = time.monotonic()
            await self._guarded(once())
            del self._began[work.__name__]
            await asyncio.sleep(max(seconds, min(spent / share - spent, _LONGEST_REST)))

    async def _watch(self) -> None:
        """Notice when Faust itself gives up, and that the event loop goes round."""
        handled, since = -1, time.monotonic()
        while True:
            now = self._last_round = time.monotonic()
            if self._app.crashed:
                reason = self._app.crash_reason
                self._fail(FatalError(f"Faust has given up: {type(reason).__name__}: {reason}"))
            if self._driver.handled.total() != handled:
                handled, since = self._driver.handled.total(), now
            elif self._is_assigned and now - since > _QUIET_SECONDS and not self._broker.is_failing:
                ends = self._broker.ends(self._log_topic, self._partitions)
                await self._guarded(self._driver.ask_for_missed(self._partitions, ends))
                since = now
            self._end_at_standstill(now)
            await asyncio.sleep(0.5)

    def _end_at_standstill(self, now: float) -> None:
        partitions = self._partitions if self._is_assigned else ()
        standing = None if self._broker.is_failing else self._broker.standing(self._log_topic, partitions)
        if standing is None:
            self._began.update(dict.fromkeys(self._began, now))
        number = self._standstill.look(now, {each: self._driver.handled[each] for each in self._partitions}, standing)
        endless = [work for work, began in self._began.items() if now - began > _ENDLESS_SECONDS]
        reason = f"`{endless[0]}` does not end though the broker answers" if endless else ""
        if number is not None:
            reason = f"Kafka's client delivers nothing of {self._log_topic}[{number}], though messages wait there"
        if reason:
            self._fail(TransientError(f"{reason}; started again, the worker goes on from its last checkpoint"))

    async def _finish(self) -> None:
        """Bring outputs and checkpoints up to date, so that the next worker begins where this one ends."""
        self._is_stopping = True
        if not self._is_assigned:
            return
        try:
            async with asyncio.timeout(_FINAL_CHECKPOINT_SECONDS):
                await asyncio.gather(*self._handing_over)
                await self._driver.publish_open_windows(everything=True)
                await self._driver.checkpoint()
                await self._driver.end()
                await self._app.consumer.commit()
        except TimeoutError:
            _LOG.warning("stopped without a last checkpoint; the next worker repeats the latest messages")

    async def _stop_app(self) -> None:
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._app.stop()
        except TimeoutError:
            _LOG.warning("the Kafka client did not stop in time; the group will notice by its session timeout")
            await self._end_agents()

    async def _end_agents(self) -> None:
        """Tell Faust's agents that this is the end, where its own stop did not get as far as them.

        Else they take the end of the event loop for a rebalance, and report a crash.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_AGENTS_SECONDS):
                await asyncio.gather(*(agent.stop() for agent in self._app.agents.values()))

    async def _on_revoked(self, *arguments: Any, **_: Any) -> None:
        _, revoked = arguments
        lost = {each.partition for each in revoked if each.topic == self._log_topic}
        self._partitions -= lost
        # Beside the rebalance, which is not to wait for it.
        task = asyncio.create_task(self._guarded(self._driver.hand_over(self._driver.drop(lost))))
        self._handing_over.add(task)
        task.add_done_callback(self._handing_over.discard)

    async def _on_recovered(self) -> None:
        mine = {each.partition for each in self._app.consumer.assignment() if each.topic == self._log_topic}
        self._partitions = mine
        homes = [(symbol.decode(), partition_of(packed)) for symbol, packed in self._table.data.items()]
        self._driver.take_over(
            (symbol, partition) for symbol, partition in homes if partition in mine and not is_mark(symbol)
        )
        self._is_assigned = True
        _LOG.info("assigned", partitions=sorted(mine))


def run(settings: Settings, engine: Engine[State]) -> None:
    """Work until SIGTERM or SIGINT.

    Raises:
        LiqheatError: what made going on impossible.
    """
    threading.excepthook = _log_thread_failure
    asyncio.run(_run(settings, engine))


def _log_thread_failure(failure: threading.ExceptHookArgs) -> None:
    """Write one line for a thread of Faust's that ends with an error, as they do when a silent broker is left."""
    thread = failure.thread.name if failure.thread is not None else "a thread"
    _LOG.warning("a thread of the Kafka client ended", thread=thread, reason=repr(failure.exc_value))


async def _run(settings: Settings, engine: Engine[State]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await Worker(settings, engine).serve(stop)


async def _for_ever() -> None:
    await asyncio.Event().wait()
