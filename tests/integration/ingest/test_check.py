"""`liqheat check-venues` against the simulated exchange, well and with each fault that a venue can have."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ingest.check import NewFields, Unread, VenueReport, _count, check_venue, known_fields, scrubbed
from liqheat.cli import check_venues
from liqheat.domain.market import Venue
from liqheat.platform.settings import Ingest, Settings
from liqheat.simulator.exchange import Exchange
from liqheat.simulator.faults import Fault, Trigger
from liqheat.simulator.running import wires_for
from liqheat.simulator.server import LIVE_STEP_MS, SimulatorServer, serving
from liqheat.simulator.simulation import SimulationConfig
from tests.support.simulated_venue import SYMBOLS, ExchangeClock
from tests.support.venue_addresses import settings_at

_TURNS = 20
VENUES = pytest.mark.parametrize("venue", list(Venue), ids=str)


class Checked:
    """A simulated venue and a way to check it."""

    def __init__(self, venue: Venue, server: SimulatorServer, settings: Settings) -> None:
        self.venue, self.server, self.settings = venue, server, settings

    def fail(self, fault: Fault, count: int = 1, match: str = "") -> None:
        self.server.faults.trigger(Trigger(fault, count, self.venue.value, match))

    async def check(self, skew_ms: int = 0, seconds: float = 1.2) -> VenueReport:
        async def move_on() -> None:
            while True:
                self.server.step()
                # On a busy machine a turn of the loop takes long: a request gets its turns before time goes on.
                for _ in range(_TURNS):
                    await asyncio.sleep(0)
                await asyncio.sleep(0.01)

        moving = asyncio.create_task(move_on())
        try:
            return await check_venue(self.settings, self.venue, seconds, ExchangeClock(self.server.exchange, skew_ms))
        finally:
            moving.cancel()


@asynccontextmanager
async def checked(venue: Venue) -> AsyncIterator[Checked]:
    exchange = Exchange(
        SimulationConfig(symbols=SYMBOLS, venues=(venue,), hours=0.02, step_ms=15_000, warm_up_hours=1.0)
    )
    for _ in exchange.run_history():
        pass
    exchange.advance(LIVE_STEP_MS)
    server = SimulatorServer(exchange, wires_for(exchange), ExchangeClock(exchange))
    async with serving(server, "127.0.0.1", 0) as url:
        yield Checked(venue, server, settings_at(url, ingest=Ingest(symbols=(*SYMBOLS, "NOSUCH"))))


@VENUES
async def test_a_venue_that_is_well_is_reported_so(venue: Venue) -> None:
    async with checked(venue) as simulated:
        report = await simulated.check()
    assert report.is_well, report
    assert len(report.instruments) == len(SYMBOLS)
    assert report.margin_tiers == len(SYMBOLS)
    assert report.missing == {"NOSUCH": f"is not listed on {venue.value}"}
    assert report.events["trades"] > 0
    assert report.events["marks"] > 0
    assert report.refused == {}
    assert report.lag_ms is not None


@VENUES
async def test_frames_that_are_odd_are_reported_with_a_sample(venue: Venue) -> None:
    async with checked(venue) as simulated:
        # Binance's first frames may go to the socket that only looks whether anybody answers.
        for fault in (Fault.MALFORMED, Fault.NOTICE, Fault.NEW_FIELD):
            simulated.fail(fault, 8)
        report = await simulated.check(seconds=2.0)
    assert not report.is_well
    assert report.refused
    for reason, unread in report.refused.items():
        assert reason.startswith("Not a")
        assert unread.count >= 1
        assert unread.sample
    assert set(report.notices) == {"simulatedNotice"}
    assert report.new_fields == ["simulatedField"]


@VENUES
@pytest.mark.parametrize("fault", [Fault.BAN, Fault.FORBIDDEN, Fault.RATE_LIMIT], ids=str)
async def test_a_ban_is_reported_with_its_length_and_not_waited_out(venue: Venue, fault: Fault) -> None:
    async with checked(venue) as simulated:
        simulated.fail(fault)
        report = await simulated.check()
    assert not report.reachable
    least = {Fault.FORBIDDEN: 300.0}.get(fault, 0.5)
    assert report.banned_seconds >= least - 1
    assert "answered 4" in report.problems[0]


@VENUES
async def test_a_web_page_and_a_busy_venue_are_reported_by_what_they_say(venue: Venue) -> None:
    async with checked(venue) as simulated:
        simulated.fail(Fault.PAGE, 10)
        report = await simulated.check()
        assert not report.reachable
        assert "web page (HTML)" in report.problems[0]
        simulated.server.faults.clear()
        simulated.fail(Fault.MAINTENANCE, 10)
        report = await simulated.check()
        assert "503" in report.problems[0]


@VENUES
async def test_a_clock_that_is_behind_is_seen(venue: Venue) -> None:
    async with checked(venue) as simulated:
        report = await simulated.check(skew_ms=-20_000)
    if venue is Venue.HYPERLIQUID:
        # Only its trades carry the venue's time.
        assert report.clock_ahead_ms >= 0
    else:
        assert 15_000 <= report.clock_ahead_ms <= 25_000


async def test_an_address_where_nobody_answers_is_reported() -> None:
    settings = settings_at("http://127.0.0.1:9", ingest=Ingest(symbols=SYMBOLS))
    report = await check_venue(settings, Venue.BYBIT, 1.0, ManualLike())
    assert not report.reachable
    assert "cannot be reached" in report.problems[0]


class ManualLike(ExchangeClock):
    """A clock that never waits."""

    def __init__(self) -> None:
        """Do nothing."""

    def now_ms(self) -> int:
        return 1_795_000_000_000

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


def test_addresses_accounts_and_secrets_are_taken_out() -> None:
    text = scrubbed(
        "IP(10.20.30.4) banned; 2001:db8:85a3:0:0:8a2e:370:7334; 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed; "
        "signature=deadbeefdeadbeef&apiKey=abcdefghijkl"
    )
    for secret in ("10.20.30.4", "2001:db8", "0x5aAeb6", "deadbeef", "abcdefghijkl"):
        assert secret not in text
    assert scrubbed("12:30:45 on 2026-11-26") == "12:30:45 on 2026-11-26"


def test_a_field_is_new_once_and_only_if_it_is_not_known() -> None:
    report = VenueReport("binance")
    fields = NewFields(report)
    for _ in range(2):
        fields.take(b'[{"e":"aggTrade","brandNew":{"alsoNew":1}}]')
    fields.take(b"no JSON")
    assert sorted(report.new_fields) == ["alsoNew", "brandNew"]
    assert {"e", "s", "p"} <= known_fields(Venue.BINANCE)


def test_the_command_writes_a_report_and_fails_where_a_venue_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIQHEAT_BYBIT__REST_URL", "http://127.0.0.1:9")
    app = typer.Typer()
    check_venues.register(app)
    app.callback()(lambda: None)
    out = tmp_path / "report.json"
    arguments = ["check-venues", "--venue", "Bybit", "--seconds", "1", "--out", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1, result.output
    assert "bybit: not reachable" in result.stdout
    (report,) = json.loads(out.read_text())
    assert report["venue"] == "bybit"
    assert "127.0.0.1" not in out.read_text(), "addresses are taken out"


@pytest.mark.parametrize("before", [0, 360, 380, 399])
def test_an_account_at_the_end_of_a_sample_is_taken_out_too(before: int) -> None:
    for account in ("0x" + "ab12" * 10, f"{list(Venue)[-1].value}1" + "q" * 38):
        unread: dict[str, Unread] = {}
        _count(unread, "odd", b" " * before + account.encode())
        assert account[:8] not in unread["odd"].sample
