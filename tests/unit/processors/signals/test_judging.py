"""Minutes of many symbols judged together are each what it is alone."""

import numpy as np

from liqheat.domain.market import Venue
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.settings import Signals
from liqheat.platform.state_codec import pack
from processors.signals.engine import Closed, to_batches, update_all
from processors.signals.state import Reading, SignalState
from tests.support.signal_cases import FACTOR, START, heatmap_frame, market, readings_of, update

MINUTES = 12
SYMBOLS = {
    "A": (0.95, Signals(cluster_usd=1e5)),
    "B": (64_000.0, Signals(cluster_usd=1e5, reach_percent=10.0, local_percent=2.0)),
    # At the ends of the grid a book has no room for its reach.
    "C": (1e-12, Signals(cluster_usd=1e5)),
    "D": (9.9e8, Signals(cluster_usd=1e5, focus_percent=3.0)),
}


def readings(symbol: str) -> list[tuple[str, Reading]]:
    """Return minutes of two venues; price wanders, and takes some of what lies around it."""
    random = np.random.default_rng(ord(symbol))
    first, settings = SYMBOLS[symbol]
    marks = first * np.exp(np.cumsum(np.abs(random.normal(0, 0.004, MINUTES))) * (-1 if first > 1e8 else 1))
    found = []
    for number, mark in enumerate(marks.tolist()):
        for venue in (Venue.BINANCE, Venue.OKX):
            reach = settings.reach_percent / 100
            below = mark * (1 - np.sort(random.uniform(0.001, reach, 30)))
            above = mark * (1 + np.sort(random.uniform(0.001, reach, 30)))
            longs, shorts = (
                dict(
                    zip(
                        prices[(prices > 1.01e-12) & (prices < 9.9e8)].tolist(),
                        random.exponential(1e6, 30),
                        strict=False,
                    )
                )
                for prices in (below, above)
            )
            swept = dict(list(longs.items())[:1]) if number % 3 else {}
            frame = heatmap_frame(START + number * MINUTE_MS, longs, shorts, swept)
            found += readings_of(market(START + number * MINUTE_MS, mark, frame, venue=venue))
    return found


def test_symbols_that_are_judged_together_are_what_each_is_alone() -> None:
    alone, together = ({symbol: SignalState(symbol) for symbol in SYMBOLS} for _ in range(2))
    single = [
        (symbol, record)
        for symbol, (_, settings) in SYMBOLS.items()
        for record in update(alone[symbol], readings(symbol), settings, FACTOR)
    ]
    in_turn = zip(*(readings(symbol) for symbol in SYMBOLS), strict=True)
    closed = [
        Closed(together[symbol], venue, reading, SYMBOLS[symbol][1])
        for each in in_turn
        for symbol, (venue, reading) in zip(SYMBOLS, each, strict=True)
    ]
    said = update_all(closed[:40], FACTOR) + update_all(closed[40:], FACTOR)
    assert {symbol: pack(state) for symbol, state in together.items()} == {
        symbol: pack(state) for symbol, state in alone.items()
    }
    for symbol in SYMBOLS:
        own, other = ([each for each in records if each[0] == symbol] for records in (said, single))
        assert len(own) > MINUTES
        for one, expected in zip(to_batches(own), to_batches(other), strict=True):
            assert one.frame.equals(expected.frame)
    assert any(state.clusters for state in together.values())
