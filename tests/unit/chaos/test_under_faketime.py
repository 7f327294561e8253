"""Sleeping under libfaketime, which refuses absolute waits in some processes."""

import errno
import time

import pytest

from tests.chaos import under_faketime


def test_a_refused_wait_is_waited_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(seconds: float) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(under_faketime, "_sleep", refuse)
    began = time.monotonic()
    under_faketime.sleep(0.05)
    assert time.monotonic() - began >= 0.05


def test_other_errors_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(seconds: float) -> None:
        raise OSError(errno.EFAULT, "Bad address")

    monkeypatch.setattr(under_faketime, "_sleep", fail)
    with pytest.raises(OSError, match="Bad address"):
        under_faketime.sleep(0.05)
    with pytest.raises(ValueError, match="non-negative"):
        time.sleep(-1)
