"""Works out the page's answers: on a few threads, once for all viewers who ask the same, and not for nobody.

Between the routes of `server` and the SQL of `queries`. A question that nobody waits for any more is dropped,
between two queries if it has begun. Questions of one lane, a symbol, are worked out one after the other: what the first
reads serves the next, and a slow symbol takes one thread and never all. The queue is bounded, and finished answers are
kept for a moment within a bound of bytes.
"""

import asyncio
import gzip
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import msgspec

from liqheat.platform.clock import Clock
from liqheat.viewer.queries import Client, Parameters

Work = Callable[[Client], dict[str, Any]]

_COMPRESSION_LEVEL = 1
_LANE_SHARE = 0.75
"""What one lane may take of the questions that may wait, so that others find room."""


class Busy(Exception):
    """More questions wait than the page takes; the viewer is to ask again in a moment."""


class _Dropped(Exception):
    """Nobody waits for this answer any more."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """One answer as JSON, plain and compressed, so that both are made once."""

    plain: bytes
    packed: bytes
    made_at: int

    @property
    def size(self) -> int:
        """Bytes that keeping it costs."""
        return len(self.plain) + len(self.packed)


class WatchedClient:
    """A client that refuses the next query once nobody waits for the answer."""

    def __init__(self, client: Client, dropped: threading.Event) -> None:
        self._client = client
        self._dropped = dropped

    def query(self, query: str, parameters: Parameters | None = None) -> Any:
        """Return what the client returns."""
        self._check()
        return self._client.query(query, parameters=parameters)

    def query_np(self, query: str, parameters: Parameters | None = None) -> Any:
        """Return what the client returns."""
        self._check()
        return self._client.query_np(query, parameters=parameters)

    def raw_query(self, query: str, parameters: Parameters | None = None, *, fmt: str | None = None) -> bytes:
        """Return what the client returns."""
        self._check()
        return self._client.raw_query(query, parameters=parameters, fmt=fmt)

    def _check(self) -> None:
        if self._dropped.is_set():
            raise _Dropped


@dataclass(slots=True, eq=False)
class _Pending:
    """A question that is being worked out, and how many wait for it."""

    lane: str
    work: Work
    is_small: bool
    answer: "asyncio.Future[Encoded]"
    dropped: threading.Event = field(default_factory=threading.Event)
    thread: "Future[Encoded] | None" = None
    waiting: int = 0


@dataclass(slots=True)
class Limits:
    """Bounds of `Answers`: threads, questions that may wait or run, bytes kept and for how long (ms)."""

    threads: int = 2
    questions: int = 64
    kept_bytes: int = 64_000_000
    kept_ms: int = 1_000


@dataclass(slots=True, eq=False)
class Answers:
    """Answers questions by their key; all methods run on one event loop.

    `open_client` is called once in each thread. `clock` says how long an answer is kept.
    """

    open_client: Callable[[], Client]
    clock: Clock
    limits: Limits = field(default_factory=Limits)
    _pending: dict[str, _Pending] = field(default_factory=dict)
    _lanes: dict[str, deque[_Pending]] = field(default_factory=dict)
    _kept: "OrderedDict[str, Encoded]" = field(default_factory=OrderedDict)
    _kept_bytes: int = 0
    _local: threading.local = field(default_factory=threading.local)
    _threads: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self._threads = ThreadPoolExecutor(self.limits.threads, thread_name_prefix="viewer-query")

    @property
    def questions(self) -> int:
        """Questions that wait or are being worked out."""
        return len(self._pending)

    @property
    def kept_bytes(self) -> int:
        """Bytes of the answers that are kept."""
        return self._kept_bytes

    async def get(self, key: str, work: Work, lane: str | None = None, *, is_small: bool = False) -> Encoded:
        """Return the answer to `key`: a kept one, one that is being worked out, or that of `work`.

        Questions of one `lane` are worked out one at a time, small ones first; without a lane a question waits for a
        thread alone.

        Raises:
            Busy: too many questions wait.
            Exception: what `work` raises.
        """
        kept = self._kept.get(key)
        if kept is not None and self.clock.now_ms() - kept.made_at < self.limits.kept_ms:
            return kept
        pending = self._pending.get(key)
        if pending is None:
            lane = key if lane is None else lane
            limit = self.limits.questions
            if len(self._pending) >= limit or len(self._lanes.get(lane, ())) >= max(1, int(_LANE_SHARE * limit)):
                raise Busy
            pending = self._pending[key] = self._begin(lane, work, is_small)
        pending.waiting += 1
        try:
            answer = await asyncio.shield(pending.answer)
        finally:
            pending.waiting -= 1
            if pending.waiting == 0:
                # Either it is done, or the last who waited went away.
                self._drop(pending)
                if self._pending.get(key) is pending:
                    del self._pending[key]
        self._keep(key, answer)
        return answer

    def close(self) -> None:
        """Drop what waits, and wait for the query that runs."""
        for pending in self._pending.values():
            pending.dropped.set()
        self._lanes.clear()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _begin(self, lane: str, work: Work, is_small: bool) -> _Pending:
        pending = _Pending(lane, work, is_small, asyncio.get_running_loop().create_future())
        # Where all who waited went away, nobody else reads how it ended.
        pending.answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        queue = self._lanes.setdefault(lane, deque())
        # The first of a lane is with a thread already; small ones follow it in the order in which they came.
        place = 1 + sum(each.is_small for each in islice(queue, 1, None)) if is_small else len(queue)
        queue.insert(place, pending)
        if len(queue) == 1:
            self._submit(pending)
        return pending

    def _submit(self, pending: _Pending) -> None:
        """Give a thread the first question of its lane."""
        pending.thread = self._threads.submit(self._work_out, pending.work, pending.dropped)
        asyncio.wrap_future(pending.thread).add_done_callback(lambda done: self._done(pending, done))

    def _done(self, pending: _Pending, done: "asyncio.Future[Encoded]") -> None:
        """Hand the answer over, and begin the lane's next question."""
        if not pending.answer.done():
            if done.cancelled():
                pending.answer.cancel()
            elif error := done.exception():
                pending.answer.set_exception(error)
            else:
                pending.answer.set_result(done.result())
        elif not done.cancelled():
            done.exception()
        queue = self._lanes.get(pending.lane)
        if queue is None:
            return
        queue.popleft()
        if queue:
            self._submit(queue[0])
        else:
            del self._lanes[pending.lane]

    def _drop(self, pending: _Pending) -> None:
        """Stop what nobody waits for: at its next query, or before it begins."""
        pending.dropped.set()
        if pending.thread is not None:
            pending.thread.cancel()
        elif pending in (queue := self._lanes.get(pending.lane, deque())):
            queue.remove(pending)

    def _work_out(self, work: Work, dropped: threading.Event) -> Encoded:
        client = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = self.open_client()
        plain = msgspec.json.encode(work(WatchedClient(client, dropped)))
        return Encoded(plain, gzip.compress(plain, _COMPRESSION_LEVEL, mtime=0), self.clock.now_ms())

    def _keep(self, key: str, answer: Encoded) -> None:
        before = self._kept.pop(key, None)
        if before is not None:
            self._kept_bytes -= before.size
        self._kept[key] = answer
        self._kept_bytes += answer.size
        while self._kept_bytes > self.limits.kept_bytes:
            self._kept_bytes -= self._kept.popitem(last=False)[1].size
