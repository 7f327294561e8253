"""What OKX's perpetuals are called, and under which other names its answers speak of them.

Swaps (`BTC-USDT-SWAP`) are of the family and index `BTC-USDT`. X-Perps (`BTC-USD_UM_XPERP-310404`) are perpetuals in
the form of futures that expire after five years, with funding, settled in USD value; their family is
`BTC-USD_UM_XPERP`, their index `BTC-USD`. Who trades from the European Economic Area finds X-Perps only.
"""

import re
from collections.abc import Iterable

from liqheat.domain.instruments import Instrument

SWAP, FUTURES = "SWAP", "FUTURES"
"""OKX's types of instrument; X-Perps are of the second."""
X_PERP = "xperp"
"""`ruleType` of an X-Perp; other futures are dated."""
_X_PERP_NAME = re.compile(r"(?P<family>(?P<index>.+-USD)_UM_XPERP)-\d{6}")
_SWAP_SUFFIX = "-SWAP"


def type_of_name(name: str) -> str:
    """Return the type of instrument that a perpetual is of."""
    return SWAP if name.endswith(_SWAP_SUFFIX) else FUTURES


def family_of(name: str) -> str:
    """Return the family of a perpetual, which names it in margin tiers and liquidations."""
    match = _X_PERP_NAME.fullmatch(name)
    return match["family"] if match else name.removesuffix(_SWAP_SUFFIX)


def index_of(name: str) -> str:
    """Return the index of a perpetual."""
    match = _X_PERP_NAME.fullmatch(name)
    return match["index"] if match else name.removesuffix(_SWAP_SUFFIX)


class Aliases:
    """Finds a perpetual by its family or index: a swap by its name, an X-Perp once its name was seen."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._names: dict[str, str] = {}
        self.see(*instruments)

    def see(self, *instruments: Instrument) -> None:
        """Note the names of X-Perps among `instruments`."""
        for name in (instrument.name for instrument in instruments):
            if match := _X_PERP_NAME.fullmatch(name):
                self._names[match["family"]] = self._names[match["index"]] = name

    def name_of(self, alias: str) -> str:
        """Return the perpetual of a family or index, or the name itself if it is one of a perpetual; "" of ""."""
        if not alias or alias.endswith(_SWAP_SUFFIX) or _X_PERP_NAME.fullmatch(alias):
            return alias
        return self._names.get(alias, f"{alias}{_SWAP_SUFFIX}")
