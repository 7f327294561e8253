"""Random logs of position events: mostly small moves, with silences, crashes, late and early rows among them."""

from collections.abc import Iterator

import numpy as np

from liqheat.domain.events import NAN, Event, Liquidation, Mark, OpenInterest, Position, Trade, Turnover
from liqheat.domain.market import Venue

START = 1_767_225_600_000
MARKETS = ((Venue.BINANCE, "V"), (Venue.HYPERLIQUID, "V"), (Venue.BINANCE, "W"), (Venue.BYBIT, "W"))

KINDS = ("trade", "mark", "open_interest", "liquidation", "position", "late", "turnover")
KIND_SHARES = (0.36, 0.24, 0.16, 0.08, 0.08, 0.05, 0.03)
PASSED = (0, 300, 5_000, 15_000, 61_000, 700_000, 3 * 3_600_000)
PASSED_SHARES = (0.2, 0.3, 0.3, 0.1, 0.07, 0.02, 0.01)

Step = tuple[str, int, int, float, float, int]
"""Kind, place in `MARKETS`, time passed (ms), change of price (a fraction), size, side."""


def plan_of(seed: int, length: int) -> list[Step]:
    """Draw a log: mostly small moves, with silences, crashes, late and early rows among them."""
    random = np.random.default_rng(seed)
    steps: list[Step] = [("mark", 0, 0, 0.0, 1.0, 1), ("open_interest", 0, 0, 0.0, 1e6, 1)]
    for _ in range(length):
        kind = str(random.choice(KINDS, p=KIND_SHARES))
        passed = int(random.choice(PASSED, p=PASSED_SHARES))
        change = float(random.choice([0.0, random.normal(0, 0.003), random.normal(0, 0.03)], p=[0.5, 0.45, 0.05]))
        size = float(random.choice([0.0, 1.5, 70_000.0, random.exponential(3e5)], p=[0.05, 0.1, 0.4, 0.45]))
        market = int(random.choice(len(MARKETS), p=(0.5, 0.2, 0.15, 0.15)))
        steps.append((kind, market, passed, change, size, int(random.choice([1, -1]))))
    return steps


def events_of(plan: list[Step]) -> Iterator[Event]:
    """Yield the events of a plan in log order; some come a little before those that precede them."""
    time, price, held = START, 1.3, [2e6] * len(MARKETS)
    for number, (kind, index, passed, change, size, side) in enumerate(plan):
        venue, symbol = MARKETS[index]
        time += passed
        price *= 1 + change
        at: tuple[Venue, str, str] = (venue, symbol, f"{symbol}USDT")
        moment = time + (900 * (number % 3) if kind == "trade" else 0)
        if kind == "trade":
            yield Trade(*at, moment, price, size, side, number)
        elif kind == "late":
            yield Trade(*at, time - 90_000, price, size, side)
            yield Mark(*at, time - 90_000, price)
            yield OpenInterest(*at, time - 90_000, size)
        elif kind == "mark":
            yield Mark(*at, time, price, NAN if size else price, 1e-4 * side, time * int(side > 0))
        elif kind == "open_interest":
            held[index] = max(held[index] + side * size, 0.0)
            yield OpenInterest(*at, time, held[index])
        elif kind == "liquidation":
            yield Liquidation(*at, time, side, price, size)
        elif kind == "position":
            liquidation_price = NAN if size == 1.5 else price * (1 - side * (0.1 + change))
            yield Position(
                *at, time, f"account {number % 3}", side, size, leverage=10.0, liquidation_price=liquidation_price
            )
        else:
            yield Turnover(*at, time, size)
