"""One odd row never costs its neighbours: what a message's split keeps is what each row alone would be let through.

The oracle is the codec itself, asked with one row at a time.
"""

import io
import math
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqheat.domain.events import Kind, Schema, Trade, schema_of, to_batch
from liqheat.domain.market import Venue
from liqheat.platform import codec
from liqheat.platform.errors import PoisonMessage
from liqheat.platform.odd_rows import decode_sane_rows, split_odd_rows

NUMBERS = st.one_of(
    st.none(),
    st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -1.0, 1.0, 1e-13, 1e16, 2e18, 1e300]),
    st.floats(),
)
INTEGERS = st.one_of(st.none(), st.sampled_from([0, -1, -2, 1, 2, 255, 256, 10**18]))
TEXTS = st.one_of(st.none(), st.sampled_from(["", "TAO", "x" * 64, "x" * 65]))


def headers_of(kind: Kind, version: int = 0) -> dict[str, bytes]:
    return {"kind": kind.value.encode(), "schema_version": str(version or schema_of(kind).version).encode()} | {
        "venue": b"binance"
    }


def value_of(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_ipc_stream(buffer)
    return buffer.getvalue()


def values_of(dtype: pl.DataType) -> st.SearchStrategy[Any]:
    if isinstance(dtype, pl.List):
        return st.one_of(st.none(), st.lists(values_of(dtype.inner), max_size=3))  # type: ignore[arg-type]
    if dtype == pl.String():
        return TEXTS
    if dtype == pl.Boolean():
        return st.sampled_from([None, True, False])
    if dtype.is_float():
        return NUMBERS
    largest = 127 if dtype == pl.Int8() else 2**31 - 1 if dtype == pl.Int32() else 2**63 - 1
    return INTEGERS.map(lambda value: value if value is None else min(value, largest))


def sane_value(schema: Schema, name: str, dtype: pl.DataType) -> Any:
    unit = schema.units[name]
    if isinstance(dtype, pl.List):
        return [1, 2]
    if dtype == pl.String():
        return "TAO"
    if dtype == pl.Boolean():
        return True
    return 1 if unit.minimum is None or unit.minimum <= 1 else unit.minimum


@st.composite
def messages(draw: st.DrawFn) -> tuple[Kind, pl.DataFrame]:
    """A message of any kind: up to five rows, of each of which up to two values are whatever comes."""
    kind = draw(st.sampled_from(list(Kind)))
    schema = schema_of(kind)
    rows = []
    for _ in range(draw(st.integers(1, 5))):
        row = {"symbol": "TAO", "instrument": "TAOUSDT"}
        row |= {name: sane_value(schema, name, dtype) for name, dtype in schema.polars.items()}
        for name in draw(st.lists(st.sampled_from(list(schema.wire)), max_size=2)):
            row[name] = draw(values_of(schema.wire[name]))
        rows.append(row)
    return kind, pl.DataFrame(rows, schema=schema.wire, orient="row")


def is_sane_alone(kind: Kind, row: pl.DataFrame) -> bool:
    try:
        codec.decode(headers_of(kind), value_of(row))
    except PoisonMessage:
        return False
    return True


@given(messages())
def test_what_is_kept_is_what_would_be_let_through_alone(message: tuple[Kind, pl.DataFrame]) -> None:
    kind, frame = message
    alone = [is_sane_alone(kind, frame[place]) for place in range(frame.height)]

    parts = split_odd_rows(headers_of(kind), value_of(frame))

    if all(alone) or not any(alone):
        assert parts is None
    else:
        assert parts is not None
        assert pl.read_ipc_stream(io.BytesIO(parts.sane)).equals(frame.filter(pl.Series(alone)))
        assert pl.read_ipc_stream(io.BytesIO(parts.odd)).equals(frame.filter(~pl.Series(alone)))


TRADES = to_batch(
    [
        Trade(Venue.BINANCE, symbol, f"{symbol}USDT", 1_700_000_000_000, 2.0, 1.0, 1, 7)
        for symbol in ("FET", "TAO", "FET")
    ]
).frame


@pytest.mark.parametrize(
    "spoil",
    [
        lambda frame: frame.drop("price").with_columns(quantity=pl.Series([1.0, math.nan, 1.0])),
        lambda frame: frame.with_columns(pl.col("price").cast(pl.String), quantity=pl.Series([1.0, math.nan, 1.0])),
        lambda frame: frame.with_columns(symbol=pl.lit(7), quantity=pl.Series([1.0, math.nan, 1.0])),
        lambda frame: frame.clear(),
    ],
    ids=["a column is missing", "a column of another type", "a name that is a number", "no rows"],
)
def test_what_is_wrong_with_the_message_is_wrong_with_all_its_rows(
    spoil: Callable[[pl.DataFrame], pl.DataFrame],
) -> None:
    value = value_of(spoil(TRADES))
    assert split_odd_rows(headers_of(Kind.TRADES), value) is None
    with pytest.raises(PoisonMessage):
        decode_sane_rows(headers_of(Kind.TRADES), value)
    assert split_odd_rows({}, value_of(TRADES)) is None
    assert split_odd_rows(headers_of(Kind.TRADES), value_of(TRADES)[:-40]) is None


def test_the_reason_names_the_first_odd_value_and_unknown_columns_stay_with_their_rows() -> None:
    frame = TRADES.with_columns(price=pl.Series([2.0, math.nan, 2.0]), of_the_future=pl.Series(["a", "b", "c"]))

    read = decode_sane_rows(headers_of(Kind.TRADES), value_of(frame))

    assert read.batch.frame.equals(TRADES[[0, 2]])
    assert read.reason == "Row 1 of the column 'price' (USD per coin) is nan"
    assert pl.read_ipc_stream(io.BytesIO(read.odd or b"")).equals(frame[1])


def test_a_message_of_the_first_version_is_split_too() -> None:
    headers = headers_of(Kind.TRADES, version=1) | {"symbol": b"FET", "instrument": b"FETUSDT"}
    frame = TRADES.drop("symbol", "instrument").with_columns(price=pl.Series([2.0, 0.0, 3.0]))

    read = decode_sane_rows(headers, value_of(frame))

    assert read.batch.frame["price"].to_list() == [2.0, 3.0]
    assert read.batch.symbols == ["FET"]
