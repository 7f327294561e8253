"""The database that a command reads: the server of the settings, or what a finished demo left in a folder."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from liqheat.local.data_directory import stored_in
from liqheat.platform.clickhouse import open_clickhouse, translated_errors
from liqheat.platform.errors import TransientError
from liqheat.platform.settings import load

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

Result = TypeVar("Result")

_WAKE_SECONDS = 0.2


@contextmanager
def stored_data(data_dir: Path | None) -> "Iterator[Client]":
    """Open the database read-only, and close it at the end.

    Args:
        data_dir: data directory of a finished demo; None: the server of the settings.

    Raises:
        TransientError: the server does not answer.
        ConfigurationError: wrong credentials, or there are no data in the folder, or a running demo holds them.
    """
    clickhouse = stored_in(load().clickhouse, data_dir)
    try:
        client = open_clickhouse(clickhouse, readonly=True)
    except TransientError as error:
        raise TransientError(f"{error}; what a finished demo left is read with --data-dir data/demo") from error
    try:
        with translated_errors(clickhouse):
            yield client
    finally:
        client.close()


def interruptible(work: Callable[[], Result]) -> Result:
    """Return what `work` does in a thread of its own; Ctrl-C then ends the process at once, with the status 130.

    Embedded ClickHouse does not hear of signals until its query ends. Only for work that reads.
    """
    outcome: Future[Result] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again by the one who waits
            outcome.set_exception(error)

    thread = threading.Thread(target=run, daemon=True)
    try:
        thread.start()
        while thread.is_alive():
            # Not without a limit: a signal that another thread took is handled once this one wakes up.
            thread.join(_WAKE_SECONDS)
    except KeyboardInterrupt:
        os._exit(130)
    return outcome.result()
