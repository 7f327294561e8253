"""What is encoded is what is decoded, over versions; everything else is poison with a sentence."""

import contextlib
import io
import struct
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqheat.domain.events import (
    STRUCTS,
    Batch,
    Kind,
    Mark,
    OpenInterest,
    Position,
    Trade,
    from_batch,
    schema_of,
    to_batch,
)
from liqheat.domain.market import Venue
from liqheat.platform import codec
from liqheat.platform.errors import PoisonMessage

times = st.integers(min_value=0, max_value=4_000_000_000_000)
prices = st.floats(min_value=1e-6, max_value=1e8)
quantities = st.floats(min_value=0, max_value=1e12)
signs = st.sampled_from([1, -1])

trades = st.builds(
    Trade,
    st.just(Venue.BINANCE),
    st.just("BTC"),
    st.just("BTCUSDT"),
    times,
    prices,
    quantities,
    signs,
    st.integers(min_value=-1, max_value=2**62),
)
marks = st.builds(
    Mark,
    st.just(Venue.OKX),
    st.just("TAO"),
    st.just("TAO-USDT-SWAP"),
    times,
    prices,
    prices,
    st.floats(min_value=-0.01, max_value=0.01),
    times,
)


def value_of(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_ipc_stream(buffer)
    return buffer.getvalue()


def message(*events: Any) -> tuple[dict[str, bytes], pl.DataFrame]:
    batch = to_batch(list(events))
    headers, _ = codec.encode(batch)
    return dict(headers), batch.frame


TRADE = Trade(Venue.BINANCE, "BTC", "BTCUSDT", 1_700_000_000_000, 42_000.0, 0.5, 1, 7)


@given(st.one_of(st.lists(trades, min_size=1, max_size=30), st.lists(marks, min_size=1, max_size=30)))
def test_a_round_trip_changes_nothing(events: list[Trade] | list[Mark]) -> None:
    assert from_batch(codec.decode(*codec.encode(to_batch(list(events))))) == events


def test_an_unknown_column_is_ignored() -> None:
    headers, frame = message(TRADE)
    newer = frame.with_columns(pl.lit("x").alias("a_column_of_the_future"))
    assert from_batch(codec.decode(headers, value_of(newer))) == [TRADE]


def test_a_column_that_an_older_writer_did_not_know_takes_its_default() -> None:
    headers, frame = message(TRADE)
    older = frame.drop("trade_id")
    assert from_batch(codec.decode(headers, value_of(older))) == [msgspec.structs.replace(TRADE, trade_id=-1)]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda frame: frame.drop("price"), "column 'price' is missing"),
        (lambda frame: frame.with_columns(pl.col("price").cast(pl.String)), "Expected the column 'price' as Float64"),
        (lambda frame: frame.with_columns(price=pl.lit(float("nan"))), "column 'price' .* is nan"),
        (lambda frame: frame.with_columns(price=pl.lit(float("inf"))), "column 'price' .* is inf"),
        (lambda frame: frame.with_columns(price=pl.lit(-1.0)), "column 'price' .* is -1"),
        (lambda frame: frame.with_columns(quantity=pl.lit(-0.1)), "column 'quantity' .* is -0.1"),
        (lambda frame: frame.with_columns(quantity=pl.lit(None, pl.Float64)), "has 1 nulls"),
        (lambda frame: frame.with_columns(event_time=pl.lit(10**18)), "column 'event_time'"),
        (lambda frame: frame.with_columns(taker_side=pl.lit(3, pl.Int8)), "column 'taker_side'"),
        (lambda frame: frame.with_columns(taker_side=pl.lit(0, pl.Int8)), "column 'taker_side' .* is 0"),
        (lambda frame: frame.clear(), "Expected 1 to 200000 rows, was 0"),
        (lambda frame: pl.concat([frame] * 200_001), "rows, was 200001"),
    ],
)
def test_an_insane_batch_is_poison(change: Any, sentence: str) -> None:
    headers, frame = message(TRADE)
    with pytest.raises(PoisonMessage, match=sentence):
        codec.decode(headers, value_of(change(frame)))


SAMPLES = [
    codec.encode(to_batch([TRADE, TRADE])),
    codec.encode(
        to_batch([Position(Venue.HYPERLIQUID, "BTC", "BTC", 5, f"0x{number:040x}", 1, 2.0) for number in range(3)])
    ),
    codec.encode(
        Batch.of_market(
            Kind.HEATMAP_LEVELS,
            "binance",
            "BTC",
            "BTCUSDT",
            pl.DataFrame(
                [
                    {
                        "window_start": 0,
                        "side": 1,
                        "basis": "inferred",
                        "leverage_band": "1-5x",
                        **{name: [1, 2] for name in schema_of(Kind.HEATMAP_LEVELS).lists},
                        "grid_factor": 5,
                        "model_version": 2,
                        "revision": 1,
                    }
                ],
                schema=schema_of(Kind.HEATMAP_LEVELS).polars,
            ),
        )
    ),
]
"""Messages with numbers, long texts and lists."""


