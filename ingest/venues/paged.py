"""History of trades page by page: the one loop with which every venue closes a hole by REST.

A venue says how a page is read: whether it closes the hole, and which request gives the next one.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from ingest.venues.interface import Recovery, Request, Rest
from ingest.venues.wire import timely
from liqheat.platform.errors import PoisonMessage

_BELIEVED_MS = 600_000
"""Trades further apart than this are seldom; where they are, a hole counts as open that is not."""


class Page(NamedTuple):
    """What one answer holds: the frame for the mapper, whether the hole is closed, and how to go on.

    `following` is None where the venue has no more, or does not say.
    """

    frame: bytes | None
    is_complete: bool
    following: Request | None = None


def lowest_of(numbers: Iterable[int]) -> int | None:
    """Return how far down a page reaches, in ids or times, though one row of it may be odd; None without any.

    The lowest counts where another row is next to it, else the one after it: a page that is asked for from there gives
    the lowest row again, which a mapper knows by its id.
    """
    return _lowest_believed(numbers, 1)


def oldest_of(times: Iterable[int]) -> int | None:
    """Return how far back (ms) a page reaches that is the only one, though one row of it may be odd; None without any.

    The lowest counts where the row after it is near, for no other page can be asked for.
    """
    return _lowest_believed(times, _BELIEVED_MS)


def _lowest_believed(numbers: Iterable[int], most: int) -> int | None:
    """Return the lowest, or the one after it where that is further away than `most`."""
    ordered = sorted(numbers)[:2]
    return None if not ordered else ordered[0] if ordered[-1] - ordered[0] <= most else ordered[1]


def highest_of(numbers: Iterable[int]) -> int | None:
    """Return how far up a page reaches; see `lowest_of`."""
    lowest = lowest_of(-number for number in numbers)
    return None if lowest is None else -lowest


def times_in(times: Iterable[int]) -> Sequence[int]:
    """Return those of `times` that are in ms; a row with another is refused when it is mapped."""
    return [time for time in times if _is_in_ms(time)]


def _is_in_ms(time: int) -> bool:
    try:
        timely(time, 0)
    except PoisonMessage:
        return False
    return True


async def read_pages(
    rest: Rest, first: Request, read_page: Callable[[bytes], Page], at_most: int, *, newest_first: bool = False
) -> Recovery:
    """Read pages from `first` on until one closes the hole, there is no other, or `at_most` were read.

    Args:
        rest: the venue's client.
        first: the request of the first page.
        read_page: reads an answer; pages come in order, each once.
        at_most: how many pages may be asked for.
        newest_first: whether pages go back in time; a mapper wants the oldest first.
    """
    frames: list[bytes] = []
    request: Request | None = first
    is_complete = False
    for _ in range(at_most):
        if request is None:
            break
        page = read_page(await rest.fetch(request))
        if page.frame is not None:
            frames.append(page.frame)
        is_complete, request = page.is_complete, page.following
        if is_complete:
            break
    return Recovery(tuple(reversed(frames)) if newest_first else tuple(frames), is_complete)
