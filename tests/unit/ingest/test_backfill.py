"""Holes, history and the choice of instruments, with Binance's feed over a scripted REST client."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ingest.backfill import Backfill, duration_ms
from ingest.backfill_state import Progressed
from ingest.batching import BatchPolicy
from ingest.intake import Intake
from ingest.publisher import Publisher
from ingest.universe import choose
from ingest.venues.binance.feed import BinanceFeed
from ingest.venues.interface import Listings, Request
from ingest.watch import Stream
from liqheat.domain.events import Contract, Kind
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Venue
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform import codec
from liqheat.platform.clock import ManualClock
from liqheat.platform.errors import ConfigurationError, SequenceGap, TransientError
from liqheat.platform.settings import Ingest, Settings
from tests.support.kept_messages import KeptMessages

TAO = Instrument(Venue.BINANCE, "TAOUSDT", "TAO")
NOW = 1_700_000_040_000 - 1_700_000_040_000 % MINUTE_MS


class Venues:
    """A REST client over trades numbered by second from `first`, and bars of every minute."""

    def __init__(self, kept_from: int = 0) -> None:
        self.kept_from = kept_from
        self.failing: set[str] = set()
        self.asked: Counter[str] = Counter()

    async def fetch(self, request: Request, attempts: int = 5) -> bytes:
        path = request.url.rsplit("/", 1)[1]
        self.asked[path] += 1
        if path in self.failing:
            raise TransientError("down for maintenance")
        query = request.parameters
        if path == "aggTrades":
            first = int(query.get("fromId", int(query.get("startTime", "0")) // 1_000))
            numbers = range(max(first, self.kept_from), NOW // 1_000)[: int(query["limit"])]
            rows: Any = [{"a": n, "p": "300", "q": "1", "T": n * 1_000, "m": False} for n in numbers]
        elif path in ("klines", "markPriceKlines"):
            start, end = int(query["startTime"]), int(query["endTime"])
            rows = [
                [t, "300", "301", "299", "300", "2", t + MINUTE_MS - 1, "600", 2, "1", "300", "0"]
                for t in range(start, end, MINUTE_MS)
            ]
        elif path == "openInterestHist":
            start, end = int(query["startTime"]), int(query["endTime"])
            rows = [
                {"symbol": "TAOUSDT", "sumOpenInterest": "5", "timestamp": t}
                for t in range(-(-start // 300_000) * 300_000, end, 300_000)
            ]
        else:
            rows = []
        return json.dumps(rows).encode()


def agg_trade(number: int) -> bytes:
    data = {"e": "aggTrade", "s": "TAOUSDT", "a": number, "p": "300", "q": "1", "T": number * 1_000, "m": False}
    return json.dumps({"stream": "taousdt@aggTrade", "data": data}).encode()


def mark(number: int) -> bytes:
    data = {"e": "markPriceUpdate", "E": number * 1_000, "s": "TAOUSDT", "p": "300", "i": "300", "r": "0", "T": 1}
    return json.dumps({"stream": "taousdt@markPrice@1s", "data": data}).encode()


def intake_over(rest: Venues, publisher: Publisher) -> Intake:
    feed = BinanceFeed(Settings())
    return Intake(feed, feed.mapper([TAO]), [TAO], publisher, rest, ManualClock(NOW))


async def settle(intake: Intake) -> None:
    import asyncio

    await asyncio.gather(*intake._fills)


async def test_a_jump_of_ids_is_filled_exactly_and_recorded() -> None:
    kept, last = KeptMessages(), NOW // 1_000 - 1
    async with Publisher(kept, BatchPolicy(age=0.01)) as publisher:
        intake = intake_over(Venues(), publisher)
        await intake.handle(agg_trade(last - 2_500), "market")
        await intake.handle(agg_trade(last), "market")
        await settle(intake)
    numbers = [row["trade_id"] for row in kept.rows(Kind.TRADES)]
    assert sorted(numbers) == list(range(last - 2_500, last + 1)), "none missing, none twice, over three pages"
    (gap,) = kept.rows(Kind.GAPS)
    assert (gap["missing"], gap["filled"], gap["stream"]) == (2_499, True, "aggTrade")
    assert gap["event_time"] == (last - 2_499) * 1_000


async def test_a_hole_that_history_does_not_reach_is_recorded_as_open() -> None:
    last = NOW // 1_000 - 1
    for rest in (Venues(kept_from=last - 3), Venues()):
        kept = KeptMessages()
        if not rest.kept_from:
            rest.failing = {"aggTrades"}
        async with Publisher(kept, BatchPolicy(age=0.01)) as publisher:
            intake = intake_over(rest, publisher)
            await intake.handle(agg_trade(last - 10), "market")
            await intake.handle(agg_trade(last), "market")
            await settle(intake)
        assert [gap["filled"] for gap in kept.rows(Kind.GAPS)] == [False]


async def test_behind_an_odd_number_no_trade_is_read_twice() -> None:
    kept, last = KeptMessages(), NOW // 1_000 - 1
    feed, odd = BinanceFeed(Settings()), json.loads(agg_trade(last - 49))
    odd["data"]["a"] = 10**12
    async with Publisher(kept, BatchPolicy(age=0.01)) as publisher:
        clock = ManualClock((last - 49) * 1_000)
        intake = Intake(feed, feed.mapper([TAO]), [TAO], publisher, Venues(), clock)
        await intake.handle(agg_trade(last - 50), "market")
        await intake.handle(json.dumps(odd).encode(), "market")
        await settle(intake)
        clock.advance(60)
        for number in range(last - 48, last + 1):
            await intake.handle(agg_trade(number), "market")
        await settle(intake)
    numbers = [row["trade_id"] for row in kept.rows(Kind.TRADES)]
    assert {number for number in numbers if numbers.count(number) > 1} == set()
    assert set(range(last - 49, last + 1)) <= set(numbers), "the trade in whose place the odd one came is read by REST"
    assert [gap["filled"] for gap in kept.rows(Kind.GAPS)] == [True]


async def test_an_outage_is_read_again_without_duplicates() -> None:
    kept, last = KeptMessages(), NOW // 1_000 - 1
    async with Publisher(kept, BatchPolicy(age=0.01)) as publisher:
        intake = intake_over(Venues(), publisher)
        await intake.handle(agg_trade(last - 100), "market")
        (connection,) = BinanceFeed(Settings()).connections([TAO])
        await intake.recover(connection, (last - 103) * 1_000, NOW, "disconnected")
        await intake.handle(agg_trade(last + 1), "market")
    numbers = [row["trade_id"] for row in kept.rows(Kind.TRADES)]
    assert numbers == [last - 100, *range(last - 99, last + 1), last + 1]
    assert [(gap["reason"], gap["filled"]) for gap in kept.rows(Kind.GAPS)] == [("disconnected", True)]
    assert kept.rows(Kind.MARKS), "whole minutes of the mark's bars are read too"


async def test_a_recovery_whose_trades_have_a_hole_of_their_own_is_not_called_whole() -> None:
    kept, last = KeptMessages(), NOW // 1_000 - 1

    class Lacking(Venues):
        async def fetch(self, request: Request, attempts: int = 5) -> bytes:
            rows = json.loads(await super().fetch(request))
            return json.dumps([row for row in rows if not isinstance(row, dict) or row.get("a") != last - 50]).encode()

    async with Publisher(kept, BatchPolicy(age=0.01)) as publisher:
        intake = intake_over(Lacking(), publisher)
        await intake.handle(agg_trade(last - 100), "market")
        (connection,) = BinanceFeed(Settings()).connections([TAO])
        await intake.recover(connection, (last - 103) * 1_000, NOW, "disconnected")
        await settle(intake)
    gaps = {(gap["reason"], gap["filled"]) for gap in kept.rows(Kind.GAPS)}
    assert gaps == {("disconnected", False), (f"numbers jumped from {last - 51} to {last - 49}", False)}
    assert last - 50 not in [row["trade_id"] for row in kept.rows(Kind.TRADES)]


async def test_the_hole_of_a_lost_stream_starts_at_its_last_event_and_is_its_own() -> None:
    kept, last = KeptMessages(), NOW // 1_000 - 1
    async with Publisher(kept, BatchPolicy(age=0.01)) as publisher:
        intake = intake_over(Venues(), publisher)
        await intake.handle(agg_trade(last - 100), "market")
        await intake.handle(mark(last - 1), "market")
        (connection,) = BinanceFeed(Settings()).connections([TAO])
        lost = [Stream("TAOUSDT", Kind.TRADES)]
        await intake.recover(connection, NOW, NOW, "subscription lost", lost)
        await intake.recover(connection, NOW, NOW, "subscription lost", lost)
        await intake.recover(connection, NOW, NOW, "subscription lost", [Stream("TAOUSDT", Kind.MARKS)])
    assert [row["trade_id"] for row in kept.rows(Kind.TRADES)] == list(range(last - 100, last + 1))
    assert [(gap["event_time"], gap["end_time"], gap["stream"], gap["filled"]) for gap in kept.rows(Kind.GAPS)] == [
        ((last - 103) * 1_000, NOW + 3_000, "trades", True),
        (NOW - 3_000, NOW + 3_000, "trades", True),
        ((last - 4) * 1_000, NOW + 3_000, "marks", False),
    ]
    times = [row["event_time"] for row in kept.rows(Kind.MARKS)]
    assert times == [(last - 1) * 1_000, NOW - 1], "bars add no marks that are known better"


async def test_poison_becomes_a_dead_letter_and_the_rest_goes_on() -> None:
    kept = KeptMessages()
    async with Publisher(kept, BatchPolicy(age=0.01)) as publisher:
        intake = intake_over(Venues(), publisher)
        await intake.handle(b'{"stream":"taousdt@aggTrade","data":', "market")
        assert list(await intake.handle(agg_trade(5), "market") or ()) == [Stream("TAOUSDT", Kind.TRADES)]
        assert await intake.handle(b'{"result":null,"id":1}', "market") is None
        known = await intake.handle(agg_trade(5), "market")
        assert known is not None, "the connection speaks"
        assert not known, "and adds nothing new"
    letters = [message for topic, message in kept.messages if topic == "dead-letters"]
    assert [dict(letter["headers"])["origin_topic"] for letter in letters] == [b"binance:market"]
    assert len(kept.rows(Kind.TRADES)) == 1


async def backfilled(rest: Venues, minutes: int, progressed: Progressed | None = None) -> KeptMessages:
    kept = KeptMessages()
    async with Publisher(kept, BatchPolicy(age=0.01)) as publisher:
        backfill = Backfill(BinanceFeed(Settings()), rest, publisher, ManualClock(NOW + 5_000), progressed)
        assert await backfill.run([TAO], NOW - minutes * MINUTE_MS) == NOW
    return kept


async def test_history_is_published_oldest_first_and_no_kind_runs_a_minute_ahead() -> None:
    kept = await backfilled(Venues(), 600)
    latest = 0
    for _, message in kept.messages:
        times = codec.decode(message["headers"], message["value"]).frame["event_time"]
        assert int(times.min()) // MINUTE_MS >= latest // MINUTE_MS  # type: ignore[arg-type]
        latest = max(latest, int(times.max()))  # type: ignore[arg-type]
    assert len(kept.rows(Kind.TRADES)) == 600 * 2
    assert len(kept.rows(Kind.MARKS)) == 600 * 4
    assert len(kept.rows(Kind.OPEN_INTEREST)) == 120
    assert all(NOW - 600 * MINUTE_MS <= row["event_time"] < NOW for row in kept.rows(Kind.MARKS))


async def test_an_interrupted_backfill_goes_on_where_it_stopped(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    first = await backfilled(Venues(), 240, Progressed(state))
    again = await backfilled(Venues(), 240, Progressed(state))
    assert (len(first.rows(Kind.TRADES)), len(again.rows(Kind.TRADES))) == (480, 0)
    longer = await backfilled(Venues(), 300, Progressed(state))
    assert len(longer.rows(Kind.TRADES)) == 120, "of a longer span only what was not published is read"
    state.write_text("[]")
    with pytest.raises(ConfigurationError, match="no backfill state"):
        Progressed(state)


async def test_history_that_cannot_be_read_is_a_recorded_hole() -> None:
    rest = Venues()
    rest.failing = {"openInterestHist"}
    kept = await backfilled(rest, 60)
    assert [(gap["stream"], gap["reason"], gap["filled"]) for gap in kept.rows(Kind.GAPS)] == [
        ("history", "down for maintenance", False)
    ]


def test_a_span_of_time_reads_as_people_write_it() -> None:
    assert [duration_ms(text) for text in ("90m", "6h", "2d", "0h")] == [5_400_000, 21_600_000, 172_800_000, 0]
    for wrong in ("", "h", "6", "6w", "-1h", "1.5h"):
        with pytest.raises(ConfigurationError, match="span"):
            duration_ms(wrong)


def listed(*names: str, status: str = "trading") -> tuple[Contract, ...]:
    return tuple(
        Contract(Venue.BINANCE, name.removesuffix("USDT").removesuffix("USDC").removeprefix("1000"), name, 1, status)
        for name in names
    )


def test_one_instrument_a_symbol_usdt_first_and_what_is_missing_is_said() -> None:
    listings = Listings(
        listed("TAOUSDC", "TAOUSDT", "WLDUSDC", "1000PEPEUSDT") + listed("FETUSDT", status="settling"),
        {"current_quarter": 3},
    )
    universe = choose(Venue.BINANCE, listings, ("tao", "WLD", "FET", "NOSUCH", "TAO"))
    assert [instrument.name for instrument in universe.instruments] == ["TAOUSDT", "WLDUSDC"]
    assert universe.missing == ("FET", "NOSUCH")
    assert universe.ignored == {
        "current_quarter": 3,
        "not trading": 1,
        "another contract of the same symbol": 1,
    }
    everything = choose(Venue.BINANCE, listings, ("all",))
    assert [(item.symbol, item.coins_per_unit) for item in everything.instruments] == [
        ("PEPE", 1_000.0),
        ("TAO", 1.0),
        ("WLD", 1.0),
    ]


def test_many_instruments_are_subscribed_by_message_and_too_many_ask_for_connections() -> None:
    few = BinanceFeed(Settings()).connections([TAO])
    assert few[0].url.endswith("/market/stream?streams=taousdt@aggTrade/taousdt@markPrice@1s/taousdt@forceOrder")
    many = [Instrument(Venue.BINANCE, f"T{number}USDT", f"T{number}") for number in range(300)]
    (connection,) = BinanceFeed(Settings()).connections(many)
    subscribed = [stream for text in connection.subscriptions for stream in json.loads(text)["params"]]
    assert len(set(subscribed)) == 900
    assert connection.url.endswith("/market/stream")
    with pytest.raises(ConfigurationError, match="LIQHEAT_INGEST__CONNECTIONS"):
        BinanceFeed(Settings()).connections(many * 2)
    spread = BinanceFeed(Settings(ingest=Ingest(connections=5))).connections(many * 2)
    assert sum(len(item.instruments) for item in spread) == 600
    assert all(len(item.instruments) * 3 <= 1_024 for item in spread)


async def test_margin_tiers_are_shipped_refreshed_with_a_key_and_a_broken_table_is_refused() -> None:
    wld = Instrument(Venue.BINANCE, "WLDUSDT", "WLD")
    shipped = await BinanceFeed(Settings()).margin_tiers([TAO, wld], Venues())
    assert shipped["TAOUSDT"].maximum_leverage[0] == 75

    def tier(cum: float) -> list[dict[str, float]]:
        fields = ("bracket", "initialLeverage", "notionalFloor", "notionalCap", "maintMarginRatio", "cum")
        rows = [(1, 20, 0, 5_000, 0.02, 0), (2, 10, 5_000, 10_000, 0.05, cum)]
        return [dict(zip(fields, row, strict=True)) for row in rows]

    asked: list[Request] = []

    class Signed:
        async def fetch(self, request: Request, attempts: int = 5) -> bytes:
            asked.append(request)
            body = [{"symbol": "TAOUSDT", "brackets": tier(150)}, {"symbol": "WLDUSDT", "brackets": tier(151)}]
            return json.dumps(body).encode()

    # The secret and signature of Binance's own example of signing.
    keys = {"api_key": "key", "api_secret": "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"}
    feed = BinanceFeed(Settings(binance=keys), ManualClock(1_499_827_319_559))
    fresh = await feed.margin_tiers([TAO, wld], Signed())
    assert fresh["TAOUSDT"].maximum_leverage[0] == 20
    assert fresh["WLDUSDT"].rows() == shipped["WLDUSDT"].rows(), "the broken one is refused, the shipped one holds"
    assert asked[0].headers == {"X-MBX-APIKEY": "key"}
    assert len(asked[0].parameters["signature"]) == 64


def test_a_gap_names_its_instrument() -> None:
    mapper = BinanceFeed(Settings()).mapper([TAO])
    list(mapper.map(agg_trade(1), 0))
    with pytest.raises(SequenceGap, match="TAOUSDT@aggTrade"):
        list(mapper.map(agg_trade(3), 0))
