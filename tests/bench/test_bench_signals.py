"""How much of a minute the signals of 1,700 markets take on one core (CPU time), and their memory and checkpoint."""

import resource
import time

import numpy as np
import polars as pl
import pytest

from liqheat.domain.events import Batch, Kind, schema_of
from liqheat.domain.market import LEVERAGE_BANDS
from liqheat.domain.price_grid import bucket_of, lower_edge
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.settings import Signals
from liqheat.platform.state_codec import pack
from processors.signals.state import SignalState
from tests.support.signal_cases import START, minute_frame, readings_of, update

pytestmark = pytest.mark.bench

MARKETS = 1_700
MINUTES = 6
FACTOR = 5


def bucket_frame(random: np.random.Generator, window: int, mark: float) -> pl.DataFrame:
    """Return a full map: about 90 % of the buckets within 30 % of the mark, in all five leverage bands."""
    centre = int(bucket_of([mark], FACTOR)[0])
    buckets = np.arange(centre - 100, centre + 100)
    rows = np.array([(bucket, band) for bucket in buckets for band in range(len(LEVERAGE_BANDS))])
    rows = rows[random.random(len(rows)) < 0.9]
    size = len(rows)
    zeros = np.zeros(size, dtype=np.int64)
    shape = 1 + 5 * np.exp(-(((rows[:, 0] - centre) % 37 - 18) ** 2) / 20)
    columns = {
        "window_start": np.full(size, window),
        "side": np.where(rows[:, 0] < centre, 1, -1).astype(np.int8),
        "basis": ["inferred"] * size,
        "leverage_band": [LEVERAGE_BANDS[band] for band in rows[:, 1]],
        "price_low": lower_edge(rows[:, 0], FACTOR),
        "price_high": lower_edge(rows[:, 0] + 1, FACTOR),
        "at_risk_usd": (shape * random.uniform(0.9, 1.1, size) * 1e10).astype(np.int64),
        **dict.fromkeys(("opened_usd", "closed_usd", "swept_usd", "liquidated_usd"), zeros),
        "confidence": np.full(size, 0.5),
        "revision": np.full(size, window),
    }
    return pl.DataFrame(columns, schema=schema_of(Kind.HEATMAP_BUCKETS).polars)


def test_signals_of_1700_markets_in_a_minute() -> None:
    random = np.random.default_rng(1)
    settings = Signals()
    states = [SignalState(f"COIN{number}") for number in range(MARKETS)]
    rows = outputs = 0
    spent = []
    for minute in range(MINUTES):
        window = START + minute * MINUTE_MS
        mark = 1.3 * float(np.exp(random.normal(0, 0.002)))
        frame, market = bucket_frame(random, window, mark), minute_frame(window, mark)
        said = [
            Batch.of_market(Kind.HEATMAP_BUCKETS, "binance", "COIN", "", frame),
            Batch.of_market(Kind.MARKET_MINUTES, "binance", "COIN", "", market),
        ]
        (reading,) = readings_of(said)
        started = time.process_time()
        for state in states:
            outputs += len(update(state, [reading], settings, FACTOR))
        spent.append(time.process_time() - started)
        rows += frame.height * MARKETS
    seconds = float(np.median(spent))
    state_bytes = len(pack(states[0]))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
    print(  # noqa: T201 - a bench prints its figures
        f"\nsignals: {MARKETS} markets with {rows // MARKETS // MINUTES} bucket rows take {seconds:.2f} s of a minute "
        f"({seconds / 60:.1%} of one core, {1_000 * seconds / MARKETS:.2f} ms per market, "
        f"{rows / sum(spent):,.0f} rows/s); {outputs // MINUTES:,} rows out a minute; "
        f"checkpoint {state_bytes / 1_024:.1f} kB per market; process {memory:.0f} MB"
    )
