"""Works out the page's answers: on a few threads, once for all viewers who ask the same, and not for nobody.

Between the routes of `server` and the SQL of `queries`. A question that nobody waits for any more is dropped,
between two queries if it has begun. The queue is bounded, and finished answers are kept for a moment within a
bound of bytes.
"""

import asyncio
import gzip
import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from liqheat.platform.clock import Clock
from liqheat.viewer.queries import Client, Parameters

Work = Callable[[Client], dict[str, Any]]

_COMPRESSION_LEVEL = 3


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

    def _check(self) -> None:
        if self._dropped.is_set():
            raise _Dropped


@dataclass(slots=True, eq=False)
class _Pending:
    """A question that is being worked out, and how many wait for it."""

    thread: "Future[Encoded]"
    answer: "asyncio.Future[Encoded]"
    dropped: threading.Event
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

    async def get(self, key: str, work: Work) -> Encoded:
        """Return the answer to `key`: a kept one, one that is being worked out, or that of `work`.

        Raises:
            Busy: too many questions wait.
            Exception: what `work` raises.
        """
        kept = self._kept.get(key)
        if kept is not None and self.clock.now_ms() - kept.made_at < self.limits.kept_ms:
            return kept
        pending = self._pending.get(key)
        if pending is None:
            if len(self._pending) >= self.limits.questions:
                raise Busy
            pending = self._pending[key] = self._begin(work)
        pending.waiting += 1
        try:
            answer = await asyncio.shield(pending.answer)
        finally:
            pending.waiting -= 1
            if pending.waiting == 0:
                # Either it is done, or the last who waited went away.
                pending.dropped.set()
                pending.thread.cancel()
                if self._pending.get(key) is pending:
                    del self._pending[key]
        self._keep(key, answer)
        return answer

    def close(self) -> None:
        """Drop what waits, and wait for the query that runs."""
        for pending in self._pending.values():
            pending.dropped.set()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _begin(self, work: Work) -> _Pending:
        dropped = threading.Event()
        thread = self._threads.submit(self._work_out, work, dropped)
        answer = asyncio.wrap_future(thread)
        # Where all who waited went away, nobody else reads how it ended.
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        return _Pending(thread, answer, dropped)

    def _work_out(self, work: Work, dropped: threading.Event) -> Encoded:
        client = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = self.open_client()
        plain = json.dumps(work(WatchedClient(client, dropped)), separators=(",", ":"), allow_nan=False).encode()
        return Encoded(plain, gzip.compress(plain, _COMPRESSION_LEVEL, mtime=0), self.clock.now_ms())

    def _keep(self, key: str, answer: Encoded) -> None:
        before = self._kept.pop(key, None)
        if before is not None:
            self._kept_bytes -= before.size
        self._kept[key] = answer
        self._kept_bytes += answer.size
        while self._kept_bytes > self.limits.kept_bytes:
            self._kept_bytes -= self._kept.popitem(last=False)[1].size
