"""Child processes that never outlive their parent.

Brokers, the stages that `demo` starts and the workers that tests kill are all started here. A child has a
process group of its own, so that Ctrl-C in a terminal reaches the parent alone, which then stops its
children in order.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from liqheat.platform.errors import FatalError

_SET_PARENT_DEATH_SIGNAL = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def bound_to_parent() -> Callable[[], None] | None:
    """Return a `preexec_fn` that has the kernel kill the child when this process dies, even by `kill -9`.

    Linux ties it to the *thread* that starts the child, so start children from one that stays. Elsewhere
    there is no such thing and the answer is None.
    """
    if _LIBC is None:
        return None
    libc, parent = _LIBC, os.getpid()

    def bind() -> None:
        libc.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        # The parent may have died between the fork and the line above.
        if os.getppid() != parent:
            os._exit(1)

    return bind


class ChildProcess:
    """A running child whose output goes to a file; a context manager that stops it at the end."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start `command`, its environment being this process's with `environment` over it.

        Raises:
            FatalError: the program cannot be started.
        """
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        try:
            with log.open("ab") as output:
                self._process = subprocess.Popen(  # noqa: S603 - the command is the caller's own
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **(environment or {})},
                    start_new_session=True,
                    preexec_fn=bound_to_parent(),
                )
        except OSError as error:
            raise FatalError(f"Cannot start {name}: {error}") from error

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs; negative after a signal, as in `subprocess`."""
        return self._process.poll()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return the exit status.

        Raises:
            subprocess.TimeoutExpired: it still runs after `timeout` seconds.
        """
        return self._process.wait(timeout)

    def kill(self) -> None:
        """End it at once (`kill -9`) and wait."""
        self._process.kill()
        self._process.wait()

    def stop(self, grace: float = 10.0) -> int:
        """Ask it to end (SIGTERM), end it after `grace` seconds; return the exit status."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                return self._process.wait(grace)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._process.wait()

    def last_words(self, lines: int = 12) -> str:
        """Return the end of its output, for an error message."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def __enter__(self) -> "ChildProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
