"""The folder of a local run: one run at a time, and a fresh database each, since the broker's log is begun with it.

Only a database that liqheat made is ever removed: a marker file says so.
"""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from liqheat.platform.errors import ConfigurationError
from liqheat.platform.settings import ClickHouse

DATA_SUBFOLDER = "clickhouse"
"""Where below the data directory ClickHouse's files are."""
LOGS_SUBFOLDER = "logs"
BROKER_SUBFOLDER = "broker"
_LOCK = "lock"
_MARKER = "made-by-liqheat"


@contextmanager
def fresh_data_directory(directory: Path) -> Iterator[None]:
    """Hold `directory` for this process, with its database and logs of an earlier run removed.

    Raises:
        ConfigurationError: it cannot be written, another run holds it, or its database is not liqheat's.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / _LOCK).open("w")
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


def stored_in(clickhouse: ClickHouse, data_dir: Path | None) -> ClickHouse:
    """Return the settings for the data of `data_dir`, or as they are where it is None.

    Raises:
        ConfigurationError: no demo has left data there, or one is still running.
    """
    if data_dir is None:
        return clickhouse
    directory = data_dir / DATA_SUBFOLDER
    if not directory.is_dir():
        raise ConfigurationError(f"No ClickHouse data in {directory}; name the --data-dir that a demo was given")
    if _is_held(data_dir):
        raise ConfigurationError(
            f"A demo is running on {data_dir} and holds its data: stop it first, or ask its page with `liqheat watch`, "
            "`clusters` or `what-if` without --data-dir"
        )
    return clickhouse.model_copy(update={"interface": "chdb", "data_directory": directory})


def _is_held(directory: Path) -> bool:
    """Return whether a run holds `directory` right now."""
    try:
        with (directory / _LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        # Without a readable lock file nothing is known here; ClickHouse says what is wrong when it opens the data.
        return False
    return False


def _clear(directory: Path) -> None:
    marker = directory / _MARKER
    for name in (DATA_SUBFOLDER, LOGS_SUBFOLDER, BROKER_SUBFOLDER):
        if (directory / name).exists():
            if not marker.exists():
                raise ConfigurationError(
                    f"{directory / name} was not made by liqheat and would be replaced; choose another --data-dir"
                )
            shutil.rmtree(directory / name)
    marker.write_text(
        f"liqheat replaces {DATA_SUBFOLDER}, {LOGS_SUBFOLDER} and {BROKER_SUBFOLDER} beside this file at each start.\n"
    )
