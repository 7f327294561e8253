"""Edges that are read ahead on one thread while another completes them for a picture."""

import io
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl

from liqheat.domain.windows import MINUTE_MS
from liqheat.viewer.edge import LONGEST_AGE_MS, Edges
from liqheat.viewer.kept import Kept

NOW = 1_767_225_600_000 + 30 * MINUTE_MS


class Database:
    """A client of a database with one minute of TAO; `during` is called with each question for columns."""

    def __init__(self) -> None:
        self.questions = 0
        self.during: Callable[[], object] = lambda: None

    def query(self, query: str, parameters: dict[str, Any] | None = None) -> Any:
        self.questions += 1
        is_latest = "count() AS minutes" in query
        return SimpleNamespace(column_names=("symbol",), result_rows=[("TAO", NOW - MINUTE_MS, 1)] if is_latest else [])

    def query_np(self, query: str, parameters: dict[str, Any] | None = None) -> Any:
        self.questions += 1
        self.during()
        return np.empty(0)

    def raw_query(self, query: str, parameters: dict[str, Any] | None = None, *, fmt: str | None = None) -> bytes:
        self.questions += 1
        lists = {
            "bucket": pl.Int32,
            "at_risk_steps": pl.UInt16,
            "expected_steps": pl.UInt16,
            "at_risk_micro_usd": pl.Int64,
        }
        texts = dict.fromkeys(("symbol", "venue", "side", "basis", "leverage_band"), pl.String())
        schema = texts | {"seconds": pl.UInt32()} | {name: pl.List(kind) for name, kind in lists.items()}
        stream = io.BytesIO()
        pl.DataFrame(schema=schema).write_ipc_stream(stream)
        return stream.getvalue()


def test_an_edge_that_is_taken_over_does_not_change_under_the_thread_that_takes_it_over() -> None:
    edges, client = Edges(Kept(10**6), 5 * MINUTE_MS), Database()
    edge = edges.of(client, "TAO", MINUTE_MS, NOW)
    assert edge is not None
    parts = edge.parts
    before = dict(parts)

    assert edges.of(client, "TAO", 5 * MINUTE_MS, NOW + 1) is edge

    assert parts == before
    assert len(edge.parts) > len(before)


def test_a_page_in_the_background_finds_its_blocks_again() -> None:
    edges, client = Edges(Kept(10**6), 5 * MINUTE_MS), Database()
    first = edges.of(client, "TAO", MINUTE_MS, NOW)
    for half_seconds in range(1, 40):
        edges.refresh(client, NOW + 500 * half_seconds)

    again = edges.of(client, "TAO", MINUTE_MS, NOW + 20_000)

    assert first is not None
    assert again is not None
    assert again is not first
    assert again.generation == first.generation


def test_a_picture_leaves_the_newer_edge_that_was_read_ahead_meanwhile() -> None:
    edges, client = Edges(Kept(10**6), 5 * MINUTE_MS), Database()
    edges.of(client, "TAO", MINUTE_MS, NOW)

    def read_ahead() -> None:
        client.during = lambda: None
        edges.refresh(client, NOW + 1_000)

    client.during = read_ahead
    edges.of(client, "TAO", 5 * MINUTE_MS, NOW + 900)
    client.questions = 0

    newest = edges.of(client, "TAO", MINUTE_MS, NOW + LONGEST_AGE_MS + 500)
    assert newest is not None
    assert newest.read_at > NOW
    assert client.questions == 0
