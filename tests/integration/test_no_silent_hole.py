"""Whatever goes wrong between a venue and us, each of its trades is published exactly once or lies in a recorded hole.

Each venue's whole service reads the simulated exchange over real sockets and REST (see `simulated_venue`); the
exchange's own tape is the judge. Besides the tape, each test says what is left behind: gaps filled, or open.
"""

from typing import Any

import pytest

from liqheat.domain.events import Kind, schema_of
from liqheat.domain.market import Venue
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform import metrics
from liqheat.platform.settings import Settings
from liqheat.simulator.faults import Fault
from processors.heatmap import engine
from tests.support.memory_log import merge_rows
from tests.support.simulated_venue import SYMBOLS, SimulatedVenue, simulated
from tests.support.venue_cases import case_of

VENUES = pytest.mark.parametrize("venue", list(Venue), ids=str)


def reconnects(venue: Venue, reason: str) -> float:
    labels = {"venue": venue.value, "reason": reason}
    return metrics.REGISTRY.get_sample_value("liqheat_reconnects_total", labels) or 0.0


async def cut_off(venue: SimulatedVenue, seconds: int) -> None:
    """Cut every socket and refuse everything, as in a maintenance window of simulated `seconds`."""
    venue.server.faults.set_probability(Fault.MAINTENANCE, 1.0)
    venue.server.faults.set_probability(Fault.DISCONNECT, 1.0)
    await venue.step(seconds)
    venue.server.faults.clear()


async def lose(service: SimulatedVenue) -> None:
    """Cut the sockets and refuse new ones for a while, and let REST fill nothing."""
    known = len(holes(service, "disconnected"))
    service.fail(Fault.RATE_LIMIT, count=100_000, match=case_of(service.venue).rest_path)
    service.fail(Fault.MAINTENANCE, count=5, match=case_of(service.venue).socket_path)

    # Every socket: one cut alone may be a successor that still subscribes, which costs its predecessor nothing.
    service.server.faults.set_probability(Fault.DISCONNECT, 1.0)
    await service.step(3)
    service.server.faults.set_probability(Fault.DISCONNECT, 0.0)
    await service.step_until(lambda: len(holes(service, "disconnected")) >= known + len(SYMBOLS))
    service.server.faults.clear()


def holes(service: SimulatedVenue, reason: str) -> list[bool]:
    """Return of each recorded hole whose reason starts so whether it was filled."""
    return [gap["filled"] for gap in service.gaps if gap["reason"].startswith(reason)]


@VENUES
async def test_a_disconnect_leaves_a_filled_hole(venue: Venue) -> None:
    async with simulated(venue) as service:
        for number in range(1, 4):
            service.fail(Fault.DISCONNECT)
            await service.step_until(lambda: len(service.gaps) >= number * len(SYMBOLS))  # noqa: B023 - used at once
            await service.step(10)
        missing = await service.compare()
        assert {gap["symbol"] for gap in service.gaps} == set(SYMBOLS)
        assert len(holes(service, "disconnected")) == len(service.gaps)
        if case_of(venue).has_trade_history:
            assert all(holes(service, "disconnected"))
            assert missing == 0


@VENUES
async def test_lost_trades_are_noticed_while_the_marks_go_on(venue: Venue) -> None:
    async with simulated(venue) as service:
        lost_at = service.server.exchange.now
        service.fail(Fault.UNSUBSCRIBE, match=case_of(venue).trades_topic)
        # How long trades may be silent follows from how often they came before.
        await service.step_until(lambda: service.gaps, at_most=1_800)
        (gap,) = service.gaps
        assert (gap["symbol"], gap["stream"], gap["reason"].partition(":")[0]) == ("WLD", "trades", "subscription lost")
        assert gap["filled"] is case_of(venue).has_trade_history
        assert gap["event_time"] <= lost_at + 10_000, "the hole starts where the trades stopped, not where it was seen"
        missing = await service.compare()
        assert (missing > 50) is not case_of(venue).has_trade_history
        assert [row["symbol"] for row in service.kept.rows(Kind.TRADES)[-20:]].count("WLD"), "they are back"


@VENUES
async def test_lost_marks_are_noticed_while_the_trades_go_on(venue: Venue) -> None:
    async with simulated(venue) as service:
        case = case_of(venue)
        kinds = ("marks", "open_interest") if case.marks_carry_open_interest else ("marks",)
        symbols = SYMBOLS if case.marks_are_shared else ("WLD",)
        expected = {(symbol, kind, False) for symbol in symbols for kind in kinds}
        service.fail(Fault.UNSUBSCRIBE, match=case.marks_topic)
        await service.step_until(lambda: service.gaps, at_most=300)
        assert {(gap["symbol"], gap["stream"], gap["filled"]) for gap in service.gaps} == expected
        assert await service.compare() == 0
        latest = [row for row in service.kept.rows(Kind.MARKS) if row["symbol"] == "WLD"][-1]
        assert latest["event_time"] > service.server.exchange.now - 10_000, "they are back"


