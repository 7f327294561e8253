"""What an ingest says of its venue, from the pulses of its intakes."""

from typing import Any, cast

from ingest.feed_health import Pulse, conditions_of
from ingest.service import VenueService
from ingest.watch import Stream
from liqheat.domain.events import Kind
from liqheat.domain.market import Venue
from liqheat.platform.clock_watch import OffsetWatch


class Service:
    """What the conditions ask of a service."""

    venue = Venue.BINANCE

    def __init__(self) -> None:
        self.at = 1_000.0
        self.heard_at = self.at
        self.offset = OffsetWatch()
        self.pulses = [Pulse()]
        self.stalled = 0.0

    def now(self) -> float:
        return self.at

    def silence(self) -> float:
        return self.at - self.heard_at

    def hear(self, *instruments: str, seconds: int, lag_ms: int = 80) -> None:
        """Let a second go by, with a mark of each instrument."""
        for _ in range(seconds):
            self.at += 1.0
            self.heard_at = self.at
            self.pulses[0].note([Stream(name, Kind.MARKS) for name in instruments], self.at, "socket", lag_ms)


def problems(service: Service) -> dict[str, str]:
    checks = conditions_of(cast(VenueService, cast(Any, service)))
    return {each.name: said for each in checks if (said := each.check()) is not None}


def test_a_silent_venue_is_reported_within_ten_seconds() -> None:
    service = Service()
    service.hear("WLDUSDT", seconds=60)
    assert problems(service) == {}
    service.at += 9.5
    assert "venue" in problems(service)
    service.hear("WLDUSDT", seconds=1)
    assert problems(service) == {}


def test_a_venue_of_one_slow_market_may_pause_as_it_usually_does() -> None:
    service = Service()
    for _ in range(5):
        service.at += 9.0
        service.hear("WLD-USDT-SWAP", seconds=1)
    service.at += 12.0
    assert problems(service) == {}
    service.at += 9.0
    assert "venue" in problems(service)
    # An outage is not taken for a habit.
    service.hear("WLD-USDT-SWAP", seconds=1)
    service.at += 120.0
    service.hear("WLD-USDT-SWAP", seconds=1)
    service.at += 21.0
    assert "venue" in problems(service)


def test_one_frozen_market_is_named_while_the_others_go_on() -> None:
    service = Service()
    service.hear("WLDUSDT", "TAOUSDT", seconds=60)
    service.hear("TAOUSDT", seconds=31)
    assert problems(service) == {"market": "binance: no new mark price of WLDUSDT for 31 s"}
    service.hear("WLDUSDT", "TAOUSDT", seconds=1)
    assert problems(service) == {}


def test_a_market_that_usually_pauses_is_not_frozen() -> None:
    service = Service()
    for _ in range(5):
        service.hear("TAOUSDT", seconds=20)
        service.hear("WLDUSDT", "TAOUSDT", seconds=1)
    service.hear("TAOUSDT", seconds=60)
    assert problems(service) == {}
    service.hear("TAOUSDT", seconds=40)
    assert "market" in problems(service)


def test_a_delisted_market_is_not_missed() -> None:
    service = Service()
    service.hear("WLDUSDT", "TAOUSDT", seconds=10)
    service.pulses[0].keep({"TAOUSDT"})
    service.hear("TAOUSDT", seconds=60)
    assert problems(service) == {}


def test_a_wrong_clock_shows_in_events_from_the_future_and_in_old_ones() -> None:
    service = Service()
    service.hear("WLDUSDT", seconds=20, lag_ms=-1_800_000)
    assert "1800 s ahead of this machine's clock" in problems(service)["venue clock"]
    service.hear("WLDUSDT", seconds=20, lag_ms=60)
    assert problems(service) == {}
    service.hear("WLDUSDT", seconds=20, lag_ms=3_600_000)
    assert "3600 s old" in problems(service)["venue clock"]


def test_a_clock_far_from_the_venues_dates_is_reported() -> None:
    service = Service()
    service.hear("WLDUSDT", seconds=5)
    service.offset.note(1_000_000, 1_000_100, 1_060_000)
    assert "at least 60 s behind the venue's" in problems(service)["venue clock"]


def test_rows_that_kafka_does_not_take_are_reported_within_ten_seconds() -> None:
    service = Service()
    service.hear("WLDUSDT", seconds=60)
    service.stalled = 6.0
    assert problems(service) == {}
    service.stalled = 9.0
    assert problems(service)["publisher"] == "binance: Kafka has taken nothing for 9 s though rows wait for it"
