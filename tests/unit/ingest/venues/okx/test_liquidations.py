"""OKX's liquidations by REST: all of them, each once, and what cannot be read back to is a recorded hole."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from ingest.venues.interface import Request
from ingest.venues.okx.feed import OkxFeed
from ingest.venues.okx.liquidations import LiquidationReader
from ingest.venues.wire import Refusal
from liqheat.domain.events import Event, Gap, Liquidation
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Venue
from liqheat.domain.venues import VENUE_FACTS, LiquidationFeed
from liqheat.platform.clock import SystemClock
from liqheat.platform.errors import TransientError
from liqheat.platform.settings import Settings

NOW = 1_767_225_600_000
WLD = Instrument(Venue.OKX, "WLD-USDT-SWAP", "WLD", contract_value=2.0)


class FixedClock(SystemClock):
    at = NOW

    def now_ms(self) -> int:
        return self.at


def detail(at: int, size: int = 1, price: str = "0.5") -> dict[str, str]:
    return {"bkLoss": "0", "bkPx": price, "ccy": "", "posSide": "long", "side": "sell", "sz": str(size), "ts": str(at)}


@dataclass
class Okx:
    """Lists liquidations newest first, as OKX does; keeps what was asked, and what the service was given."""

    rows: list[dict[str, str]] = field(default_factory=list)
    is_down: bool = False
    first: dict[str, str] | None = None
    """Comes first on every page, whatever its time."""
    asked: list[Mapping[str, str]] = field(default_factory=list)
    published: list[Event] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    instruments: Sequence[Instrument] = (WLD,)
    clock: FixedClock = field(default_factory=FixedClock)

    def __post_init__(self) -> None:
        self.feed = OkxFeed(Settings())
        self.mapper = self.feed.mapper(self.instruments)
        self.stream = self.feed.mapper(self.instruments)

    @property
    def rest(self) -> "Okx":
        return self

    async def fetch(self, request: Request, attempts: int = 5) -> bytes:
        if self.is_down:
            raise TransientError("OKX cannot be reached")
        self.asked.append(dict(request.parameters))
        after = int(request.parameters.get("after", 10**18))
        newest_first = sorted(self.rows, key=lambda row: int(row["ts"]), reverse=True)
        page = [row for row in newest_first if int(row["ts"]) < after][:100]
        page = [self.first, *page[:99]] if self.first else page
        data = [{"instId": "WLD-USDT-SWAP", "instType": "SWAP", "details": page}] if page else []
        return json.dumps({"code": "0", "msg": "", "data": data}).encode()

    async def handle(self, frame: bytes, stream: str) -> None:
        self.published += self.mapper.map(frame, self.clock.at + 10_000)

    async def publish(self, events: Sequence[Event]) -> None:
        self.published += events

    def refuse(self, refusals: Iterable[Refusal], stream: str) -> None:
        self.refused += refusals

    def socket(self, *details: dict[str, str]) -> None:
        frame = {
            "arg": {"channel": "liquidation-orders", "instType": "SWAP"},
            "data": [{"instId": "WLD-USDT-SWAP", "details": list(details)}],
        }
        self.published += self.stream.map(json.dumps(frame).encode(), NOW + 10_000)

    @property
    def died(self) -> list[tuple[int, float]]:
        return [(event.event_time, event.quantity) for event in self.published if isinstance(event, Liquidation)]


def reader_of(okx: Okx) -> LiquidationReader:
    def ask(parameters: Mapping[str, str]) -> Request:
        return Request("u", VENUE_FACTS[Venue.OKX].budgets["public/liquidation-orders"], dict(parameters))

    return LiquidationReader(okx, ask, 2.0)


async def test_what_happened_since_the_start_is_read_once_oldest_first() -> None:
    okx = Okx([detail(NOW - 1, 9), detail(NOW + 5, 1), detail(NOW + 7, 2)])
    reader = reader_of(okx)
    await reader.read(WLD)
    assert okx.died == [(NOW + 5, 2.0), (NOW + 7, 4.0)]
    okx.rows += [detail(NOW + 7, 3), detail(NOW + 9, 4)]
    await reader.read(WLD)
    await reader.read(WLD)
    assert okx.died[2:] == [(NOW + 7, 6.0), (NOW + 9, 8.0)], "another one of the same millisecond counts"
    assert okx.mapper.duplicates == 0
    assert okx.asked[0] == {"instType": "SWAP", "instFamily": "WLD-USDT", "state": "filled", "limit": "100"}


async def test_what_the_stream_gave_already_is_dropped() -> None:
    okx = Okx([detail(NOW + 5, 1), detail(NOW + 6, 2)])
    okx.socket(detail(NOW + 5, 1))
    await reader_of(okx).read(WLD)
    okx.socket(detail(NOW + 6, 2))
    assert okx.died == [(NOW + 5, 2.0), (NOW + 6, 4.0)]
    assert (okx.mapper.duplicates, okx.stream.duplicates) == (1, 1)


async def test_a_burst_is_read_page_by_page() -> None:
    burst = [detail(NOW + number // 27, number + 1) for number in range(350)]
    okx = Okx(burst)
    await reader_of(okx).read(WLD)
    assert sorted(quantity for _, quantity in okx.died) == [2.0 * (number + 1) for number in range(350)]
    assert len(okx.asked) == 5, "the millisecond at which a page ends is read again"
    assert not any(isinstance(event, Gap) for event in okx.published)


async def test_one_odd_time_neither_ends_the_paging_nor_hides_what_comes_later() -> None:
    for odd in (1_300_000_000_000, NOW // 1_000, NOW + 365 * 86_400_000):

        class Odd(Okx):
            async def fetch(self, request: Request, attempts: int = 5, odd: int = odd) -> bytes:
                answer = json.loads(await super().fetch(request))
                if len(self.asked) == 1:
                    answer["data"][0]["details"][7]["ts"] = str(odd)
                return json.dumps(answer).encode()

        okx = Odd([detail(NOW + number, number + 1) for number in range(350)])
        reader = reader_of(okx)
        await reader.read(WLD)
        assert len({at for at, _ in okx.died}) == 349, "only the odd row is missing"
        okx.rows.append(detail(NOW + 400, 7))
        await reader.read(WLD)
        assert okx.died[-1] == (NOW + 400, 14.0)


async def test_a_failed_reading_is_made_up_for_by_the_next() -> None:
    okx = Okx([detail(NOW + 5)], is_down=True)
    reader = reader_of(okx)
    await reader.read(WLD)
    okx.is_down = False
    await reader.read(WLD)
    assert okx.died == [(NOW + 5, 2.0)]


async def test_more_than_can_be_read_leaves_a_recorded_hole() -> None:
    okx = Okx([detail(NOW + number, number + 1) for number in range(1_500)])
    await reader_of(okx).read(WLD)
    (gap,) = [event for event in okx.published if isinstance(event, Gap)]
    assert (gap.event_time, gap.stream, gap.filled) == (NOW, "liquidation-orders", False)
    assert gap.end_time == okx.died[0][0]
    assert len(okx.died) > 900


async def test_a_liquidation_that_cannot_be_read_costs_no_other() -> None:
    okx = Okx([detail(NOW + 5, price="-1"), detail(NOW + 6, 2)])
    reader = reader_of(okx)
    await reader.read(WLD)
    await reader.read(WLD)
    assert okx.died == [(NOW + 6, 4.0)]
    (refusal,) = okx.refused
    assert refusal.instrument == WLD.name
    assert b'"-1"' in refusal.row


DAY = 86_400_000


@pytest.mark.parametrize("odd", [NOW + DAY, NOW + 365 * DAY, NOW // 1_000, NOW * 1_000, 0])
async def test_a_time_that_cannot_be_true_is_refused_once_and_silences_nothing(odd: int) -> None:
    okx = Okx([detail(NOW + 5, 1)])
    reader = reader_of(okx)
    await reader.read(WLD)
    okx.rows += [detail(odd, 9), detail(NOW + 6, 2)]
    await reader.read(WLD)
    okx.rows.append(detail(NOW + 7, 3))
    await reader.read(WLD)
    assert okx.died == [(NOW + 5, 2.0), (NOW + 6, 4.0), (NOW + 7, 6.0)]
    (refusal,) = okx.refused
    assert f'"{odd}"'.encode() in refusal.row


async def test_a_time_in_seconds_among_many_does_not_end_the_paging() -> None:
    okx = Okx([detail(NOW + number, number + 1) for number in range(350)])
    okx.first = detail(NOW // 1_000)
    await reader_of(okx).read(WLD)
    assert sorted(quantity for _, quantity in okx.died) == [2.0 * (number + 1) for number in range(350)]
    assert len(okx.refused) == 1


async def test_a_page_of_which_nothing_can_be_true_leaves_a_recorded_hole() -> None:
    okx = Okx([detail(NOW + 5, 1), *(detail(NOW - 1 - number, price="-1") for number in range(99))])
    reader = reader_of(okx)
    okx.first = detail(NOW + 6, price="-1")
    okx.rows += [detail(NOW - 1_000 - number, price="-1") for number in range(300)]
    await reader.read(WLD)
    assert okx.died == [(NOW + 5, 2.0)]
    assert any(isinstance(event, Gap) for event in okx.published)


async def test_one_a_little_ahead_does_not_hide_those_until_then() -> None:
    okx = Okx([detail(NOW + 50_000, 1)])
    reader = reader_of(okx)
    await reader.read(WLD)
    okx.clock.at = NOW + 5_000
    okx.rows.append(detail(NOW + 4_000, 2))
    await reader.read(WLD)
    await reader.read(WLD)
    assert okx.died == [(NOW + 50_000, 2.0), (NOW + 4_000, 4.0)]
    assert okx.mapper.duplicates == 0


def test_the_feed_counts_as_whole_and_reads_them() -> None:
    assert VENUE_FACTS[Venue.OKX].liquidation_feed is LiquidationFeed.WHOLE
    okx: Any = Okx()
    (task,) = okx.feed.tasks(okx)
    task.close()
