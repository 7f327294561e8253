"""What no column can hold is refused where its frame is still at hand, and a hole never ends the service."""

import json
from typing import Any

import msgspec
import pytest

from ingest.batching import BatchPolicy
from ingest.intake import Intake
from ingest.publisher import Publisher
from ingest.sanity import check, read_frame
from ingest.venues.registry import feed_for, mapper_for
from liqheat.domain.events import KIND_OF, Depth, Kind, Liquidation, Record, Trade, schema_of
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Venue
from liqheat.platform.clock import ManualClock
from liqheat.platform.errors import PoisonMessage, SequenceGap
from liqheat.platform.settings import Settings
from tests.support.kept_messages import KeptMessages
from tests.support.waiting import until

PLACE = {"venue": Venue.BYBIT, "symbol": "WLD", "instrument": "WLDUSDT", "event_time": 1_700_000_000_000}
WHOLE_NUMBERS = [
    (struct, column)
    for struct in KIND_OF
    if issubclass(struct, Record)
    for column in schema_of(KIND_OF[struct]).columns
    if column.dtype.is_integer()
]


HUGE = "1e17"
"""Quoted units that may be; a thousand coins each are more than any column holds."""
INSANE: dict[Venue, Any] = {
    Venue.BINANCE: {"symbol": "1000PEPEUSDT", "openInterest": HUGE, "time": PLACE["event_time"]},
    Venue.BYBIT: {
        "topic": "tickers.1000PEPEUSDT",
        "ts": PLACE["event_time"],
        "data": {"symbol": "1000PEPEUSDT", "singleOpenInterest": HUGE},
    },
    Venue.OKX: {
        "arg": {"channel": "open-interest", "instId": "WLD-USDT-SWAP"},
        "data": [{"instId": "WLD-USDT-SWAP", "oi": HUGE, "oiCcy": "", "ts": str(PLACE["event_time"])}],
    },
    Venue.HYPERLIQUID: {"channel": "activeAssetCtx", "data": {"coin": "kPEPE", "ctx": {"openInterest": HUGE}}},
}


@pytest.mark.parametrize("venue", INSANE)
def test_what_is_refused_after_it_was_mapped_is_kept_with_its_frame(venue: Venue) -> None:
    frame = json.dumps(INSANE[venue]).encode()
    reading = read_frame(mapper_for(venue, contract_values={"WLD-USDT-SWAP": 1e3}), frame, 1_800_000_000_000)
    (refusal,) = reading.refused
    assert refusal.row == frame
    assert "Expected quantity" in refusal.reason


def sane(struct: type[Any]) -> Any:
    values = {
        column.name: max(1, column.unit.minimum or 0) if column.dtype.is_numeric() else ""
        for column in schema_of(KIND_OF[struct]).columns
        if column.default is None
    }
    return struct(**{**values, **PLACE})


@pytest.mark.parametrize(("struct", "column"), WHOLE_NUMBERS, ids=lambda item: getattr(item, "name", None))
def test_a_whole_number_past_its_column_is_refused_with_its_name(struct: type[Any], column: Any) -> None:
    event = sane(struct)
    check(event)
    past = 2 ** (column.unit.bits - 1)
    for number in (past, -past - 1, 10**400):
        with pytest.raises(PoisonMessage, match=f"Expected {column.name} from "):
            check(msgspec.structs.replace(event, **{column.name: number}))


def test_the_largest_number_of_a_column_passes() -> None:
    check(msgspec.structs.replace(sane(Trade), trade_id=2**63 - 1))


def test_a_price_past_every_number_is_refused_and_an_unknown_one_is_not() -> None:
    check(msgspec.structs.replace(sane(Liquidation), bankruptcy_price=float("nan")))
    for struct, name in ((Liquidation, "bankruptcy_price"), (Depth, "bid_reach")):
        with pytest.raises(PoisonMessage, match=name):
            check(msgspec.structs.replace(sane(struct), **{name: 10**400}))


@pytest.mark.parametrize("venue", Venue)
async def test_a_hole_of_more_than_can_be_counted_is_recorded_as_the_most(venue: Venue) -> None:
    kept, feed = KeptMessages(), feed_for(venue, Settings())
    instrument = Instrument(venue, "WLD", "WLD")

    class Jumping:
        def __init__(self) -> None:
            self.mapper = feed.mapper([instrument])
            self.report, self.duplicates, self.want = self.mapper.report, 0, self.mapper.want

        def map(self, frame: bytes, received_at: int) -> Any:
            raise SequenceGap("WLD@trades", 5, 10**30)

    class NoRest:
        async def fetch(self, request: object, attempts: int = 5) -> bytes:
            return b"[]"

    async with Publisher(kept, BatchPolicy(age=0.01, quiet_age=0.01)) as publisher:
        mapper: Any = Jumping()
        intake = Intake(feed, mapper, [instrument], publisher, NoRest(), ManualClock())
        await intake.handle(b"{}", "market")
        await until(lambda: bool(kept.rows(Kind.GAPS)))
        assert publisher.waiting == 0
        await intake.close()
    (row,) = kept.rows(Kind.GAPS)
    assert row["missing"] == 2**63 - 1
    assert row["reason"].endswith(str(10**30))
