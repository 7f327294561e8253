"""Where `liqheat watch` and `liqheat clusters` read: a running page, a ClickHouse server, or a finished demo's data.

Embedded ClickHouse is one engine a process, so what a running demo knows is asked of its page over HTTP.
"""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from liqheat.platform.errors import ConfigurationError, TransientError

Signals = Callable[[str], dict[str, Any]]
"""Returns what `liqheat.viewer.evidence.signals_answer` does for a symbol."""

_TIMEOUT = 10.0


@contextmanager
def signal_source(viewer: str | None, server: bool, data_dir: Path | None) -> Iterator[Signals]:
    """Yield the function that reads one symbol.

    Args:
        viewer: address of a running page; where nothing is given, that of the settings.
        server: read ClickHouse as the settings say instead.
        data_dir: read what a finished demo left instead.
    """
    from liqheat.domain.windows import DAY_MS, MINUTE_MS
    from liqheat.local.data_directory import stored_in
    from liqheat.platform.clickhouse import open_clickhouse, translated_errors
    from liqheat.platform.clock import SystemClock
    from liqheat.platform.settings import load
    from liqheat.viewer.evidence import signals_answer

    settings = load()
    if not server and data_dir is None:
        address = viewer or f"http://{settings.viewer.host}:{settings.viewer.port}/"
        yield lambda symbol: _ask(address, symbol)
        return
    clickhouse = stored_in(settings.clickhouse, data_dir)
    client = open_clickhouse(clickhouse, readonly=True)
    clock = SystemClock()
    # What a finished demo left may be of any age.
    stale_ms = DAY_MS * 36_500 if data_dir is not None else settings.viewer.stale_minutes * MINUTE_MS

    def read(symbol: str) -> dict[str, Any]:
        # A finished demo's data may be old: its newest minute is what is asked for.
        with translated_errors(clickhouse):
            return signals_answer(client, symbol, 0, clock.now_ms() + MINUTE_MS, stale_ms)

    try:
        yield read
    finally:
        client.close()


def _ask(address: str, symbol: str) -> dict[str, Any]:
    if not address.startswith(("http://", "https://")):
        raise ConfigurationError(f"Expected the page's address to begin with http://, was {address!r}")
    url = f"{address.rstrip('/')}/api/signals?{urllib.parse.urlencode({'symbol': symbol})}"
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as response:  # noqa: S310 - checked above
            answer: dict[str, Any] = json.load(response)
    except urllib.error.HTTPError as error:
        raise TransientError(f"{url} answers {error.code}: {error.read(500).decode(errors='replace')}") from error
    except (OSError, ValueError) as error:
        raise TransientError(
            f"No liqheat page answers at {address} ({error}); start `liqheat demo`, or use --server or --data-dir"
        ) from error
    return answer
