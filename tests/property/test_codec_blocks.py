"""Messages that are read together are what each is alone; what would be refused alone is never read together."""

import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqheat.domain.events import Batch, Mark, OpenInterest, Position, Trade, Turnover, to_batch
from liqheat.domain.market import Venue
from liqheat.platform import codec
from liqheat.platform.codec import Headers, Rows
from liqheat.platform.codec_blocks import decode_blocks, messages_of
from liqheat.platform.errors import PoisonMessage

Message = tuple[Headers, bytes]

NAMES = ("BTC", "ETH", "1000000MOG", "A" * 13, "Ä" * 20, "B" * 64)
INSTRUMENTS = ("BTCUSDT", "BTC-USDT-SWAP", "C" * 63)
TIME = 1_700_000_000_000

names, instruments = st.sampled_from(NAMES), st.sampled_from(INSTRUMENTS)
times = st.integers(TIME, TIME + 60_000)
prices = st.floats(1e-6, 1e8)


def rows_of_venue(venue: Venue) -> st.SearchStrategy[list[Any]]:
    """Return rows of one kind."""
    place = (st.just(venue), names, instruments, times)
    return st.one_of(
        st.lists(st.builds(Trade, *place, prices, prices, st.sampled_from([1, -1])), min_size=1, max_size=9),
        st.lists(st.builds(Mark, *place, prices, prices, st.just(float("nan"))), min_size=1, max_size=5),
        st.lists(st.builds(OpenInterest, *place, prices), min_size=1, max_size=3),
        st.lists(st.builds(Turnover, *place, prices), min_size=1, max_size=3),
    )


messages_of_kinds = st.lists(
    st.sampled_from([Venue.OKX, Venue.BINANCE]).flatmap(rows_of_venue).map(lambda rows: codec.encode(to_batch(rows))),
    min_size=4,
    max_size=30,
)


def trades(count: int, symbol: str = "BTC", instrument: str = "BTC-USDT-SWAP") -> Message:
    """Return a message of trades, whose prices tell its rows apart."""
    rows = [Trade(Venue.OKX, symbol, instrument, TIME, 1.0 + row, 2.0, 1, count) for row in range(count)]
    return codec.encode(to_batch(rows))


def read_together(messages: Sequence[Message]) -> dict[int, Rows]:
    """Return what is read of messages in blocks, by their places."""
    found: dict[int, Rows] = {}
    for block in decode_blocks(messages, 4):
        for place, rows in messages_of([replace(block, written_at=np.full(len(block.places), 7))]).items():
            assert place not in found
            found[place] = rows
    return found


def assert_same(one: Rows, other: Rows) -> None:
    """Compare everything but the time of the message."""
    assert (one.kind, one.venue, one.markets, one.height) == (other.kind, other.venue, other.markets, other.height)
    assert one.starts.tolist() == other.starts.tolist()
    assert list(one.columns) == list(other.columns)
    for name, values in one.columns.items():
        assert values.dtype == other.columns[name].dtype
        np.testing.assert_array_equal(values, other.columns[name])


@given(messages_of_kinds)
def test_what_is_read_together_is_what_each_message_is_alone(messages: list[Message]) -> None:
    for place, rows in read_together(messages).items():
        assert rows.written_at == 7
        assert_same(codec.decode_rows(*messages[place]), rows)


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_small_messages_of_one_kind_are_read_together_over_venues_and_heights(instrument: str) -> None:
    messages = [trades(count, instrument=instrument) for count in (1, 3, 2, 1, 17)]
    other = Trade(Venue.BINANCE, "BTC", instrument, TIME, 1.0, 2.0, 1)
    messages.append(codec.encode(to_batch([other])))
    assert sorted(read_together(messages)) == [0, 1, 2, 3, 4, 5]
    assert len(decode_blocks(messages, 4)) == 1


def test_old_messages_unlike_ones_and_rare_ones_are_left_to_be_read_alone() -> None:
    account = Position(Venue.OKX, "BTC", "BTCUSDT", TIME, "0x1", 1, 2.0)
    lone = codec.encode(to_batch([OpenInterest(Venue.OKX, "BTC", "BTCUSDT", TIME, 1.0)]))
    with_text = [codec.encode(to_batch([account]))] * 5
    headers, value = trades(2)
    old = Batch(codec.decode(headers, value).kind, "okx", codec.decode(headers, value).frame.drop("symbol"))
    messages = [*with_text, lone, *[(headers, codec.encode(old)[1])] * 5, *[trades(1)] * 4]
    assert sorted(read_together(messages)) == [11, 12, 13, 14]


