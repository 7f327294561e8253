"""The inferred model against a slow oracle, and what must hold whatever comes: sums, grouping, checkpoints."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from liqheat.domain.price_grid import bucket_of
from liqheat.platform.state_codec import pack, unpack
from processors.positions.inferred import InferredPositions, SavedInferred
from processors.positions.minute_columns import MinuteColumns, rows_of
from processors.positions.opening import LAYER_PERIODS
from tests.support.inferred_oracle import Minute, Oracle

START = 1_767_225_600_000
VENUES = ("binance", "bybit", "okx", "hyperliquid")


def some_minutes(generator: np.random.Generator, markets: int, count: int, jump: float = 0.0) -> list[MinuteColumns]:
    """Return `count` minutes of random walks, open interest that comes and goes, and liquidations now and then."""
    price = 10 ** generator.uniform(-3, 5, markets)
    interest = 10 ** generator.uniform(5, 9, markets) / price
    before, end, minutes = np.full(markets, np.nan), START, []
    for number in range(count):
        elapsed = generator.choice([1, 1, 1, 5, 90], markets)
        end += 60_000 * int(elapsed.max())
        close = price * np.exp(0.002 * generator.standard_normal(markets) + jump * (number == count // 2))
        low = np.minimum(price, close) * (1 - 0.001 * generator.random(markets))
        high = np.maximum(price, close) * (1 + 0.001 * generator.random(markets))
        usd = (interest * price * 1e6 * generator.uniform(0, 1e-3, (2, markets))).astype(np.int64)
        died = (usd * generator.choice([0, 0, 1e-3, 1e-2], (2, markets))).astype(np.int64)
        quiet = generator.random(markets) < 0.1
        reading = np.where(generator.random(markets) < 0.3, np.nan, interest * generator.uniform(0.99, 1.01, markets))
        minutes.append(
            MinuteColumns(
                np.full(markets, end - 60_000),
                elapsed,
                np.where(quiet, np.nan, low),
                np.where(quiet, np.nan, high),
                np.where(quiet & (number > 0), price, close),
                np.where(quiet, 0, usd[0]),
                np.where(quiet, 0, usd[1]),
                np.where(quiet, np.nan, close),
                np.where(quiet, np.nan, price),
                np.where(quiet, np.nan, low),
                np.where(quiet, np.nan, high),
                reading,
                before,
                died[0],
                died[1],
                np.ones(markets, dtype=np.int64),
                generator.random(markets) < 0.8,
                np.arange(markets) % 4 == 0,
            )
        )
        price, before = minutes[-1].mark_close, np.where(np.isnan(reading), before, reading)
    return minutes


def with_markets(count: int) -> InferredPositions:
    """Return a model of `count` markets, four venues to a symbol."""
    model = InferredPositions()
    for number in range(count):
        model.add_market(VENUES[number % 4], f"S{number // 4}")
    return model


def in_turns(model: InferredPositions, minute: MinuteColumns, markets: int) -> None:
    """Close a minute venue by venue, as no two markets of a symbol may close in one call."""
    for venue in range(4):
        rows = np.arange(venue, markets, 4)
        model.close(rows, rows_of(minute, rows))


def state_of(model: InferredPositions, market: int) -> dict[str, npt.NDArray[np.generic]]:
    return {name: getattr(model.state, name)[market] for name in model.state.columns}


def assert_same(one: InferredPositions, other: InferredPositions, market: int, but: tuple[str, ...] = ()) -> None:
    for name, values in state_of(one, market).items():
        if name not in but:
            np.testing.assert_array_equal(values, state_of(other, market)[name], err_msg=f"{name} of {market}")


@pytest.mark.parametrize("seed", [1, 2])
def test_a_market_alone_agrees_with_the_slow_oracle(seed: int) -> None:
    generator = np.random.default_rng(seed)
    model = InferredPositions()
    market = np.array([model.add_market("bybit", "ALONE")])
    oracle: Oracle | None = None
    interest = math.nan
    for minute in some_minutes(generator, 1, 40):
        reading = float(minute.open_interest[0])
        interest = interest if math.isnan(reading) else reading
        if math.isnan(interest):
            continue
        flows = model.close(market, minute)
        if oracle is None:
            first = int(model.state.base[0])
            oracle = Oracle(first, model.state.width, int(model.state.phase[0]), LAYER_PERIODS)
        usd = np.array([minute.buy_usd[0], minute.sell_usd[0]]) / 1e6
        close = float(minute.mark_close[0])
        prices = np.array([minute.buy_price[0], minute.sell_price[0]])
        entry = float(usd @ prices / usd.sum()) if usd.sum() > 0 else close
        ends = [float(end[0]) if np.isfinite(end[0]) else close for end in (minute.mark_low, minute.mark_high)]
        expected = oracle.take(
            Minute(
                int(minute.window_start[0]) // 60_000 + 1,
                int(minute.elapsed_minutes[0]),
                ends[0],
                ends[1],
                close,
                float(usd.sum()),
                entry,
                interest,
                (float(minute.executed_long[0]) / 1e6, float(minute.executed_short[0]) / 1e6),
                bool(minute.liquidations_known[0]),
            )
        )
        whole = interest * close
        np.testing.assert_allclose(flows.expected_swept[0] / 1e6, expected, rtol=1e-3, atol=1e-6 * whole)
    assert oracle is not None
    assert int(model.state.base[0]) == oracle.first
    whole = interest * float(model.state.close[0])
    for name, cells in (("layers", oracle.layers), ("bands", oracle.bands)):
        for row, held in zip(getattr(model.state, name)[0], cells, strict=True):
            dense = np.zeros(model.state.width)
            for bucket, usd_there in held.items():
                dense[bucket - oracle.first] = usd_there
            np.testing.assert_allclose(row / 1e6, dense, rtol=2e-3, atol=2e-8 * whole)
    assert float(model.state.kappa[0]) == pytest.approx(oracle.kappa, rel=2e-3)
    np.testing.assert_allclose(model.state.multipliers[0], oracle.multipliers, rtol=2e-3)
    assert model.state.kappa[0] != 1


def test_what_opened_is_what_stands_closed_and_was_swept_and_sides_add_up() -> None:
    generator = np.random.default_rng(7)
    markets = 8
    model = with_markets(markets)
    everything = np.arange(markets)
    before = model.state.standing[:markets].sum(axis=(1, 2))
    for minute in some_minutes(generator, markets, 120, jump=0.4):
        in_turns(model, minute, markets)
        cells = model.published(everything)
        flows = np.zeros((4, markets), dtype=np.int64)
        for kind, amounts in enumerate((cells.at_risk_usd, cells.opened_usd, cells.closed_usd, cells.swept_usd)):
            assert (amounts >= 0).all()
            np.add.at(flows[kind], cells.place, amounts)
        np.testing.assert_array_equal(flows[0], before + flows[1] - flows[2] - flows[3])
        np.testing.assert_array_equal(flows[0], model.state.standing[:markets].sum(axis=(1, 2)))
        before = flows[0]
        totals = model.totals(everything)
        for side, place in ((1, 0), (-1, 1)):
            of_side = cells.side == side
            for amounts, total in ((cells.at_risk_usd, totals.at_risk), (cells.expected_usd, totals.expected)):
                sums = _sums(cells.place[of_side], amounts[of_side], markets)
                np.testing.assert_array_equal(sums, total[:, place])
    assert before.all()


def _sums(places: npt.NDArray[np.int64], amounts: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    sums = np.zeros(count, dtype=np.int64)
    np.add.at(sums, places, amounts)
    return sums


def test_markets_come_out_alike_however_they_are_grouped() -> None:
    markets = 8
    minutes = some_minutes(np.random.default_rng(11), markets, 40)
    together, apart = with_markets(markets), with_markets(markets)
    for minute in minutes:
        in_turns(together, minute, markets)
        for venue in range(4):
            for market in np.arange(venue, markets, 4)[::-1]:
                rows = np.array([market])
                apart.close(rows, rows_of(minute, rows))
    for market in range(markets):
        assert_same(together, apart, market)


def test_a_loaded_market_goes_on_as_the_dumped_one() -> None:
    markets = 4
    minutes = some_minutes(np.random.default_rng(5), markets, 60)
    first, second = with_markets(markets), with_markets(markets)
    for minute in minutes[:40]:
        in_turns(first, minute, markets)
    for market in range(markets):
        data = pack(first.saved(market))
        assert len(data) < 30_000
        second.restore(market, unpack(data, SavedInferred))
        assert_same(first, second, market, but=("flows", "flows_long"))
    for minute in minutes[40:]:
        in_turns(first, minute, markets)
        in_turns(second, minute, markets)
    for market in range(markets):
        assert_same(first, second, market)


def test_rows_of_another_shape_are_refused_and_change_nothing() -> None:
    model = with_markets(4)
    minute = some_minutes(np.random.default_rng(5), 4, 1)[0]
    in_turns(model, minute, 4)
    saved, before = model.saved(0), state_of(model, 1)
    for name, (dtype, data) in saved.amounts.items():
        cut = SavedInferred(saved.columns, saved.amounts | {name: (dtype, data[:-8])})
        with pytest.raises(ValueError, match="reshape"):
            model.restore(1, cut)
    for name, values in saved.columns.items():
        if isinstance(values, list):
            with pytest.raises(ValueError, match=r"reshape|inhomogeneous"):
                model.restore(1, SavedInferred(saved.columns | {name: values[:-1]}, saved.amounts))
    for name, values in before.items():
        np.testing.assert_array_equal(values, getattr(model.state, name)[1])


def test_rows_put_back_are_as_if_the_minute_never_closed() -> None:
    markets = 4
    minutes = some_minutes(np.random.default_rng(9), markets, 40)
    model, plain = with_markets(markets), with_markets(markets)
    for number, minute in enumerate(minutes):
        taken = model.take(np.arange(markets))
        if number % 3 == 0:
            in_turns(model, minutes[-1 - number], markets)
            model.put_back(taken)
        in_turns(model, minute, markets)
        in_turns(plain, minute, markets)
    for market in range(markets):
        assert_same(model, plain, market)


def test_the_open_minute_shows_the_range_emptied_and_changes_nothing() -> None:
    markets = 4
    model = with_markets(markets)
    for minute in some_minutes(np.random.default_rng(13), markets, 30):
        in_turns(model, minute, markets)
    everything, close = np.arange(markets), model.state.close[:markets].copy()
    before = [state_of(model, market) for market in range(markets)]
    low, high = close * 0.97, close * 1.02
    cells, swept = model.published_open(everything, low, high), model.swept_so_far(everything, low, high)
    closed = model.published(everything)
    for side, place in ((1, 0), (-1, 1)):
        of = cells.side == side
        taken = _sums(cells.place[of], cells.swept_usd[of], markets)
        np.testing.assert_array_equal(taken, swept.at_risk[:, place])
        stood = _sums(closed.place[closed.side == side], closed.at_risk_usd[closed.side == side], markets)
        left = _sums(cells.place[of], cells.at_risk_usd[of], markets)
        np.testing.assert_array_equal(stood - taken, left)
    assert (swept.at_risk > 0).all()
    assert (swept.expected > 0).all()
    assert not cells.opened_usd.any()
    held = cells.at_risk_usd > 0
    buckets = cells.bucket[held].astype(np.int64)
    assert (
        (buckets <= bucket_of(low, 5)[cells.place[held]]) | (buckets >= bucket_of(high, 5)[cells.place[held]])
    ).all()
    for market, rows in enumerate(before):
        for name, values in rows.items():
            np.testing.assert_array_equal(values, getattr(model.state, name)[market])


def test_a_silent_venue_takes_after_its_siblings_and_a_sample_never_falls_below_them() -> None:
    model = InferredPositions()
    markets = [np.array([model.add_market(venue, "X")]) for venue in ("bybit", "binance", "hyperliquid")]
    shares = (0.5, 0.05, 0.0)
    generator = np.random.default_rng(3)
    price, time = 10.0, START
    for _ in range(400):
        time += 60_000
        close = price * math.exp(0.002 * generator.standard_normal())
        for market, share in zip(markets, shares, strict=True):
            swept = model.swept_so_far(market, np.array([min(price, close)]), np.array([max(price, close)])).expected[0]
            swept = (swept / model.state.kappa[market]).astype(np.int64)
            usd = np.array([int(1e6 * 1e6)])
            model.close(
                market,
                MinuteColumns(
                    np.array([time - 60_000]),
                    np.array([1]),
                    np.array([min(price, close)]),
                    np.array([max(price, close)]),
                    np.array([close]),
                    usd,
                    usd,
                    np.array([close]),
                    np.array([close]),
                    np.array([close]),
                    np.array([close]),
                    np.array([1e7]),
                    np.array([1e7]),
                    np.array([int(swept[0] * share)]),
                    np.array([int(swept[1] * share)]),
                    np.array([1]),
                    np.array([share > 0]),
                    np.array([share == 0.05]),
                ),
            )
        price = close
    facts = model.facts(np.array([0, 1, 2]))
    assert facts.kappa[0] == pytest.approx(0.5, abs=0.05)
    assert facts.kappa[1] == pytest.approx(facts.kappa[0], abs=0.05)
    assert facts.kappa[2] == pytest.approx(facts.kappa[0], abs=0.05)
    assert facts.learned_usd[2] == 0
    assert facts.high[2] > facts.high[0]


def test_a_market_expects_after_an_hour_what_it_would_if_its_log_were_weeks_long() -> None:
    markets, step = 12, 30
    late, long = InferredPositions(), InferredPositions()
    everything = np.array([late.add_market("bybit", f"S{number}") for number in range(markets)])
    for number in range(markets):
        long.add_market("bybit", f"S{number}")
    generator = np.random.default_rng(17)
    price, interest, swept = np.full(markets, 50.0), np.full(markets, 2e6), np.zeros(2)
    nothing = np.zeros(markets, dtype=np.int64)
    begin, bars = 18 * 48, 20 * 48
    for bar in range(bars):
        close = price * np.exp(0.0035 * generator.standard_normal(markets))
        usd = np.full(markets, 10**12, dtype=np.int64)
        low, high = np.minimum(price, close), np.maximum(price, close)
        minute = MinuteColumns(
            np.full(markets, START + 60_000 * step * bar),
            np.full(markets, step),
            low,
            high,
            close,
            usd,
            usd,
            close,
            close,
            low,
            high,
            interest,
            interest,
            nothing,
            nothing,
            nothing,
            np.zeros(markets, dtype=np.bool_),
            np.zeros(markets, dtype=np.bool_),
        )
        expected = long.close(everything, minute).expected_swept.sum()
        if bar >= begin:
            other = late.close(everything, minute).expected_swept.sum()
            if bar >= begin + 60 // step:
                swept += expected, other
        price = close
    # Where nothing older is put in, the market that is seen late expects 0.68 of it.
    assert swept[1] == pytest.approx(swept[0], rel=0.2)
    assert (late.state.first_minutes[:markets] == -1).all()
