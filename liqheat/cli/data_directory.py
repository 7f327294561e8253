"""The folder of a local run: one run at a time, and a fresh database each, since the broker keeps nothing.

Only a database that liqheat made is ever removed: a marker file says so.
"""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from liqheat.cli.sql import DATA_SUBFOLDER
from liqheat.platform.errors import ConfigurationError

LOGS_SUBFOLDER = "logs"
_MARKER = "made-by-liqheat"


@contextmanager
def fresh_data_directory(directory: Path) -> Iterator[None]:
    """Hold `directory` for this process, with its database and logs of an earlier run removed.

    Raises:
        ConfigurationError: it cannot be written, another run holds it, or its database is not liqheat's.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / "lock").open("w")
    except OSError as error:
        raise ConfigurationError(f"Cannot write to {directory} ({error.strerror}); choose --data-dir") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigurationError(
                f"Another liqheat runs on {directory}; stop it, or choose another --data-dir"
            ) from error
        _clear(directory)
        yield


def _clear(directory: Path) -> None:
    marker = directory / _MARKER
    for name in (DATA_SUBFOLDER, LOGS_SUBFOLDER):
        if (directory / name).exists():
            if not marker.exists():
                raise ConfigurationError(
                    f"{directory / name} was not made by liqheat and would be replaced; choose another --data-dir"
                )
            shutil.rmtree(directory / name)
    marker.write_text(f"liqheat replaces {DATA_SUBFOLDER} and {LOGS_SUBFOLDER} beside this file at each start.\n")