@pytest.mark.parametrize(
    ("venue", "fault"),
    [*((venue, Fault.RATE_LIMIT) for venue in Venue), (Venue.BINANCE, Fault.BAN)],
    ids=lambda value: {Fault.RATE_LIMIT: "429", Fault.BAN: "418"}.get(value, str(value)),
)
async def test_a_short_limit_delays_the_filling(venue: Venue, fault: Fault) -> None:
    async with simulated(venue) as service:
        service.fail(Fault.DISCONNECT)
        service.fail(fault, count=3)
        await service.step_until(lambda: len(holes(service, "disconnected")) == len(SYMBOLS))
        missing = await service.compare()
        assert service.server.faults.injected[fault] == 3
        if case_of(venue).has_trade_history:
            assert all(holes(service, "disconnected"))
            assert missing == 0


@VENUES
async def test_a_long_limit_leaves_a_hole_that_is_recorded(venue: Venue) -> None:
    async with simulated(venue) as service:
        await lose(service)
        missing = await service.compare()
        assert not any(holes(service, "disconnected"))
        if venue is Venue.BINANCE:
            # Its trades are numbered, so what is missing may be read once the limit is over. Polls failed too.
            await service.step_until(lambda: "openInterest" in {gap["stream"] for gap in service.gaps})
        elif not case_of(venue).sends_backlog:
            # A backlog of the latest trades on subscribing may be all that was missed.
            assert missing > 0


@VENUES
async def test_a_maintenance_window_is_waited_out_and_its_hole_recorded(venue: Venue) -> None:
    async with simulated(venue) as service:
        await cut_off(service, seconds=90)
        await service.step_until(lambda: len(holes(service, "disconnected")) == len(SYMBOLS))
        missing = await service.compare()
        gap = next(gap for gap in service.gaps if gap["reason"].startswith("disconnected"))
        assert gap["end_time"] - gap["event_time"] >= 90_000
        assert all(holes(service, "disconnected")) is case_of(venue).has_trade_history
        assert (missing == 0) is case_of(venue).has_trade_history


@VENUES
@pytest.mark.parametrize("skew_ms", [-2_000, 2_000], ids=["we-are-behind", "we-are-ahead"])
async def test_a_clock_skew_of_2_s_loses_nothing_and_fools_nobody(venue: Venue, skew_ms: int) -> None:
    async with simulated(venue, skew_ms=skew_ms, reconnect_after=40.0) as service:
        await service.step(50)
        await cut_off(service, seconds=12)
        await service.step(40)
        missing = await service.compare()
        assert missing == 0 or not case_of(venue).has_trade_history
        # A hole that stays open is recorded by our clock, and holds all of what is missing by the venue's.
        await lose(service)
        await service.compare()

        if case_of(venue).stamps_marks:
            # A frame that a busy machine hands over late counts as that much lag, until the next one.
            await service.step_until(lambda: lags(venue) == [pytest.approx(skew_ms / 1_000, abs=1.5)])

        # The engine opens a minute only when it is some seconds old, and tells nothing of it before.
        await service.step_until(lambda: all(10_000 < time % MINUTE_MS < 50_000 for time in latest_marks(service)))
        published = sum(row["price"] * row["quantity"] for row in service.kept.rows(Kind.TRADES))
        assert flow_in_engine(service) == pytest.approx(published, rel=1e-6), "all trades count, in some minute"


@VENUES
async def test_a_planned_reconnect_misses_nothing_and_doubles_nothing(venue: Venue) -> None:
    """As a week would have them: each connection is replaced before the venue cuts it."""
    before = reconnects(venue, "planned")
    async with simulated(venue, reconnect_after=15.0) as service:
        await service.step_until(lambda: reconnects(venue, "planned") >= before + 7)
        assert await service.compare() == 0
        assert service.gaps == []


@VENUES
async def test_kafka_out_of_reach_holds_the_sockets_up_and_loses_nothing(venue: Venue) -> None:
    async with simulated(venue, queue_rows=100) as service:
        service.kept.is_down = True
        await service.step_until(lambda: service.kept.refused)
        await service.step(60)
        service.kept.is_down = False
        assert await service.compare() == 0


def lags(venue: Venue) -> list[float]:
    """Return the lag metric of the venue's sockets, seconds."""
    samples = [sample for metric in metrics.FEED_LAG_SECONDS.collect() for sample in metric.samples]
    return [
        sample.value
        for sample in samples
        if sample.labels["venue"] == venue.value and sample.labels["stream"].startswith(case_of(venue).connection)
    ]


def latest_marks(service: SimulatedVenue) -> list[int]:
    """Return the time (ms) of each symbol's latest published mark."""
    latest = {row["symbol"]: int(row["event_time"]) for row in service.kept.rows(Kind.MARKS)}
    return list(latest.values())


def flow_in_engine(service: SimulatedVenue) -> float:
    """Return the taker flow (USD) of all minutes that the engine makes of what was published."""
    columns = list(schema_of(Kind.MARKET_MINUTES).wire)
    buy, sell = columns.index("taker_buy_usd"), columns.index("taker_sell_usd")
    state = engine.new_state(Settings().engine)
    rows: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for batch in service.kept.batches():
        if batch.kind in engine.ACCEPTED_KINDS:
            for output in engine.apply(state, batch):
                merge_rows(rows, output)
    for output in engine.snapshot(state):
        merge_rows(rows, output)
    return float(sum(row[buy] + row[sell] for key, row in rows.items() if key[0] is Kind.MARKET_MINUTES) / 1e6)
