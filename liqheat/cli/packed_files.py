"""Files that people give: plain or gzipped, whichever their first bytes say."""

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from liqheat.platform.errors import ConfigurationError

DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)
"""What reading raises where gzipped data are cut off or damaged."""

_GZIP_STARTS = b"\x1f\x8b"


@contextmanager
def unpacked(file: Path | None) -> Iterator[BinaryIO]:
    """Open a file, or standard input, for its bytes as they were before gzip; read on, it may raise `DAMAGED`."""
    with (
        sys.stdin.buffer if file is None else file.open("rb") as raw,
        io.BufferedReader(cast("io.RawIOBase", raw)) as plain,
    ):
        if plain.peek(2)[:2] == _GZIP_STARTS:
            with gzip.open(plain) as packed:
                yield cast("BinaryIO", packed)
        else:
            yield plain


def contents_of(file: Path) -> bytes:
    """Return what a file holds, unpacked where it is gzipped.

    Raises:
        ConfigurationError: it cannot be read, or the gzip file is cut off or damaged.
    """
    try:
        with unpacked(file) as reader:
            return reader.read()
    except DAMAGED as error:
        raise ConfigurationError(f"{file}: the gzip file is cut off or damaged: {error}") from error
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from error
