"""Files that people give: plain, gzipped or packed by Zstandard, whichever their first bytes say."""

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import zstandard

from liqheat.cli.bad_lines import BadLines
from liqheat.platform.errors import ConfigurationError

DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError)
"""What reading raises where packed data are cut off or damaged."""

_GZIP_STARTS = b"\x1f\x8b"
_ZSTANDARD_STARTS = b"\x28\xb5\x2f\xfd"
_AT_ONCE = 1 << 20  # bytes
_PART = 1 << 14
"""Bytes unpacked at a time, for what is packed well becomes ten thousand times as much."""


class _Frames(io.RawIOBase):
    """Frames of Zstandard one after the other; unlike the library's own reader it notices that the last is cut off."""

    def __init__(self, packed: io.BufferedReader) -> None:
        self._packed = packed
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._rest = self._ready = b""

    def readable(self) -> bool:
        """Return that it is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes.

        Raises:
            EOFError: the data end within a frame.
            ZstdError: they are none.
        """
        while not self._ready and (part := self._rest or self._packed.read1(_PART)):
            self._frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
            self._ready, self._rest = self._frame.decompress(part), b""
            if self._frame.eof:
                self._rest, self._frame = self._frame.unused_data, None
        if not self._ready and self._frame is not None:
            raise EOFError("the last frame is cut off")
        size = min(len(buffer), len(self._ready))
        buffer[:size], self._ready = self._ready[:size], self._ready[size:]
        return size


@contextmanager
def unpacked(file: Path | None) -> Iterator[io.BufferedIOBase]:
    """Open a file, or standard input, for its bytes as they were before packing; read on, it may raise `DAMAGED`.

    What is not packed comes as it is written, so that a pipe may go on for hours.
    """
    with ExitStack() as opened:
        given: BinaryIO = sys.stdin.buffer if file is None else opened.enter_context(file.open("rb"))
        plain = given if isinstance(given, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", given))
        start = plain.peek(len(_ZSTANDARD_STARTS))
        if start.startswith(_GZIP_STARTS):
            yield opened.enter_context(gzip.open(plain))
        elif start.startswith(_ZSTANDARD_STARTS):
            yield io.BufferedReader(_Frames(plain), _AT_ONCE)
        else:
            yield plain


def lines_of(file: Path | None, bad_lines: BadLines) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file, or of standard input, numbered from 1; damage of its packing is a bad line."""
    number = 0
    try:
        with unpacked(file) as lines:
            for number, line in enumerate(lines, start=1):
                yield number, line
    except DAMAGED as error:
        bad_lines.add(number + 1, f"The packed data are damaged from here on: {error}")


def contents_of(file: Path, bad_lines: BadLines | None = None) -> bytes:
    """Return what a file holds, unpacked where it is packed.

    Of a damaged one the whole lines before the damage are returned, and `bad_lines` takes its place and reason.

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
            raise ConfigurationError(f"{file}: the packed file is cut off or damaged: {error}") from error
        where = contents.count(b"\n") + 1
        bad_lines.add(where, f"The packed data are damaged from here on: {error}", what=f"{file}, line")
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from error
    return bytes(contents)
