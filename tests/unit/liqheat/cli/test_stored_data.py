"""Where commands read stored data: the work is done in a thread, and its error is raised where it was asked for."""

import threading

import pytest

from liqheat.cli.stored_data import interruptible


def test_work_is_done_in_a_thread_and_its_error_is_raised_here() -> None:
    assert interruptible(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda: 1 / 0)
    with pytest.raises(TimeoutError, match="its own"):
        interruptible(lambda: (_ for _ in ()).throw(TimeoutError("its own")))
