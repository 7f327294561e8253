"""Which Hyperliquid accounts to read next: a pure priority queue over the wallets discovered so far.

Far more wallets trade than the venue lets anyone read, so the large ones near their liquidation come often,
small or distant ones seldom, and every one in the end: urgency grows with the square of the time waited, so
a wallet a hundred times as pressing is read ten times as often.
"""

import heapq
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_SMALLEST_USD = 100.0
"""A wallet without positions counts as this small, so it waits long but not for ever."""
_NEAREST = 0.005
"""Nearer to liquidation than this changes the urgency no more."""
_DISTANT = 1.0
"""Distance of a position that has no liquidation price."""
SOONEST_MS = 5_000
"""No wallet is read again within this time, however few there are."""


@dataclass(frozen=True, slots=True)
class Holding:
    """One position of a wallet, as far as its urgency and the coverage need it.

    `quantity` is signed coins, `notional` USD at mark, `distance` the way of mark to liquidation as a
    fraction of mark.
    """

    symbol: str
    quantity: float
    notional: float
    distance: float = _DISTANT


@dataclass(slots=True)
class Wallet:
    """What is known of one address; `read_at` is ms, 0 before the first time."""

    address: str
    discovered_at: int
    traded_usd: float = 0.0
    read_at: int = 0
    holdings: tuple[Holding, ...] = field(default=())
    told_at: int = 0
    """The venue's time (ms) of the state that the holdings are of."""

    def urgency(self, now: int) -> float:
        """Return how much it wants to be read at `now` (ms): seconds waited, squared, times size over distance."""
        waited = (now - (self.read_at or self.discovered_at)) / 1_000 + 1.0
        if not self.read_at:
            # What it traded is all that is known of its size, and a new wallet is worth a look.
            return waited**2 * math.sqrt(max(self.traded_usd, _SMALLEST_USD)) / _NEAREST
        weight = max(
            (math.sqrt(max(item.notional, _SMALLEST_USD)) / max(item.distance, _NEAREST) for item in self.holdings),
            default=math.sqrt(_SMALLEST_USD) / _DISTANT,
        )
        return waited**2 * weight


class WalletBook:
    """All wallets discovered, at most `capacity`; beyond it, one without positions makes room, if there is one."""

    def __init__(self, capacity: int = 20_000) -> None:
        self._capacity = capacity
        self._wallets: dict[str, Wallet] = {}

    def __len__(self) -> int:
        return len(self._wallets)

    def discover(self, traded: Mapping[str, float], now: int) -> None:
        """Note addresses with the notional (USD) they traded or are said to hold."""
        for address, usd in traded.items():
            wallet = self._wallets.get(address)
            if wallet is None:
                if len(self._wallets) >= self._capacity and not self._make_room():
                    return
                wallet = self._wallets[address] = Wallet(address, now)
            wallet.traded_usd = max(wallet.traded_usd, usd)

    def due(self, now: int, count: int) -> list[str]:
        """Return up to `count` addresses that may be read at `now` (ms), the most urgent first."""
        waiting = [wallet for wallet in self._wallets.values() if now - wallet.read_at >= SOONEST_MS]
        urgent = heapq.nlargest(count, waiting, key=lambda wallet: (wallet.urgency(now), wallet.address))
        return [wallet.address for wallet in urgent]

    def note_read(
        self, address: str, holdings: Iterable[Holding], now: int, unread: Iterable[str] = (), told_at: int = 0
    ) -> None:
        """Take what a read at `now` (ms) showed; what was known of the symbols `unread` stays.

        A state whose venue's time `told_at` (ms) is before that of one already known changes nothing.
        """
        wallet = self._wallets.get(address)
        if wallet is not None:
            wallet.read_at = now
            if told_at < wallet.told_at:
                return
            found, wallet.told_at = tuple(holdings), told_at
            missing = set(unread) - {item.symbol for item in found}
            wallet.holdings = (*found, *(item for item in wallet.holdings if item.symbol in missing))

    def note_failure(self, address: str, now: int) -> None:
        """Let a wallet whose read failed wait its turn again, with what was known of it."""
        wallet = self._wallets.get(address)
        if wallet is not None:
            wallet.read_at = now

    def observed(self) -> dict[str, float]:
        """Return coins observed by symbol, one-sided as open interest is: the larger of all longs and all shorts."""
        sides: dict[str, list[float]] = {}
        for wallet in self._wallets.values():
            for item in wallet.holdings:
                sides.setdefault(item.symbol, [0.0, 0.0])[item.quantity < 0] += abs(item.quantity)
        return {symbol: max(both) for symbol, both in sides.items()}

    def _make_room(self) -> bool:
        for address, wallet in self._wallets.items():
            if wallet.read_at and not wallet.holdings:
                del self._wallets[address]
                return True
        return False
