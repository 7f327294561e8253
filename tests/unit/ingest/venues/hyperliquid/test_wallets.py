"""Whose turn it is: Hyperliquid's wallets by size, nearness to liquidation and staleness."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sanity import read_frame
from ingest.venues.hyperliquid.accounts import holdings_of, own_liquidation_price, price_differences
from ingest.venues.hyperliquid.mapper import HyperliquidMapper
from ingest.venues.hyperliquid.messages import ClearinghouseState
from ingest.venues.hyperliquid.wallet_poller import ROUND_SECONDS, WalletPoller
from ingest.venues.hyperliquid.wallets import SOONEST_MS, Holding, WalletBook
from ingest.venues.interface import Request
from ingest.venues.wire import Refusal, decoder_of
from liqheat.domain.events import Event, Position
from liqheat.domain.instruments import Instrument
from liqheat.domain.liquidation_price import hyperliquid
from liqheat.domain.margin_tiers import MarginTiers
from liqheat.domain.market import Venue
from liqheat.platform import metrics
from liqheat.platform.clock import ManualClock
from liqheat.platform.errors import TransientError

SECOND = 1_000
STATE = decoder_of(ClearinghouseState)


def held(notional: float, distance: float, quantity: float = 1.0) -> list[Holding]:
    return [Holding("ETH", quantity, notional, distance)]


def read_all(book: WalletBook, holdings: dict[str, list[Holding]], now: int) -> None:
    book.discover(dict.fromkeys(holdings, 0.0), 0)
    for address, own in holdings.items():
        book.note_read(address, own, now)


def test_the_nearer_and_the_larger_come_first() -> None:
    book = WalletBook()
    read_all(book, {"far": held(1e6, 0.5), "near": held(1e6, 0.02), "small": held(1e3, 0.02), "none": []}, now=SECOND)
    assert book.due(60 * SECOND, 4) == ["near", "far", "small", "none"]


def test_a_new_wallet_is_read_before_idle_ones() -> None:
    book = WalletBook()
    read_all(book, {"idle": [], "small": held(1e3, 0.5)}, now=SECOND)
    book.discover({"new": 5_000.0}, 2 * SECOND)
    assert book.due(7 * SECOND, 1) == ["new"]


def test_staleness_lets_every_wallet_have_its_turn() -> None:
    book = WalletBook()
    wallets = {f"w{number}": held(10.0 ** (number % 7), 0.01 + number % 10 / 10) for number in range(50)}
    read_all(book, wallets, now=SECOND)
    reads: dict[str, int] = dict.fromkeys(wallets, 0)
    now = SECOND
    for _ in range(4_000):
        now += SECOND
        for address in book.due(now, 1):
            reads[address] += 1
            book.note_read(address, wallets[address], now)
    assert min(reads.values()) > 0
    assert reads["w20"] > 10 * reads["w7"]


@given(st.lists(st.tuples(st.floats(0, 1e9), st.floats(0, 5), st.integers(0, 10**9)), min_size=1, max_size=20))
def test_urgency_only_grows_with_waiting(wallets: list[tuple[float, float, int]]) -> None:
    book = WalletBook()
    for number, (notional, distance, read_at) in enumerate(wallets):
        book.discover({str(number): 0.0}, 0)
        book.note_read(str(number), held(notional, distance), read_at)
    later = 2 * 10**9
    first = book.due(later, 1)[0]
    book.note_read(first, held(*wallets[int(first)][:2]), later)
    again = book.due(later + SOONEST_MS, len(wallets))
    assert sorted(again) == sorted(str(number) for number in range(len(wallets)))


def test_a_failed_read_keeps_what_was_known_and_waits() -> None:
    book = WalletBook()
    read_all(book, {"a": held(1e6, 0.1), "b": held(1e6, 0.1)}, now=SECOND)
    book.note_failure("a", 10 * SECOND)
    assert book.due(16 * SECOND, 2) == ["b", "a"]
    assert book.observed() == {"ETH": 2.0}


def test_a_full_book_makes_room_where_nothing_is_held() -> None:
    book = WalletBook(capacity=2)
    read_all(book, {"holder": held(1e6, 0.1), "idle": []}, now=SECOND)
    book.discover({"new": 1.0, "one too many": 1.0}, 2 * SECOND)
    assert len(book) == 2
    assert set(book.due(7 * SECOND, 2)) == {"holder", "new"}


def test_observed_counts_the_larger_side_once() -> None:
    book = WalletBook()
    read_all(
        book,
        {"a": [Holding("ETH", 3.0, 1, 1)], "b": [Holding("ETH", -1.0, 1, 1), Holding("BTC", -2.0, 1, 1)]},
        now=SECOND,
    )
    assert book.observed() == {"ETH": 3.0, "BTC": 2.0}


def state(*positions: dict[str, Any], value: str = "1000", maintenance: str = "0") -> bytes:
    return json.dumps(
        {
            "marginSummary": {"accountValue": value},
            "crossMarginSummary": {"accountValue": value},
            "crossMaintenanceMarginUsed": maintenance,
            "time": 5,
            "assetPositions": [{"type": "oneWay", "position": position} for position in positions],
        }
    ).encode()


def position(coin: str, szi: float, mark: float, liquidation: float | None, **more: Any) -> dict[str, Any]:
    return {
        "coin": coin,
        "szi": str(szi),
        "entryPx": str(mark),
        "positionValue": str(abs(szi) * mark),
        "liquidationPx": None if liquidation is None else str(liquidation),
        "marginUsed": "50",
        "leverage": {"type": "isolated", "value": 5},
        **more,
    }


TIERS = MarginTiers.single(10, 0.05)


def test_our_isolated_price_is_the_venues_formula() -> None:
    one = STATE.decode(state(position("ETH", 0.1, 2_000, None)))
    expected = hyperliquid(1, 2_000, 0.1, 50 - 0.05 * 200, 0.05)
    detail = one.asset_positions[0].position
    assert own_liquidation_price(detail, one, TIERS) == pytest.approx(float(expected), rel=1e-12)


def test_our_cross_price_takes_the_whole_account() -> None:
    cross = {"leverage": {"type": "cross", "value": 5}}
    one = STATE.decode(state(position("ETH", -0.5, 2_000, None, **cross), value="400", maintenance="80"))
    expected = hyperliquid(-1, 2_000, 0.5, 400 - 80, 0.05)
    detail = one.asset_positions[0].position
    assert own_liquidation_price(detail, one, TIERS) == pytest.approx(float(expected), rel=1e-12)


def test_differences_are_given_only_where_both_have_a_price() -> None:
    theirs = float(hyperliquid(1, 2_000, 0.1, 50 - 10, 0.05)) * 1.01
    one = STATE.decode(
        state(position("ETH", 0.1, 2_000, theirs), position("BTC", 1, 9, None), position("SOL", 1, 9, 5))
    )
    assert list(price_differences(one, {"ETH": TIERS, "BTC": TIERS})) == [pytest.approx(0.01 / 1.01)]


def test_holdings_are_coins_with_their_distance() -> None:
    one = STATE.decode(
        state(position("kPEPE", -4, 0.02, 0.03), position("ETH", 1, 2_000, None), position("X", 1, 1, 1))
    )
    pepe = Instrument(Venue.HYPERLIQUID, "kPEPE", "PEPE", 1_000.0)
    eth = Instrument(Venue.HYPERLIQUID, "ETH", "ETH")
    first, second = holdings_of(one, {"kPEPE": pepe, "ETH": eth})
    assert (first.symbol, first.quantity) == ("PEPE", -4_000.0)
    assert first.notional == pytest.approx(0.08)
    assert first.distance == pytest.approx(0.5)
    assert (second.symbol, second.distance) == ("ETH", 1.0)


class FakeContext:
    """A service with one mapper, canned answers and the events it published."""

    def __init__(self, answers: dict[str, list[bytes | Exception]]) -> None:
        self.rest = self
        self.clock = ManualClock()
        self.instruments: Sequence[Instrument] = (Instrument(Venue.HYPERLIQUID, "ETH", "ETH"),)
        self.mapper = HyperliquidMapper(self.instruments)
        self.published: list[Event] = []
        self.refused: list[Refusal] = []
        self.weight = 0.0
        self._answers = answers

    async def fetch(self, request: Request, attempts: int = 5) -> bytes:
        self.weight += request.weight
        query = json.loads(request.body) if request.body else {"type": "leaderboard"}
        queue = self._answers[query.get("user", query["type"])]
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def handle(self, frame: bytes, stream: str) -> None:
        self.published += read_frame(self.mapper, frame, self.clock.now_ms()).events

    async def publish(self, events: Sequence[Event]) -> None:
        self.published += events

    def refuse(self, refusals: Iterable[Refusal], stream: str) -> None:
        self.refused += refusals


META = json.dumps(
    [
        {"universe": [{"name": "ETH", "maxLeverage": 10, "szDecimals": 2}]},
        [{"openInterest": "1.0", "markPx": "2000", "oraclePx": "2000", "funding": "0", "dayNtlVlm": "1"}],
    ]
).encode()


def poller_of(context: FakeContext, traders: dict[str, float]) -> WalletPoller:
    return WalletPoller("http://venue/info", "http://venue/leaderboard", traders, context, WalletBook())


def coverage() -> float:
    return metrics.REGISTRY.get_sample_value("liqheat_coverage", {"venue": "hyperliquid", "symbol": "ETH"}) or 0.0


async def test_wallets_are_found_read_and_ended_and_coverage_grows() -> None:
    open_state, closed_state = state(position("ETH", 0.25, 2_000, 1_500)), state()
    context = FakeContext(
        {
            "0xtrader": [open_state, open_state, closed_state],
            "0xwhale": [state(position("ETH", 0.5, 2_000, None))],
            "metaAndAssetCtxs": [META],
            "leaderboard": [b'{"leaderboardRows":[{"ethAddress":"0xwhale","accountValue":"5000.5","prize":0}]}'],
        }
    )
    traders = {"0xtrader": 900.0}
    poller = poller_of(context, traders)
    await poller.read_wallets()
    await poller.read_markets()
    assert not traders
    assert coverage() == pytest.approx(0.25)
    await poller.read_leaderboard()
    context.clock.advance(5)
    await poller.read_wallets()
    await poller.read_markets()
    assert coverage() == pytest.approx(0.75)
    context.clock.advance(5)
    await poller.read_wallets()
    ended = [event for event in context.published if isinstance(event, Position) and event.quantity == 0]
    assert [(event.account, event.symbol) for event in ended] == [("0xtrader", "ETH")]
    await poller.read_markets()
    assert coverage() == pytest.approx(0.5)


async def test_a_wallet_that_cannot_be_read_does_not_stop_the_others() -> None:
    context = FakeContext(
        {"0xa": [TransientError("limited")], "0xb": [b"{"], "0xc": [state(position("ETH", 1, 2_000, None))]}
    )
    poller = poller_of(context, {"0xa": 1.0, "0xb": 1.0, "0xc": 1.0})
    await poller.read_wallets()
    assert [event.account for event in context.published if isinstance(event, Position)] == ["0xc"]


async def test_reading_stays_within_the_venues_weight() -> None:
    wallets: dict[str, list[bytes | Exception]] = {f"0x{number}": [state()] for number in range(500)}
    context = FakeContext(wallets)
    poller = poller_of(context, dict.fromkeys(wallets, 1.0))
    rounds = 20
    for _ in range(rounds):
        await poller.read_wallets()
        context.clock.advance(ROUND_SECONDS)
    per_minute = context.weight / (rounds * ROUND_SECONDS) * 60
    assert 800 < per_minute <= 900


@pytest.mark.parametrize("odd", ["abc", "1,234.5", "nan", "1e999", True, {}])
async def test_an_odd_number_of_the_leaderboard_costs_only_its_row(odd: Any) -> None:
    rows = [("0xa", "5"), ("0xb", odd), ("0xc", None), ("0xd", 7)]
    board = {"leaderboardRows": [{"ethAddress": name, "accountValue": value} for name, value in rows]}
    context = FakeContext({"leaderboard": [json.dumps(board).encode()], "0xa": [state()], "0xd": [state()]})
    poller = poller_of(context, {})
    await poller.read_leaderboard()
    await poller.read_wallets()
    assert context.weight == pytest.approx(1.0 + 2 * 2.0)
    (refusal,) = context.refused
    assert b"0xb" in refusal.row


@pytest.mark.parametrize("odd", ["abc", "1,000", "inf", {}])
async def test_an_odd_open_interest_costs_only_the_coverage_of_its_coin(odd: Any) -> None:
    coins = [{"name": name, "maxLeverage": 10, "szDecimals": 2} for name in ("BTC", "ETH")]
    contexts = [{"openInterest": odd, "markPx": "9"}, {"openInterest": "4.0", "markPx": "2000"}]
    answer = json.dumps([{"universe": coins}, contexts]).encode()
    context = FakeContext({"metaAndAssetCtxs": [answer], "0xa": [state(position("ETH", 1, 2_000, None))]})
    poller = poller_of(context, {"0xa": 1.0})
    await poller.read_wallets()
    await poller.read_markets()
    assert coverage() == pytest.approx(0.25)
    assert len(context.refused) == 1


ODD_STATES = {
    "size": state(position("ETH", 1, 2_000, 1_500) | {"szi": "nan"}),
    "huge size": state(position("ETH", 1, 2_000, 1_500) | {"szi": "1e300"}),
    "price": state(position("ETH", 1, 2_000, 1_500, liquidationPx="-0.5")),
    "margin": state(position("ETH", 1, 2_000, 1_500, marginUsed="abc")),
    "leverage": state(position("ETH", 1, 2_000, 1_500, leverage=None)),
    "no coin": state({"szi": "1"}),
    "seconds": state(position("ETH", 9, 2_000, 1_500)).replace(b'"time": 5', b'"time": 1767225600'),
    "ahead": state(position("ETH", 9, 2_000, 1_500)).replace(b'"time": 5', b'"time": 4000000000000'),
}


@pytest.mark.parametrize("odd", ODD_STATES.values(), ids=ODD_STATES)
async def test_what_the_mapper_refuses_of_an_account_changes_nothing_in_the_book(odd: bytes) -> None:
    good = state(position("ETH", 0.25, 2_000, 1_500))
    context = FakeContext({"0xa": [good, odd], "metaAndAssetCtxs": [META]})
    book = WalletBook()
    poller = WalletPoller("u", "l", {"0xa": 1.0}, context, book)
    await poller.read_markets()
    await poller.read_wallets()
    known = book._wallets["0xa"].holdings
    assert len(known) == 1
    context.clock.advance(6)
    await poller.read_wallets()
    assert book._wallets["0xa"].holdings == known
    assert book.observed() == {"ETH": 0.25}


@pytest.mark.parametrize("maintenance", ["abc", "nan", "1e999"])
async def test_an_odd_account_ends_no_round(maintenance: str) -> None:
    cross = {"leverage": {"type": "cross", "value": 5}}
    odd = state(position("ETH", 1, 2_000, 1_500, **cross), maintenance=maintenance)
    context = FakeContext({"0xa": [odd], "metaAndAssetCtxs": [META]})
    poller = poller_of(context, {"0xa": 1.0})
    await poller.read_markets()
    await poller.read_wallets()
    assert poller._book.observed() == {"ETH": 1.0}


def test_a_size_next_to_nothing_has_a_distance_and_an_urgency() -> None:
    one = STATE.decode(state(position("ETH", 1, 2_000, 1_500) | {"szi": "1e-320"}))
    (holding,) = holdings_of(one, {"ETH": Instrument(Venue.HYPERLIQUID, "ETH", "ETH")})
    assert holding.distance == 1.0
    assert list(price_differences(one, {"ETH": TIERS})) == []
