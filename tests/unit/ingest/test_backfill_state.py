"""What a backfill remembers: only what was published whole, so that the rest is asked again and nothing twice."""

import json
from pathlib import Path
from typing import Any

import pytest

from ingest.backfill import Backfill
from ingest.backfill_state import Progressed
from ingest.batching import BatchPolicy
from ingest.publisher import Publisher
from ingest.venues.answers import trouble_of
from ingest.venues.binance.feed import BinanceFeed
from ingest.venues.bybit.feed import BybitFeed
from ingest.venues.interface import Request
from liqheat.domain.events import Kind
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Venue
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.clock import ManualClock
from liqheat.platform.errors import PoisonMessage, TransientError
from liqheat.platform.settings import Kafka, Settings
from tests.support.field_cases import CannedVenue, cases
from tests.support.kept_messages import KeptMessages
from tests.unit.ingest.test_backfill import NOW, TAO, Venues


class Judged(CannedVenue):
    """Answers from a file, judged as the REST client judges them."""

    def __init__(self, answers: dict[str, list[dict[str, Any]]], venue: Venue) -> None:
        super().__init__(answers)
        self._venue = venue

    async def fetch(self, request: Request, attempts: int = 5) -> bytes:
        body = await super().fetch(request, attempts)
        trouble = trouble_of(self._venue, 200, {}, body, NOW)
        if trouble is None:
            return body
        raise PoisonMessage(trouble.reason) if trouble.is_final else TransientError(trouble.reason)


async def test_a_minute_of_many_markets_is_one_message_of_a_kind_and_few_are_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    instruments = [Instrument(Venue.BINANCE, f"COIN{number}USDT", f"COIN{number}") for number in range(10)]

    async def rows_of_messages() -> list[int]:
        kept = KeptMessages()
        async with Publisher(kept, BatchPolicy(age=0.01), kafka=Kafka(partitions=1)) as publisher:
            backfill = Backfill(BinanceFeed(Settings()), Venues(), publisher, ManualClock(NOW + 5_000))
            await backfill.run(instruments, NOW - 30 * MINUTE_MS)
        assert len({row["instrument"] for row in kept.rows(Kind.TRADES)}) == len(instruments)
        return [batch.frame.height for batch in kept.batches() if batch.kind is Kind.MARKS]

    assert await rows_of_messages() == [4 * 10] * 30
    monkeypatch.setattr("ingest.backfill._ROWS_TOGETHER", 6 * 8 * 30)
    assert await rows_of_messages() == [4 * 6] * 30 + [4 * 4] * 30


async def test_a_window_that_the_venue_did_not_answer_is_a_gap_and_asked_again(tmp_path: Path) -> None:
    (case,) = [case for case in cases("elsewhere") if case.id == "F14"]
    answers = json.loads(case.path.read_bytes())
    state = tmp_path / "state.json"
    instrument = Instrument(Venue.BYBIT, "WLDUSDT", "WLD")

    async def read() -> tuple[Judged, KeptMessages]:
        rest, kept = Judged(answers, Venue.BYBIT), KeptMessages()
        async with Publisher(kept, BatchPolicy(age=0.01)) as publisher:
            clock = ManualClock(NOW + 5_000)
            backfill = Backfill(BybitFeed(Settings()), rest, publisher, clock, Progressed(state))
            await backfill.run([instrument], NOW - 30 * MINUTE_MS)
        return rest, kept

    _, kept = await read()
    (gap,) = kept.rows(Kind.GAPS)
    assert "too many visits" in gap["reason"]
    assert (gap["event_time"], gap["end_time"], gap["filled"]) == (NOW - 30 * MINUTE_MS, NOW, False)
    assert Progressed(state).missing(instrument, NOW - 30 * MINUTE_MS, NOW), "the window is not finished"
    bar = [str(NOW - 10 * MINUTE_MS), "1", "1", "1", "1", "7", "7"]
    rows = {"symbol": "WLDUSDT", "category": "linear", "list": [bar]}
    answers["/v5/market/kline"] = [{"body": {"retCode": 0, "result": rows, "time": NOW}}]
    answers["/v5/market/open-interest"] = [{"body": {"retCode": 0, "result": {**rows, "list": []}, "time": NOW}}]
    rest, kept = await read()
    assert sorted(rest.asked) == ["/v5/market/kline", "/v5/market/open-interest"], (
        "what was published is not asked again"
    )
    assert sum(row["quantity"] for row in kept.rows(Kind.TRADES)) == 7
    assert kept.rows(Kind.GAPS) == []
    assert Progressed(state).missing(instrument, NOW - 30 * MINUTE_MS, NOW) == []


def test_a_state_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    state.write_text('{"binance:TAOUSDT": [1000, 5000]}')
    assert Progressed(state).missing(TAO, 0, 6_000) == [(0, 1_000), (5_000, 6_000)]
