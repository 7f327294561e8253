"""State as bytes and back: equal, arrays included, and refused where it is of another version or damaged."""

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from liqheat.platform import state_codec
from liqheat.platform.errors import FatalError
from liqheat.platform.state_codec import VERSION, check_version, pack, unpack

ROW = np.dtype([("bucket", "i8"), ("confidence", "f4"), ("observed", "?")])


class State(msgspec.Struct):
    symbol: str
    rows: npt.NDArray[np.void]
    history: npt.NDArray[np.float64]
    marks: dict[int, tuple[float, int]]


def state() -> State:
    rows = np.array([(7, 0.5, True), (-(2**62), 0.25, False)], ROW)
    return State("FET", rows, np.arange(6.0).reshape(3, 2), {1: (float("nan"), 2**63 - 1)})


def test_a_state_is_the_same_again() -> None:
    again = unpack(pack(state()), State)
    assert again.rows.dtype == ROW
    np.testing.assert_array_equal(again.rows, state().rows)
    np.testing.assert_array_equal(again.history, state().history)
    assert (again.symbol, str(again.marks)) == ("FET", str(state().marks))
    assert unpack(pack((True, -1, 2)), tuple[bool, int, int]) == (True, -1, 2)


def test_an_array_without_rows_keeps_its_type_and_shape() -> None:
    empty = State("", np.zeros(0, ROW), np.zeros((0, 4)), {})
    again = unpack(pack(empty), State)
    assert (again.rows.dtype, again.history.shape) == (ROW, (0, 4))


@pytest.mark.parametrize("data", [b"", b"\x02\x00\x00", b"\x04\x28\xb5\x2f\xfd", bytes((VERSION + 1,))])
def test_another_version_is_refused_with_what_to_do(data: bytes) -> None:
    for read in (check_version, lambda each: unpack(each, State)):
        with pytest.raises(FatalError, match=f"this build reads version {VERSION}: delete the changelog topic"):
            read(data)


def test_every_damage_is_refused() -> None:
    data = pack(state())
    for place in range(1, len(data)):
        with pytest.raises(FatalError, match="damaged"):
            unpack(data[:place], State)
        spoilt = data[:place] + bytes((data[place] ^ 0x55,)) + data[place + 1 :]
        with pytest.raises(FatalError, match="damaged"):
            unpack(spoilt, State)


def test_a_state_of_other_fields_is_refused() -> None:
    with pytest.raises(FatalError, match="damaged"):
        unpack(pack({"symbol": "FET"}), State)


def test_what_is_no_state_is_refused_when_it_is_packed() -> None:
    with pytest.raises(NotImplementedError, match="Expected an array, was object"):
        pack([object()])


def test_equal_states_are_equal_bytes() -> None:
    assert pack(state()) == pack(state())
    assert state_codec.pack(state())[0] == VERSION
