"""Messages that are read together are judged as each would be alone: what is refused, and why, is the same."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from liqheat.domain.events import Mark, Trade, to_batch
from liqheat.domain.market import Venue
from liqheat.platform.codec import Headers, encode
from liqheat.platform.codec_blocks import messages_of
from liqheat.platform.partitions import partition_of
from processors.worker import reading
from processors.worker.reading import Read, read_messages

NOW = 1_700_000_000_000
PARTITIONS = 8
LEAD_MS = 60_000
SYMBOLS = [name for name in (f"COIN{number}" for number in range(200)) if partition_of(name, PARTITIONS) == 3]
STRANGER = next(name for name in (f"COIN{number}" for number in range(200)) if partition_of(name, PARTITIONS) != 3)
MARK_LIKE = next(name for name in (f"!{number}" for number in range(200)) if partition_of(name, PARTITIONS) == 3)


@dataclass
class Message:
    """One message of partition 3."""

    value: bytes | None
    headers: Any
    offset: int = 0
    topic: str = "position-events"
    partition: int = 3
    timestamp: int = NOW
    key: bytes | None = field(default=None)


def trades(*symbols: str, price: float = 1.0, time: int = NOW) -> Message:
    """Return a message with two trades of each symbol, the last one at `price`."""
    rows = [Trade(Venue.OKX, name, f"{name}-USDT-SWAP", time, 1.0, 2.0, 1, row) for name in symbols for row in (1, 2)]
    rows[-1] = Trade(Venue.OKX, symbols[-1], rows[-1].instrument, time, price, 2.0, 1, 2)
    headers, value = encode(to_batch(rows))
    return Message(value, headers)


def of_venue(message: Message, venue: bytes) -> Message:
    """Return the same message as of another venue."""
    headers: Headers = [(name, venue if name == "venue" else value) for name, value in message.headers]
    return Message(message.value, headers)


SPOILT = {
    "a symbol of another partition": trades(SYMBOLS[0], STRANGER),
    "only symbols of another partition": trades(STRANGER),
    "a name that is a mark's": trades(MARK_LIKE, SYMBOLS[0]),
    "a row outside its unit": trades(SYMBOLS[0], SYMBOLS[1], price=-1.0),
    "events from the future": trades(SYMBOLS[0], time=NOW + LEAD_MS + 1),
    "an unknown venue": of_venue(trades(SYMBOLS[0]), b"gossip"),
    "an empty message": Message(None, trades(SYMBOLS[0]).headers),
    "bytes": Message(b"\xff" * 100, trades(SYMBOLS[0]).headers),
}


def read_each(messages: Sequence[Message]) -> list[Read]:
    """Return what became of each of `messages`."""
    reading = read_messages(messages, PARTITIONS, LEAD_MS)
    together = {place: Read(messages[place], rows) for place, rows in messages_of(reading.blocks).items()}
    assert not together.keys() & reading.others.keys()
    found = together | reading.others
    return [found[place] for place in range(len(messages))]


def told(read: Read) -> Any:
    """Return what became of a message, for comparison."""
    rows = read.rows
    applied = None if rows is None else (rows.written_at, rows.venue, rows.batch().frame.to_dicts())
    return read.message, applied, [(each.value, each.reason) for each in read.refused], repr(read.poison)


@pytest.mark.parametrize("spoilt", SPOILT)
@pytest.mark.parametrize("place", [0, 5, 40])
def test_one_message_to_be_refused_changes_nothing_for_those_around_it(spoilt: str, place: int) -> None:
    messages = [trades(*SYMBOLS[: 1 + number % 4]) for number in range(40)]
    messages.insert(place, SPOILT[spoilt])
    together = [told(each) for each in read_each(messages)]
    assert together == [told(read_each([each])[0]) for each in messages]
    assert together[place][2] or "Poison" in together[place][3]
    assert all(not each[2] and each[3] == "None" for number, each in enumerate(together) if number != place)


def test_kinds_in_turn_come_back_in_the_order_of_the_log_and_none_is_read_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    marks = encode(to_batch([Mark(Venue.OKX, SYMBOLS[0], "X", NOW, 1.0)]))
    messages = [trades(SYMBOLS[0]) if number % 2 else Message(marks[1], marks[0]) for number in range(60)]
    monkeypatch.setattr(reading, "decode_rows", None)
    read = read_each(messages)
    assert [each.message for each in read] == messages
    assert [each.rows.kind.value for each in read if each.rows] == ["marks", "trades"] * 30


def test_messages_of_a_kind_that_is_no_position_event_are_poison_however_many_there_are() -> None:
    alerts = encode(to_batch([Mark(Venue.OKX, SYMBOLS[0], "X", NOW, 1.0)]))
    headers = [("kind", b"gaps"), *alerts[0][1:]]
    assert all(each.poison for each in read_each([Message(alerts[1], headers)] * 40))
