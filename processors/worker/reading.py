"""From messages of the log to rows that the engine may take: what is refused is refused here, row by row.

A message that cannot be read is poison as a whole. Of one that can, only the rows that must not be applied are left
out: with a value outside its unit, of symbols that belong to another partition, and events further ahead of the
broker's own time than a clock may be. All are judged from the log alone, so that the same log always gives the same
rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from liqheat.domain.market import Venue
from liqheat.platform.codec import Rows, check_rows, decode_rows, encode
from liqheat.platform.codec_blocks import RowBlock, decode_blocks
from liqheat.platform.errors import Origin, PoisonMessage
from liqheat.platform.lead import early_rows
from liqheat.platform.odd_rows import split_odd_rows
from liqheat.platform.partitions import partition_of
from processors.heatmap.span import TIMED_KINDS
from processors.worker.deaths import is_mark
from processors.worker.engine import INPUT_KINDS

_VENUES = frozenset(Venue)


class LogMessage(Protocol):
    """One message of the log; `timestamp` is the broker's, in ms."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    headers: Mapping[str, bytes] | Iterable[tuple[str, bytes]] | None
    key: bytes | None
    value: bytes | None


def origin_of(message: LogMessage) -> Origin:
    """Return the place of `message` in the log."""
    return Origin(message.topic, message.partition, message.offset)


@dataclass(frozen=True, slots=True)
class Refused:
    """Rows that must not be applied, as a message's value, and why."""

    value: bytes
    reason: str

    @classmethod
    def of(cls, rows: Rows, reason: str) -> "Refused":
        """Return those rows, encoded."""
        return cls(encode(rows.batch())[1], reason)


@dataclass(frozen=True, slots=True)
class Read:
    """What became of a message: the rows to apply (None where none is left), those refused, or why it is poison."""

    message: LogMessage
    rows: Rows | None
    refused: Sequence[Refused] = ()
    poison: PoisonMessage | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What became of messages: blocks of those of which all rows are to be applied, and the others by their places."""

    blocks: list[RowBlock]
    others: dict[int, Read]


def offsets_of(messages: Sequence[LogMessage], block: RowBlock) -> list[int]:
    """Return the offset of each message of a block that was read of `messages`."""
    return [messages[place].offset for place in block.places.tolist()]


def read_messages(messages: Sequence[LogMessage], partitions: int, maximum_lead_ms: int) -> Reading:
    """Read messages of one partition of the log.

    Those that are alike are read and judged all together. The others, and those among which something is to be
    refused, are read one by one.

    Args:
        messages: in log order.
        partitions: how many partitions the log has.
        maximum_lead_ms: how far an event may be ahead of its message's timestamp.
    """
    blocks = []
    left = np.ones(len(messages), np.bool_)
    for found in decode_blocks([(message.headers, message.value) for message in messages]):
        times = [messages[place].timestamp for place in found.places.tolist()]
        block = replace(found, written_at=np.array(times, np.int64))
        if _is_plain(block, messages[0].partition, partitions, maximum_lead_ms):
            blocks.append(block)
            left[block.places] = False
    places = np.flatnonzero(left).tolist()
    others = _read_others([messages[place] for place in places], partitions, maximum_lead_ms)
    return Reading(blocks, dict(zip(places, others, strict=True)))


def _is_plain(block: RowBlock, partition: int, partitions: int, maximum_lead_ms: int) -> bool:
    """Whether all rows of a block are to be applied, by the rules of `_read`."""
    if block.written_at is None or block.kind not in INPUT_KINDS or not _VENUES.issuperset(block.venues):
        return False
    symbols = {symbol for symbol, _ in block.markets}
    if any(is_mark(symbol) or partition_of(symbol, partitions) != partition for symbol in symbols):
        return False
    if block.kind not in TIMED_KINDS:
        return True
    leads = block.columns["event_time"] - np.repeat(block.written_at, block.heights)
    return int(leads.max()) <= maximum_lead_ms


def _read_others(messages: Sequence[LogMessage], partitions: int, maximum_lead_ms: int) -> list[Read]:
    """Read messages one by one, their values compared with their units together unless one is outside."""
    try:
        read = [_read(message, message.value, partitions, maximum_lead_ms, check=False) for message in messages]
        check_rows([each.rows for each in read if each.rows is not None])
    except PoisonMessage:
        return [_read_alone(message, partitions, maximum_lead_ms) for message in messages]
    return read


def _read_alone(message: LogMessage, partitions: int, maximum_lead_ms: int) -> Read:
    """Read one message, without its rows that are not sane."""
    try:
        return _read(message, message.value, partitions, maximum_lead_ms, check=True)
    except PoisonMessage as poison:
        parts = split_odd_rows(message.headers or (), message.value)
        if parts is None:
            return Read(message, None, poison=poison)
        odd = Refused(parts.odd, poison.reason)
    try:
        read = _read(message, parts.sane, partitions, maximum_lead_ms, check=True)
    except PoisonMessage as poison:
        return Read(message, None, poison=poison)
    return replace(read, refused=(odd, *read.refused))


def _read(message: LogMessage, value: bytes | None, partitions: int, maximum_lead_ms: int, *, check: bool) -> Read:
    """Read one message as if `value` were its value.

    Raises:
        PoisonMessage: it cannot be decoded, is no position event, or is of an unknown venue.
    """
    rows = replace(decode_rows(message.headers or (), value, check=check), written_at=message.timestamp)
    if rows.kind not in INPUT_KINDS:
        raise PoisonMessage(f"Expected a kind of position event, was {rows.kind.value!r}")
    if rows.venue not in _VENUES:
        raise PoisonMessage(f"Expected a known venue, was {rows.venue!r}")
    if any(is_mark(symbol) for symbol, _ in rows.markets):
        raise PoisonMessage("Expected symbols that do not begin with '!'")
    refused: list[Refused] = []
    strangers = [symbol for symbol, _ in rows.markets if partition_of(symbol, partitions) != message.partition]
    if strangers:
        own = np.array([partition_of(symbol, partitions) == message.partition for symbol, _ in rows.markets])
        inside = np.repeat(own, np.diff(rows.starts, append=rows.height))
        reason = (
            f"{strangers[0]} belongs to partition {partition_of(strangers[0], partitions)}, not {message.partition}"
        )
        refused.append(Refused.of(rows.select(np.flatnonzero(~inside)), reason))
        if not inside.any():
            return Read(message, None, refused)
        rows = rows.select(np.flatnonzero(inside))
    if rows.kind in TIMED_KINDS:
        # One event from the far future would move the watermark there and make everything after it late.
        early = early_rows(rows.columns["event_time"], message.timestamp, maximum_lead_ms)
        if early is not None:
            refused.append(Refused.of(rows.select(np.flatnonzero(early.rows)), early.reason))
            if early.rows.all():
                return Read(message, None, refused)
            rows = rows.select(np.flatnonzero(~early.rows))
    return Read(message, rows, refused)
