"""The engine on logs small enough to work out by hand: minutes, late rows, many markets, refusals."""

from dataclasses import replace

import polars as pl
import pytest

from liqheat.domain.events import Batch, Event, Kind, Liquidation, Mark, OpenInterest, Position, Trade, to_batch
from liqheat.domain.market import Venue
from liqheat.platform.codec import rows_of
from liqheat.platform.errors import FatalError, PoisonMessage
from liqheat.platform.settings import Engine as EngineSettings
from liqheat.platform.state_codec import pack, unpack
from processors.heatmap import engine
from processors.heatmap.minutes import SLOT
from processors.heatmap.state import PartitionState, SavedSymbol
from processors.positions.inferred import MODEL_VERSION

START, MINUTE = 1_767_225_600_000, 60_000
SETTINGS = EngineSettings(closing_spread_ms=0)
AT = (Venue.BINANCE, "VIRTUAL", "VIRTUALUSDT")
FET = (Venue.BINANCE, "FET", "FETUSDT")


def minutes(*events: Event) -> pl.DataFrame:
    """Return the closed minutes of a log."""
    state = engine.new_state(SETTINGS)
    outputs = [output for event in events for output in engine.apply(state, to_batch([event]))]
    return pl.concat([batch.frame for batch in outputs if batch.kind is Kind.MARKET_MINUTES])


def test_a_minute_closes_when_the_watermark_passes_its_end_by_the_lateness() -> None:
    state = engine.new_state(SETTINGS)
    engine.apply(state, to_batch([Mark(*AT, START, 1.0)]))
    assert not engine.apply(state, to_batch([Mark(*AT, START + MINUTE + 1_999, 2.0)]))
    closed = engine.apply(state, to_batch([Mark(*AT, START + MINUTE + 2_000, 3.0)]))
    (row,) = closed[-1].frame.iter_rows(named=True)
    # The mark of 2 USD belongs to the next minute, which waits for this one.
    assert (row["window_start"], row["mark_close"], row["mark_high"], row["revision"]) == (START, 1.0, 1.0, 3)
    (row,) = engine.snapshot(state)[-1].frame.iter_rows(named=True)
    assert (row["mark_open"], row["mark_close"], row["revision"]) == (2.0, 3.0, 3)


def test_markets_close_spread_over_the_seconds_after_a_minute_those_of_one_symbol_together() -> None:
    state = engine.new_state(EngineSettings(lateness_ms=2_000, closing_spread_ms=8_000))
    symbols = [f"COIN{number}" for number in range(40)]
    closed_at: dict[tuple[Venue, str], int] = {}
    for passed in range(0, MINUTE + 11_000, 1_000):
        for venue in (Venue.BYBIT, Venue.OKX):
            for batch in engine.apply(
                state, to_batch([Mark(venue, name, name, START + passed, 1.0) for name in symbols])
            ):
                if batch.kind is Kind.MARKET_MINUTES:
                    closed_at |= dict.fromkeys(((venue, name) for name in batch.frame["symbol"]), passed - MINUTE)
    assert set(closed_at.values()) == set(range(2_000, 10_000, 1_000))
    assert all(closed_at[Venue.BYBIT, name] == closed_at[Venue.OKX, name] for name in symbols)