@given(st.data())
def test_a_truncated_or_damaged_value_is_poison_or_still_sane(data: st.DataObject) -> None:
    headers, value = data.draw(st.sampled_from(SAMPLES))
    cut = data.draw(st.integers(min_value=0, max_value=len(value) - 1))
    position = data.draw(st.integers(min_value=0, max_value=len(value) - 1))
    damaged = bytearray(value)
    damaged[position] ^= data.draw(st.integers(min_value=1, max_value=255))
    for candidate in (value[:cut], bytes(damaged)):
        with contextlib.suppress(PoisonMessage):
            assert codec.decode(headers, candidate).kind.value == dict(headers)["kind"].decode()
        with contextlib.suppress(PoisonMessage):
            codec.decode_rows(headers, candidate)


@pytest.mark.parametrize("header", ["kind", "venue", "schema_version"])
def test_a_missing_header_is_poison(header: str) -> None:
    headers, frame = message(TRADE)
    del headers[header]
    with pytest.raises(PoisonMessage, match=header):
        codec.decode(headers, value_of(frame))


@pytest.mark.parametrize("version", [b"0", b"3", b"99", b"-1", b"2.0", b"", b"latest", b"2" * 1_000])
def test_a_message_of_an_unknown_version_is_poison_that_says_which_are_known(version: bytes) -> None:
    headers, frame = message(TRADE)
    headers["schema_version"] = version
    for read in (codec.decode, codec.decode_rows):
        with pytest.raises(PoisonMessage, match="schema version from 1 to 2 of trades") as poison:
            read(headers, value_of(frame))
        assert len(poison.value.reason) < 100


def old_message(*events: Any) -> tuple[dict[str, bytes], bytes]:
    """Return a message as version 1 wrote it: of one market, named in the headers."""
    headers, frame = message(*events)
    headers |= {"schema_version": b"1", "symbol": b"BTC", "instrument": b"BTCUSDT"}
    return headers, value_of(frame.drop("symbol", "instrument"))


def test_a_message_of_the_old_version_is_read_like_a_new_one() -> None:
    headers, value = old_message(TRADE, TRADE)
    assert from_batch(codec.decode(headers, value)) == [TRADE, TRADE]
    rows = codec.decode_rows(headers, value)
    assert (rows.markets, rows.starts.tolist(), rows.height) == ((("BTC", "BTCUSDT"),), [0], 2)
    for header in ("symbol", "instrument"):
        with pytest.raises(PoisonMessage, match=header):
            codec.decode({name: each for name, each in headers.items() if name != header}, value)


@given(st.lists(st.sampled_from(["BTC", "ETH", "A" * 30]), min_size=1, max_size=30))
def test_rows_are_the_runs_of_markets_of_a_message_and_go_back_into_a_batch(symbols: list[str]) -> None:
    events = [Trade(Venue.OKX, name, f"{name}-USDT-SWAP", 5, 3.0, 2.0, -1, row) for row, name in enumerate(symbols)]
    batch = to_batch(events)
    rows = codec.decode_rows(*codec.encode(batch))
    assert rows.batch().frame.equals(batch.frame)
    counts = [int(each) for each in (*rows.starts[1:], rows.height)]
    named = [rows.markets[sum(row >= end for end in counts)] for row in range(rows.height)]
    assert named == [(event.symbol, event.instrument) for event in events]
    chosen = [row for row in range(rows.height) if row % 3]
    if chosen:
        part = rows.select(np.array(chosen)).batch()
        assert from_batch(part) == [events[row] for row in chosen]


def test_an_unknown_kind_and_an_empty_value_are_poison() -> None:
    headers, _ = message(TRADE)
    with pytest.raises(PoisonMessage, match="Expected a known kind"):
        codec.decode(headers | {"kind": b"gossip"}, b"")
    with pytest.raises(PoisonMessage, match="empty"):
        codec.decode(headers, None)


def test_nan_is_sane_only_where_the_venue_may_publish_none() -> None:
    mark = Mark(Venue.OKX, "TAO", "TAO-USDT-SWAP", 5, 300.0)
    batch = codec.decode(*codec.encode(to_batch([mark])))
    assert batch.frame["funding_rate"].is_nan().all()
    interest = OpenInterest(Venue.OKX, "TAO", "TAO-USDT-SWAP", 5, float("nan"))
    with pytest.raises(PoisonMessage):
        codec.decode(*codec.encode(to_batch([interest])))


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_a_unit_on_every_column(kind: Kind) -> None:
    schema = schema_of(kind)
    assert schema.columns
    assert all(column.unit.name for column in schema.columns)
    assert set(schema.polars) <= set(STRUCTS[kind].__struct_fields__)


def test_a_batch_is_nothing_without_events() -> None:
    with pytest.raises(ValueError, match="at least one event"):
        to_batch([])
    assert isinstance(to_batch([TRADE]), Batch)


def compressed(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_ipc_stream(buffer, compression="zstd")
    return buffer.getvalue()


def test_a_compressed_body_is_refused_before_it_can_take_memory() -> None:
    headers, frame = message(TRADE)
    bomb = compressed(pl.concat([frame] * 150_000))
    with pytest.raises(PoisonMessage, match="compressed"):
        codec.decode(headers, bomb)


def test_a_corrupt_length_is_poison_and_does_not_abort_the_process() -> None:
    """Every eight bytes of the metadata in turn hold a huge or a negative number: polars would abort on some."""
    for headers, value in SAMPLES:
        for place in range(0, len(value) - 8, 4):
            for number in (2**62, -1, 2**31):
                spoilt = value[:place] + struct.pack("<q", number) + value[place + 8 :]
                for read in (codec.decode, codec.decode_rows):
                    with contextlib.suppress(PoisonMessage):
                        read(headers, spoilt)
