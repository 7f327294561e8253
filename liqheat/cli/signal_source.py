"""Where `liqheat watch` and `liqheat clusters` read: a running page, a ClickHouse server, or a finished demo's data.

Embedded ClickHouse is one engine a process, so what a running demo knows is asked of its page over HTTP.
"""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liqheat.platform.errors import ConfigurationError, FatalError, TransientError


@dataclass(frozen=True, slots=True)
class Signals:
    """What can be asked of a source: called with a symbol, it answers as `liqheat.viewer.evidence.signals_answer`."""

    answer: Callable[[str], dict[str, Any]]
    symbols: Callable[[], list[str]]
    """Returns the symbols that are stored."""

    def __call__(self, symbol: str) -> dict[str, Any]:
        """Return the answer for one symbol."""
        return self.answer(symbol)

    def nothing_of(self, symbols: Sequence[str]) -> FatalError:
        """Return the error for symbols of which nothing is stored; its sentence names those that are."""
        known = ", ".join(self.symbols()) or "none"
        return FatalError(f"Nothing is stored of {', '.join(symbols)}; known are {known}")


_TIMEOUT = 10.0


@contextmanager
def signal_source(viewer: str | None, server: bool, data_dir: Path | None) -> Iterator[Signals]:
    """Yield the function that reads one symbol.

    Args:
        viewer: address of a running page; where nothing is given, that of the settings.
        server: read ClickHouse as the settings say instead.
        data_dir: read what a finished demo left instead.
    """
    from liqheat.cli.stored_data import stored_data
    from liqheat.domain.windows import DAY_MS, MINUTE_MS
    from liqheat.platform.clock import SystemClock
    from liqheat.platform.settings import load
    from liqheat.viewer.evidence import signals_answer
    from liqheat.viewer.picture import market_list

    settings = load()
    if not server and data_dir is None:
        address = viewer or f"http://{settings.viewer.host}:{settings.viewer.port}/"
        yield Signals(
            lambda symbol: _ask(address, f"/api/signals?{urllib.parse.urlencode({'symbol': symbol})}"),
            lambda: [row["symbol"] for row in _ask(address, "/api/markets")["symbols"]],
        )
        return
    clock = SystemClock()
    # What a finished demo left may be of any age.
    stale_ms = DAY_MS * 36_500 if data_dir is not None else settings.viewer.stale_minutes * MINUTE_MS

    with stored_data(data_dir) as client:
        yield Signals(
            # A finished demo's data may be old: its newest minute is what is asked for.
            lambda symbol: signals_answer(client, symbol, 0, clock.now_ms() + MINUTE_MS, stale_ms),
            lambda: [row["symbol"] for row in market_list(client, clock.now_ms())["symbols"]],
        )


def _ask(address: str, path: str) -> dict[str, Any]:
    if not address.startswith(("http://", "https://")):
        raise ConfigurationError(f"Expected the page's address to begin with http://, was {address!r}")
    url = f"{address.rstrip('/')}{path}"
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as response:  # noqa: S310 - checked above
            answer: dict[str, Any] = json.load(response)
    except urllib.error.HTTPError as error:
        raise TransientError(f"{url} answers {error.code}: {error.read(500).decode(errors='replace')}") from error
    except (OSError, ValueError) as error:
        raise TransientError(
            f"No liqheat page answers at {address} ({error}); start `liqheat demo`, or use --server, or "
            "--data-dir data/demo for what a finished demo left"
        ) from error
    return answer