@given(st.data())
def test_a_damaged_message_among_others_is_never_read_as_something_else(data: st.DataObject) -> None:
    messages = [trades(count, instrument=data.draw(instruments)) for count in (1, 2, 3, 1, 2, 4)]
    which = data.draw(st.integers(0, len(messages) - 1))
    headers, value = messages[which]
    damaged = bytearray(value)
    position = data.draw(st.integers(0, len(value) - 1))
    if data.draw(st.booleans()):
        damaged[position] ^= data.draw(st.integers(1, 255))
    else:
        number = data.draw(st.sampled_from([2**62, -1, 2**31, 8, -(2**63)]))
        damaged[position // 4 * 4 : position // 4 * 4 + 8] = struct.pack("<q", number)
    cut = data.draw(st.sampled_from([len(damaged), position, len(damaged) - 8]))
    messages[which] = headers, bytes(damaged[:cut])
    for place, rows in read_together(messages).items():
        assert_same(codec.decode_rows(*messages[place]), rows)


@pytest.mark.parametrize("number", [2**62, -1, 64, 2**31])
def test_a_spoilt_number_anywhere_is_never_read_as_something_else(number: int) -> None:
    """Every eight bytes in turn, lengths and offsets of metadata and texts among them."""
    headers, value = trades(2)
    others = [trades(count) for count in (2, 1, 2)]
    for place in range(0, len(value) - 8, 4):
        messages = [*others, (headers, value[:place] + struct.pack("<q", number) + value[place + 8 :])]
        for which, rows in read_together(messages).items():
            assert_same(codec.decode_rows(*messages[which]), rows)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda frame: frame.with_columns(price=pl.lit(float("nan"))), "is nan"),
        (lambda frame: frame.with_columns(quantity=pl.lit(None, pl.Float64)), "nulls"),
        (lambda frame: frame.with_columns(taker_side=pl.lit(0, pl.Int8)), "is 0"),
        (lambda frame: frame.with_columns(symbol=pl.lit("A" * 65)), "longer than 64"),
        (lambda frame: frame.with_columns(price=pl.col("price").cast(pl.Float32)), "as Float64"),
        (lambda frame: frame.drop("price"), "is missing"),
        (lambda frame: frame.clear(), "was 0"),
    ],
)
def test_a_message_that_is_refused_alone_is_not_read_together(change: Any, sentence: str) -> None:
    headers, value = trades(2)
    frame = codec.decode(headers, value).frame
    refused = codec.encode(Batch(codec.decode(headers, value).kind, "okx", change(frame)))
    with pytest.raises(PoisonMessage, match=sentence):
        codec.decode_rows(*refused)
    for messages in ([refused] * 5, [*[trades(2)] * 4, refused]):
        assert len(messages) - 1 not in read_together(messages)


def test_a_name_that_is_not_utf_8_is_not_read_together() -> None:
    headers, value = trades(1)
    spoilt = headers, value.replace(b"BTC-USDT-SWAP", b"BTC-\xff\xff\xff\xff-SWAP")
    with pytest.raises(PoisonMessage, match="UTF-8"):
        codec.decode_rows(*spoilt)
    assert not read_together([spoilt] * 5)


def test_a_long_name_that_looks_like_the_view_of_a_short_one_is_not_taken_for_it() -> None:
    disguised = struct.pack("<I12s", 3, b"BTC").decode()
    found = read_together([*[trades(1, "BTC", "X")] * 4, *[trades(1, disguised, "X")] * 4])
    assert [found[place].markets for place in range(8)] == [(("BTC", "X"),)] * 4 + [((disguised, "X"),)] * 4


def test_headers_that_are_refused_keep_only_their_own_message_out() -> None:
    headers, value = trades(1)
    nameless = [pair for pair in headers if pair[0] != "venue"]
    gossip = [("kind", b"gossip"), *headers[1:]]
    messages: list[Any] = [(nameless, value), (gossip, value), (None, value), (headers, None), (headers, b"")]
    assert sorted(read_together([*messages, *[trades(1)] * 4])) == [5, 6, 7, 8]
