"""Truth: the map is the brute-force sum of the positions, and `simulate` agrees with its log."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from liqheat.domain.events import Batch, Kind, schema_of
from liqheat.domain.market import Venue
from liqheat.domain.price_grid import bucket_of, lower_edge, upper_edge
from liqheat.platform.codec import decode, encode
from liqheat.platform.errors import ConfigurationError
from liqheat.simulator.simulation import SimulationConfig, make_market, simulate
from liqheat.simulator.traders import Population
from liqheat.simulator.truth import Truth, account_address, truth_of, write_truth

CONFIG = SimulationConfig(
    seed=7,
    symbols=("VIRTUAL", "FET"),
    regime="crash",
    hours=0.5,
    warm_up_hours=2.5,
    truth_ms=900_000,
    population=Population.with_mix("degen", traders=300),
)


@pytest.fixture(scope="module")
def story() -> list[list[Batch] | Truth]:
    return list(simulate(CONFIG))


@pytest.mark.parametrize("factor", [1, 5, 20])
def test_the_map_is_the_sum_of_the_positions(factor: int) -> None:
    truth = truth_of(make_market(CONFIG, "VIRTUAL"))
    expected: dict[tuple[str, int, int], int] = {}
    for row in truth.positions.iter_rows(named=True):
        if row["liquidation_price"] > 0:
            key = (row["venue"], row["side"], int(bucket_of(row["liquidation_price"], factor)))
            expected[key] = expected.get(key, 0) + round(row["quantity"] * row["entry_price"] * 1e6)
    found = truth.map(factor)
    actual = {(venue, side, bucket): usd for venue, side, bucket, _, _, usd in found.iter_rows()}
    assert actual.keys() == expected.keys()
    assert all(abs(usd - expected[key]) <= 300 for key, usd in actual.items())
    assert found["price_low"].to_list() == lower_edge(found["bucket"].to_numpy(), factor).tolist()
    assert found["price_high"].to_list() == upper_edge(found["bucket"].to_numpy(), factor).tolist()


def test_every_position_is_listed_and_adds_up_to_open_interest() -> None:
    market = make_market(CONFIG, "VIRTUAL")
    truth = truth_of(market)
    for number, listing in enumerate(market.listings):
        here = truth.positions.filter(pl.col("venue") == listing.venue.value)
        for side in (1, -1):
            quantity = here.filter(pl.col("side") == side)["quantity"].sum()
            assert quantity == pytest.approx(market.open_interest[number] * listing.quantity_step)


def test_long_liquidations_lie_below_the_mark_and_short_ones_above(story: list[list[Batch] | Truth]) -> None:
    for truth in (item for item in story if isinstance(item, Truth)):
        for venue, side, _, low, high, _ in truth.map(5).iter_rows():
            mark = truth.mark_prices[venue]
            assert low <= mark if side > 0 else high >= mark


def test_makers_hold_positions_that_nothing_liquidates() -> None:
    positions = truth_of(make_market(CONFIG, "VIRTUAL")).positions
    makers = positions.filter(pl.col("kind") == "maker")
    assert makers.height > 0
    assert makers["liquidation_price"].is_nan().all()


def test_a_holders_account_is_on_many_venues() -> None:
    positions = truth_of(make_market(CONFIG, "VIRTUAL")).positions.filter(pl.col("kind") == "holder")
    venues = positions.group_by("account").agg(pl.col("venue").n_unique())["venue"]
    assert venues.max() == len(CONFIG.venues)


def test_the_log_is_readable_and_in_order(story: list[list[Batch] | Truth]) -> None:
    latest: dict[tuple[str, str, Kind], int] = {}
    kinds = set()
    for batch in (batch for item in story if isinstance(item, list) for batch in item):
        assert batch.frame.schema == schema_of(batch.kind).wire
        assert decode(*encode(batch)).frame.equals(batch.frame)
        times = batch.frame["event_time"]
        assert times.is_sorted()
        key = (batch.venue, batch.symbols[0], batch.kind)
        assert times[0] >= latest.get(key, 0)
        latest[key] = times[-1]
        kinds.add(batch.kind)
    assert kinds == {
        Kind.CONTRACTS,
        Kind.MARGIN_TIERS,
        Kind.TRADES,
        Kind.MARKS,
        Kind.OPEN_INTEREST,
        Kind.TURNOVER,
        Kind.LIQUIDATIONS,
    }


def test_the_last_open_interest_of_the_log_is_the_truths(story: list[list[Batch] | Truth]) -> None:
    last_truth = {item.symbol: item for item in story if isinstance(item, Truth)}
    last_logged = {
        (batch.venue, batch.symbols[0]): batch.frame["quantity"][-1]
        for item in story
        if isinstance(item, list)
        for batch in item
        if batch.kind is Kind.OPEN_INTEREST
    }
    assert len(last_logged) == 7  # FET is not listed on OKX.
    for (venue, symbol), quantity in last_logged.items():
        longs = last_truth[symbol].positions.filter((pl.col("venue") == venue) & (pl.col("side") == 1))
        assert quantity == pytest.approx(longs["quantity"].sum())


def test_truth_comes_at_the_start_every_period_and_at_the_end(story: list[list[Batch] | Truth]) -> None:
    times = [item.time - CONFIG.start_ms for item in story if isinstance(item, Truth) and item.symbol == "FET"]
    assert times == [0, 900_000, 1_800_000]


def test_a_symbols_story_does_not_depend_on_the_others() -> None:
    alone = make_market(SimulationConfig(seed=7, symbols=("FET",), population=CONFIG.population), "FET")
    beside = make_market(SimulationConfig(seed=7, symbols=("VIRTUAL", "FET"), population=CONFIG.population), "FET")
    assert np.array_equal(alone.positions.margin, beside.positions.margin)


def test_sampled_liquidations_are_a_part_of_all() -> None:
    def count(*, throttled: bool) -> dict[str, int]:
        config = SimulationConfig(
            seed=7, symbols=("FARTCOIN",), regime="crash", hours=0.5, warm_up_hours=2.5, throttled=throttled
        )
        counts = dict.fromkeys(Venue, 0)
        for item in simulate(config):
            for batch in item if isinstance(item, list) else []:
                if batch.kind is Kind.LIQUIDATIONS:
                    counts[Venue(batch.venue)] += batch.frame.height
        return {venue.value: rows for venue, rows in counts.items()}

    sampled, everything = count(throttled=True), count(throttled=False)
    assert sampled["bybit"] == everything["bybit"] > 0
    assert 0 < sampled["binance"] < everything["binance"]
    assert sampled["hyperliquid"] == 0 < everything["hyperliquid"]


def test_truth_is_written_as_parquet(tmp_path: Path) -> None:
    truths = [truth_of(make_market(CONFIG, symbol)) for symbol in CONFIG.symbols]
    write_truth(truths, tmp_path / "truth")
    time = truths[0].time
    positions = pl.read_parquet(tmp_path / "truth" / f"positions-{time}.parquet")
    maps = pl.read_parquet(tmp_path / "truth" / f"map-{time}.parquet")
    assert positions.height == sum(truth.positions.height for truth in truths)
    assert maps["at_risk_usd"].sum() == sum(truth.map()["at_risk_usd"].sum() for truth in truths)
    assert set(maps["symbol"]) == {"VIRTUAL", "FET"}


def test_addresses_are_like_the_venues() -> None:
    assert account_address("VIRTUAL", 1) != account_address("FET", 1)
    assert len(account_address("VIRTUAL", 1)) == 42


@pytest.mark.parametrize("change", [{"symbols": ("NOPE",)}, {"regime": "sideways"}, {"step_ms": 7_000}, {"step_ms": 0}])
def test_a_wrong_configuration_is_refused_with_a_sentence(change: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        list(simulate(SimulationConfig(**change)))  # type: ignore[arg-type]