def test_silent_minutes_are_carried_on_for_an_hour_and_skipped_beyond() -> None:
    marks = [Mark(*AT, START + passed * MINUTE, 1.0) for passed in (0, 5, 505)]
    starts = ((minutes(*marks)["window_start"] - START) // MINUTE).to_list()
    assert starts == [0, 1, 2, 3, 4, 5]


def test_late_rows_are_counted_and_a_late_mark_does_not_move_the_price() -> None:
    frame = minutes(
        Mark(*AT, START, 1.0),
        Mark(*AT, START + 2 * MINUTE, 1.1),
        Mark(*AT, START, 0.5),
        Trade(*AT, START, 1.0, 3.0, 1),
        Mark(*AT, START + 4 * MINUTE, 1.2),
    )
    # When the late rows come the minute from 1:00 is still open, for the lateness: they count there.
    assert frame["late_rows"].to_list() == [0, 2, 0]
    assert frame["taker_buy_usd"].sum() == 3_000_000
    assert frame["mark_low"].min() == 1.0


def test_markets_of_one_message_close_together_each_with_its_own_symbols_revision() -> None:
    state = engine.new_state(SETTINGS)
    engine.apply(state, to_batch([Mark(*AT, START, 1.0), Mark(*FET, START + 1, 2.0), Mark(*FET, START + 2, 2.5)]))
    late = START + MINUTE + 2_000
    closed = engine.apply(state, to_batch([Mark(*FET, late, 3.0), Mark(*AT, late, 1.5)]))
    (batch,) = [batch for batch in closed if batch.kind is Kind.MARKET_MINUTES]
    rows = {row["symbol"]: (row["instrument"], row["mark_close"], row["revision"]) for row in batch.frame.to_dicts()}
    assert rows == {"VIRTUAL": ("VIRTUALUSDT", 1.0, 2), "FET": ("FETUSDT", 2.5, 3)}


def test_two_venues_of_a_symbol_close_in_the_order_of_the_log() -> None:
    other = (Venue.BYBIT, "VIRTUAL", "VIRTUALUSDT")
    state = engine.new_state(SETTINGS)
    late = START + MINUTE + 2_000
    span = [[Mark(*AT, START, 1.0)], [Mark(*other, START, 2.0)], [Mark(*other, late, 2.0)], [Mark(*AT, late, 1.0)]]
    closed = engine.apply_span(state, [rows_of(to_batch(events)) for events in span])
    found = [
        (batch.venue, row["mark_close"], row["revision"])
        for batch in closed
        if batch.kind is Kind.MARKET_MINUTES
        for row in batch.frame.iter_rows(named=True)
    ]
    assert sorted(found) == [("binance", 1.0, 4), ("bybit", 2.0, 3)]


def seen(state: PartitionState) -> dict[str, bytes]:
    return {symbol: engine.dump(state, symbol) for symbol in state.symbol_numbers}


def test_what_is_refused_changes_nothing() -> None:
    state = engine.new_state(SETTINGS)
    engine.apply(state, to_batch([Mark(*AT, START, 1.0), Mark(*FET, START, 1.0)]))
    engine.apply(state, to_batch([Position(*AT, START, "0xa", 1, 5.0, leverage=5.0, liquidation_price=0.8)]))
    engine.apply(state, to_batch([Liquidation(*AT, START + 1, 1, 0.9, 5.0)]))
    before = seen(state)
    late = START + MINUTE + 2_000
    closes = [rows_of(to_batch([Mark(*AT, late, 0.7)])), rows_of(to_batch([OpenInterest(*AT, late, 1e5)]))]
    huge = rows_of(to_batch([Trade(*FET, START, 1e8, 1e8, 1)]))
    many = rows_of(to_batch([Trade(*FET, START, 1e6, 9e4, 1)] * 60))
    output = replace(rows_of(to_batch([Mark(*FET, START, 1.0)])), kind=Kind.ALERTS)
    for poison, reason in (
        (huge, "at most 1e\\+11 USD"),
        (many, "more than any market trades"),
        (output, "Expected position events"),
    ):
        with pytest.raises(PoisonMessage, match=reason):
            engine.apply_span(state, [*closes, poison])
        assert seen(state) == before

    def fails(_: object) -> list[Batch]:
        raise ZeroDivisionError("signals")

    with pytest.raises(PoisonMessage, match="ZeroDivisionError: signals"):
        engine.apply_span(state, closes, fails)
    assert seen(state) == before
    assert engine.apply_span(state, closes)


def test_a_checkpoint_of_another_build_or_grid_is_refused_with_a_sentence() -> None:
    state = engine.new_state(SETTINGS)
    engine.apply(state, to_batch([Mark(*AT, START, 1.0)]))
    data = engine.dump(state, "VIRTUAL")
    with pytest.raises(FatalError, match="has version 99, this build reads"):
        engine.load(engine.new_state(SETTINGS), b"\x63" + data[1:])
    older = unpack(data, SavedSymbol)
    older.model_version -= 1
    with pytest.raises(FatalError, match=f"has model {MODEL_VERSION - 1}, this build has {MODEL_VERSION}"):
        engine.load(engine.new_state(SETTINGS), pack(older))
    for part, less in (("table", 4), ("slots", 4), ("slots", SLOT.itemsize)):
        cut = unpack(data, SavedSymbol)
        setattr(cut.markets[0], part, getattr(cut.markets[0], part)[:-less])
        with pytest.raises(FatalError, match="checkpoint of VIRTUAL is damaged"):
            engine.load(engine.new_state(SETTINGS), pack(cut))
    with pytest.raises(FatalError, match="damaged"):
        engine.load(engine.new_state(SETTINGS), data[:-4])
    with pytest.raises(FatalError, match="LIQHEAT_ENGINE__GRID_FACTOR"):
        engine.load(engine.new_state(EngineSettings(grid_factor=20)), data)
    with pytest.raises(FatalError, match="has version 4, this build reads"):
        engine.load(engine.new_state(SETTINGS), b"\x04\x28\xb5\x2f\xfd")


def test_an_observed_position_stands_at_the_venues_price_until_it_ends() -> None:
    state = engine.new_state(SETTINGS)

    def hold(quantity: float) -> pl.DataFrame:
        row = Position(*AT, START, "0xa", 1, quantity, leverage=5.0, liquidation_price=0.8)
        engine.apply(state, to_batch([row]))
        return next((b.frame for b in engine.snapshot(state) if b.kind is Kind.HEATMAP_LEVELS), pl.DataFrame())

    engine.apply(state, to_batch([Mark(*AT, START, 1.0)]))
    engine.apply(state, to_batch([OpenInterest(*AT, START, 1_000.0)]))
    (row,) = hold(100.0).iter_rows(named=True)
    assert (row["basis"], row["at_risk_usd"], row["leverage_band"]) == ("observed", [80_000_000], "5-10x")
    (row,) = hold(0.0).iter_rows(named=True)
    assert (row["at_risk_usd"], row["opened_usd"], row["closed_usd"]) == ([0], [80_000_000], [80_000_000])


def test_marks_that_came_ahead_of_their_minute_sweep_what_is_observed_once_it_opens() -> None:
    state = engine.new_state(SETTINGS)
    engine.apply(state, to_batch([Mark(*AT, START, 1.0)]))
    engine.apply(state, to_batch([Position(*AT, START, "0xa", 1, 100.0, leverage=5.0, liquidation_price=0.8)]))
    engine.apply(state, to_batch([Mark(*AT, START + MINUTE + 500, 0.7)]))
    closed = engine.apply(state, to_batch([Mark(*AT, START + 2 * MINUTE + 2_000, 0.9)]))
    rows = [row for b in closed if b.kind is Kind.HEATMAP_LEVELS for row in b.frame.iter_rows(named=True)]
    found = [(row["window_start"], row["at_risk_usd"], row["swept_usd"]) for row in rows if row["basis"] == "observed"]
    assert found == [(START, [80_000_000], [0]), (START + MINUTE, [0], [80_000_000])]


def test_an_open_minute_is_published_once_a_change_and_its_levels_when_price_reaches_some() -> None:
    state = engine.new_state(SETTINGS)
    engine.apply(state, to_batch([Mark(*AT, START, 1.0)]))
    engine.apply(state, to_batch([OpenInterest(*AT, START, 1e6)]))
    for minute in range(12):
        begin = START + minute * MINUTE
        trades = [Trade(*AT, begin + second * 1_000, 1.0, 10_000.0, 1 - second % 2 * 2) for second in range(50)]
        engine.apply(state, to_batch(trades))
        engine.apply(state, to_batch([OpenInterest(*AT, begin + 50_000, 1e6 * (1 + minute / 10))]))
        engine.apply(state, to_batch([Mark(*AT, begin + 55_000, 1.0)]))
    engine.snapshot(state)
    assert engine.snapshot(state) == []
    begin = START + 12 * MINUTE + 10_000
    engine.apply(state, to_batch([Mark(*AT, begin, 1.0)]))
    assert [batch.kind for batch in engine.snapshot(state)] == [Kind.MARKET_MINUTES]
    engine.apply(state, to_batch([Mark(*AT, begin + 1, 0.9)]))
    levels, market = engine.snapshot(state)
    assert (levels.kind, market.kind) == (Kind.HEATMAP_LEVELS, Kind.MARKET_MINUTES)
    assert sum(sum(row) for row in levels.frame.filter(pl.col("side") == 1)["swept_usd"]) > 0
    total = sum(sum(row) for row in levels.frame.filter(pl.col("side") == 1)["at_risk_usd"])
    assert total == pytest.approx(market.frame["at_risk_long_usd"][0], rel=0.01)


def test_what_comes_at_the_beginning_of_a_minute_is_published_before_the_minute_before_has_closed() -> None:
    state = engine.new_state(SETTINGS)
    engine.apply(state, to_batch([Mark(*AT, START + 50_000, 1.0, 0.99)]))
    engine.apply(state, to_batch([OpenInterest(*AT, START + 55_000, 1e6)]))
    engine.apply(state, to_batch([Trade(*AT, START + MINUTE + 200, 1.1, 5.0, 1)]))
    engine.apply(state, to_batch([Mark(*AT, START + MINUTE + 300, 1.2)]))
    # The log has a trade of the minute before yet, which is late but in time.
    engine.apply(state, to_batch([Trade(*AT, START + 59_000, 1.0, 3.0, 1)]))

    (rows,) = engine.snapshot(state)
    before, ahead = rows.frame.iter_rows(named=True)
    assert (before["window_start"], before["mark_close"], before["taker_buy_usd"]) == (START, 1.0, 3_000_000)
    assert (ahead["window_start"], ahead["mark_close"], ahead["taker_buy_usd"]) == (START + MINUTE, 1.2, 5_500_000)
    # What nothing new came of is as it was left.
    assert (ahead["mark_open"], ahead["index_price"], ahead["open_interest_usd"]) == (1.2, 0.99, 1.2e6)

    *_, closed = engine.apply(state, to_batch([Mark(*AT, START + MINUTE + 2_000, 1.2)]))
    assert closed.frame["window_start"].to_list() == [START]
    (opened,) = engine.snapshot(state)[-1].frame.iter_rows(named=True)
    assert opened["revision"] > ahead["revision"]
    different = {name for name in opened if opened[name] != ahead[name] and ahead[name] == ahead[name]}
    assert different <= {"revision", "at_risk_long_usd", "at_risk_short_usd", "expected_long_usd", "expected_short_usd"}
