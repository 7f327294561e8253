"""Files that people give: plain or gzipped, whichever their first bytes say."""

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from liqheat.cli.bad_lines import BadLines
from liqheat.platform.errors import ConfigurationError

DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)
"""What reading raises where gzipped data are cut off or damaged."""

_GZIP_STARTS = b"\x1f\x8b"
_AT_ONCE = 1 << 20  # bytes


@contextmanager
def unpacked(file: Path | None) -> Iterator[io.BufferedIOBase]:
    """Open a file, or standard input, for its bytes as they were before gzip; read on, it may raise `DAMAGED`."""
    with (
        sys.stdin.buffer if file is None else file.open("rb") as raw,
        io.BufferedReader(cast("io.RawIOBase", raw)) as plain,
    ):
        if plain.peek(2)[:2] == _GZIP_STARTS:
            with gzip.open(plain) as packed:
                yield packed
        else:
            yield plain


def contents_of(file: Path, bad_lines: BadLines | None = None) -> bytes:
    """Return what a file holds, unpacked where it is gzipped.

    Of a damaged gzip file the whole lines before the damage are returned, and `bad_lines` takes its place and reason.

    Raises:
        ConfigurationError: it cannot be read; or it is damaged, and there are no `bad_lines` or no lines before.
    """
    contents = bytearray()
    try:
        with unpacked(file) as reader:
            while part := reader.read1(_AT_ONCE):
                contents += part
    except DAMAGED as error:
        del contents[contents.rfind(b"\n") + 1 :]
        if bad_lines is None or not contents:
            raise ConfigurationError(f"{file}: the gzip file is cut off or damaged: {error}") from error
        where = contents.count(b"\n") + 1
        bad_lines.add(where, f"The gzipped data are damaged from here on: {error}", what=f"{file}, line")
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from error
    return bytes(contents)
