"""Bounds on raw JSON, checked before any decoder sees it: size and depth.

Every frame and every REST body passes here once. A decoder would otherwise recurse as deep as a venue asks it to, and
the interpreter's own limit is no answer to a frame. Long numbers and strings are the decoder's: it reads them in one
pass and its types bound them. Linear in the frame's length; a usual frame costs two counts.
"""

import numpy as np

BOM = b"\xef\xbb\xbf"
"""What some editors and servers put before a text; no decoder of JSON takes it."""
MAXIMUM_DEPTH = 32
"""Levels of arrays and objects; the venues use up to eight."""
MAXIMUM_FRAME_BYTES = 32 * 1024 * 1024
MAXIMUM_BODY_BYTES = 64 * 1024 * 1024
"""The largest answer known, a leaderboard, has some 25 MB."""

_QUOTE = 0x22
_SLICE = 1 << 20
_STEP = np.zeros(256, np.int8)
_STEP[[0x5B, 0x7B]] = 1
_STEP[[0x5D, 0x7D]] = -1


def refusal(frame: bytes, maximum_bytes: int = MAXIMUM_FRAME_BYTES) -> str | None:
    """Return why `frame` is not to be decoded, None where it may be."""
    if len(frame) > maximum_bytes:
        return f"Expected at most {maximum_bytes:,} bytes, were {len(frame):,}"
    if frame.count(b"[") + frame.count(b"{") > MAXIMUM_DEPTH and depth_of(frame) > MAXIMUM_DEPTH:
        return f"Expected at most {MAXIMUM_DEPTH} levels of arrays and objects"
    return None


def depth_of(frame: bytes) -> int:
    """Return how deep arrays and objects nest; brackets within strings do not count."""
    # Without escapes, every other quote ends a string.
    plain = np.frombuffer(frame.replace(b"\\\\", b"").replace(b'\\"', b""), np.uint8)
    deepest = level = quotes = 0
    for start in range(0, len(plain), _SLICE):
        part = plain[start : start + _SLICE]
        seen = quotes + np.cumsum(part == _QUOTE, dtype=np.int64)
        levels = level + np.cumsum(np.where(seen & 1, 0, _STEP[part]), dtype=np.int64)
        deepest = max(deepest, int(levels.max()))
        level, quotes = int(levels[-1]), int(seen[-1])
    return deepest
