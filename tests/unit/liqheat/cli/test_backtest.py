"""`liqheat backtest`: files in, no look ahead, measures against plain ones, and the command from end to end."""

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from liqheat.cli.bar_files import read_csv
from liqheat.cli.main import app, load_commands
from liqheat.cli.minute_bars import read_events_file
from liqheat.cli.walk_forward import OURS, InferredBars, Walk, walk
from liqheat.platform.errors import ConfigurationError
from liqheat.scoring.amounts import (
    Cases,
    block_length,
    drawn,
    measures,
    paired,
    partial_spearman,
    ranks,
    ratio_by_move,
    resampled,
)
from liqheat.scoring.bar_rivals import rivals
from liqheat.scoring.bars import Bars, Executed, hours_of
from liqheat.scoring.places import CELL, CELLS, distances, kernel, place_cases, place_scores

HOUR = 3_600_000
FIVE = 300_000
START = 1_767_225_600_000


def some_history(hours: int = 60, seed: int = 1) -> tuple[Bars, Executed]:
    """Return five-minute bars of a walk and liquidations by the hour, larger where price moved."""
    generator = np.random.default_rng(seed)
    count = hours * 12
    close = 100 * np.exp(np.cumsum(0.002 * generator.standard_normal(count)))
    opened = np.r_[100.0, close[:-1]]
    high = np.maximum(opened, close) * (1 + 0.0005 * generator.random(count))
    low = np.minimum(opened, close) * (1 - 0.0005 * generator.random(count))
    flow = 1e6 * generator.random((2, count))
    interest = 1e6 * np.exp(np.cumsum(0.001 * generator.standard_normal(count)))
    bars = Bars(START + FIVE * np.arange(count), FIVE, opened, high, low, close, flow[0], flow[1], interest)
    falls = np.maximum(opened - close, 0).reshape(hours, 12).sum(axis=1)
    rises = np.maximum(close - opened, 0).reshape(hours, 12).sum(axis=1)
    start = START + HOUR * np.arange(hours)
    usd = 1e5 * np.stack([falls, rises], axis=1)
    return bars, Executed(start, start + HOUR, usd, int(start[0]), int(start[-1]) + HOUR)


def walked(bars: Bars, executed: Executed) -> Walk:
    hours = hours_of(bars, executed)
    ours = InferredBars("combined", "X", is_sampled=False)
    return walk(bars, executed, hours, np.ones(len(hours.start), dtype=np.bool_), ours, lambda done: None)


def test_no_method_sees_what_comes_later() -> None:
    bars, executed = some_history()
    whole = walked(bars, executed)
    hours = 40
    shocked, _ = some_history()
    for column in (shocked.close, shocked.high, shocked.open, shocked.low, shocked.buy_usd, shocked.interest):
        column[hours * 12 :] *= 1.5
    later = Executed(executed.start, executed.end, executed.usd.copy(), executed.known_from, executed.known_until)
    later.usd[hours:] *= 100
    changed = walked(shocked, later)
    for name in whole.streamed:
        # Rivals' arrays are as long as prices go far, and a sum's last digit with them.
        exact = 0 if name == OURS else 1e-12
        np.testing.assert_allclose(whole.streamed[name][:hours], changed.streamed[name][:hours], exact, err_msg=name)
        np.testing.assert_allclose(whole.frozen[name][:hours], changed.frozen[name][:hours], exact, err_msg=name)
        np.testing.assert_array_equal(whole.maps[name][: hours + 1], changed.maps[name][: hours + 1], err_msg=name)
    assert not np.array_equal(whole.streamed[OURS][hours:], changed.streamed[OURS][hours:])
    assert whole.streamed[OURS][1:].sum() > 0


def test_a_liquidation_is_known_at_the_end_of_its_interval_and_none_before_recording_began() -> None:
    bars, executed = some_history(hours=4)
    late = Executed(executed.start, executed.end, executed.usd, START + 2 * HOUR, executed.known_until)
    shown, known = late.by_bar(bars)
    assert not known[:24].any()
    assert known[24:].all()
    assert not shown[:24].any()
    np.testing.assert_array_equal(np.flatnonzero(shown.any(axis=1)), [35, 47])
    np.testing.assert_array_equal(shown[35], executed.usd[2])
    hours = hours_of(bars, late)
    np.testing.assert_array_equal(hours.is_known, [False, False, True, True])
    np.testing.assert_array_equal(hours.executed[:2], 0)
    assert hours.move[0, 0] == pytest.approx(100 * (bars.open[0] - bars.low[:12].min()) / bars.open[0])


def test_amounts_agree_with_plain_definitions() -> None:
    generator = np.random.default_rng(4)
    predicted, executed, move = np.round(generator.random((3, 40)), 1) * 1e6
    rank = [
        sum(other < one for other in predicted) + (sum(other == one for other in predicted) - 1) / 2
        for one in predicted
    ]
    np.testing.assert_allclose(ranks(predicted), rank)
    found = measures(Cases(predicted, executed, move, np.zeros(40, dtype=np.int64)))
    assert found["pearson"] == pytest.approx(np.corrcoef(predicted, executed)[0, 1])
    r_pe, r_pm, r_em = (
        np.corrcoef(ranks(one), ranks(other))[0, 1]
        for one, other in ((predicted, executed), (predicted, move), (executed, move))
    )
    assert found["spearman"] == pytest.approx(r_pe)
    textbook = (r_pe - r_pm * r_em) / math.sqrt((1 - r_pm**2) * (1 - r_em**2))
    assert found["partial"] == pytest.approx(textbook)
    assert partial_spearman(predicted, executed, np.ones(40)) == pytest.approx(r_pe)
    errors = [abs(math.log10(p + 1e4) - math.log10(e + 1e4)) for p, e in zip(predicted, executed, strict=True)]
    assert found["mae_log"] == pytest.approx(sum(errors) / 40)
    assert found["ratio"] == pytest.approx(predicted.sum() / executed.sum())


def test_ratio_by_move_parts_the_cases_and_a_method_does_not_beat_itself() -> None:
    cases = Cases(np.array([1.0, 4, 9]), np.array([2.0, 2, 3]), np.array([0.05, 0.3, 0.3]), np.array([1, 2, 3]))
    assert ratio_by_move(cases) == {"0-0.1": 0.5, "0.25-0.5": pytest.approx(13 / 5)}
    draws = resampled(cases.block, 20)
    assert all(len(places) == 3 for places in draws)
    for low, high in paired(drawn(cases, draws), drawn(cases, draws)).values():
        assert (low, high) == (0.0, 0.0) or math.isnan(low)


def test_short_histories_are_drawn_again_in_days_or_hours() -> None:
    assert block_length(START + HOUR * np.arange(24 * 60)) == 7 * 24 * HOUR
    assert block_length(START + HOUR * np.arange(24 * 10)) == 24 * HOUR
    assert block_length(START + HOUR * np.arange(24)) == 4 * HOUR


def test_place_rewards_a_map_that_knows_and_gives_uniform_nothing() -> None:
    count = 12
    start = START + FIVE * np.arange(count)
    low = 100 * np.exp(-0.0100 * np.arange(1, count + 1))
    flat = np.full(count, 100.0)
    bars = Bars(start, FIVE, flat, flat, low, low, flat, flat, flat)
    usd = np.zeros((count, 2))
    usd[6:9, 0] = 1e6
    executed = Executed(start, start + FIVE, usd, START, START + HOUR)
    cases = place_cases(bars, executed, np.array([0]), 1)
    assert cases.side.tolist() == [0]
    assert cases.reached.tolist() == pytest.approx([120])
    np.testing.assert_allclose(cases.executed[0][60:90], 1e5)
    assert cases.executed[0].sum() == pytest.approx(3e6)
    knows = np.zeros((1, 2, CELLS))
    knows[0, 0, 60:90] = 1
    nats, area, weight = place_scores(cases, knows)
    assert nats[0] == pytest.approx(math.log(0.9 * 4 + 0.1))
    assert area[0] == pytest.approx(0.875)
    assert weight[0] == pytest.approx(math.sqrt(3e6))
    nats, area, _ = place_scores(cases, np.ones((1, 2, CELLS)))
    assert (nats[0], area[0]) == (pytest.approx(0), pytest.approx(0.5))
    nats, area, _ = place_scores(cases, np.broadcast_to(kernel(), (1, 2, CELLS)))
    assert nats[0] > 0
    assert area[0] > 0.5
    assert place_cases(bars, executed, np.array([0]), 2).hour.size == 0


def test_every_rival_opens_longs_below_and_shorts_above_and_is_emptied_where_price_went() -> None:
    bars, executed = some_history(hours=30)
    shown, _ = executed.by_bar(bars)
    methods = rivals(float(bars.low.min()), float(bars.high.max()))
    for place in range(len(bars)):
        for method in methods.values():
            method.close(bars.at(place, (float(shown[place, 0]), float(shown[place, 1]))))
    last = float(bars.close[-1])
    for name, method in methods.items():
        near, far = method.expect(last * 0.99, last), method.expect(last * 0.9, last * 1.1)
        assert near[1] == pytest.approx(0, abs=1e-3 * far[1] + 1e-9), name
        assert far[0] > near[0] >= 0, name
        assert far[1] > 0, name
        cells = method.cells()
        assert cells.shape == (2, CELLS), name
        assert (cells >= 0).all(), name
        assert cells.any(), name
    squared = methods["trailing liquidations per squared move"]
    wide, narrow = squared.expect(last * math.exp(-0.02), last)[0], squared.expect(last * math.exp(-0.01), last)[0]
    assert wide == pytest.approx(4 * narrow)
    assert distances()[0] == CELL / 2


def write_files(folder: Path, days: int = 12) -> tuple[Path, Path]:
    bars, executed = some_history(hours=24 * days)
    volume = (bars.buy_usd + bars.sell_usd) / bars.close
    lines = ["Open time, OPEN,high,low,close,volume_btc,open_interest_btc"]
    columns = zip(bars.start, bars.open, bars.high, bars.low, bars.close, volume, bars.interest, strict=True)
    lines += [",".join(str(value) for value in row) for row in columns]
    first = folder / "bars.csv.gz"
    first.write_bytes(gzip.compress("\n".join(lines).encode()))
    lines = ["t_start,length_ms,long_liquidated_usd,short_liquidated_usd"]
    lines += [
        f"{start},{HOUR},{longs},{shorts}" for start, (longs, shorts) in zip(executed.start, executed.usd, strict=True)
    ]
    second = folder / "liquidations.csv"
    second.write_text("\n".join(lines))
    return first, second


def test_the_command_judges_csv_files_and_draws_its_page(tmp_path: Path) -> None:
    load_commands()
    bars, liquidations = write_files(tmp_path, days=6)
    report = tmp_path / "page.html"
    arguments = ["backtest", "--bars", str(bars), "--liquidations", str(liquidations), "--draws", "5", "--json"]
    result = CliRunner().invoke(app, [*arguments, "--report", str(report)], catch_exceptions=False)
    assert result.exit_code == 0
    figures = json.loads(result.stdout)
    assert figures["market"] == "combined:BARS"
    assert figures["judged_hours"] == 24 * 4
    assert set(figures["streamed"]) == {OURS, *rivals(1.0, 2.0)}
    for part in ("streamed", "frozen"):
        for row in figures[part].values():
            assert set(row) >= {
                "spearman",
                "pearson",
                "partial",
                "mae_log",
                "ratio",
                "ratio_by_move",
                "by_month",
                "interval",
            }
    assert figures["streamed"][OURS]["spearman"] > 0.5
    assert 0.3 < figures["streamed"][OURS]["ratio"] < 3
    assert "expected_usd ** 0.2" in figures["place"]["function"]
    assert figures["place"]["24"]["methods"]["uniform"]["auc"] == pytest.approx(0.5)
    text = report.read_text()
    assert "B1 of the study" in text
    assert text.count("plotly-graph-div") == 4


def test_without_json_and_rivals_a_table_is_printed_and_a_name_in_brackets_as_it_is(tmp_path: Path) -> None:
    load_commands()
    bars, liquidations = write_files(tmp_path, days=3)
    arguments = ["backtest", "--bars", str(bars), "--liquidations", str(liquidations), "--draws", "5", "--no-rivals"]
    result = CliRunner().invoke(app, [*arguments, "--market", "[/b]:[red]BTC"], catch_exceptions=False)
    assert result.exit_code == 0
    assert result.stdout.startswith("[/b]:[red]BTC, judged 48 hours")
    assert "Predicted / executed, streamed" in result.stdout


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        ("time,open,high,low,volume", "expected a column 'close'"),
        ("open,high,low,close,volume", "expected a column of times"),
        ("time,open,high,low,close", "expected a column 'volume'"),
    ],
)
def test_a_missing_column_is_named(tmp_path: Path, header: str, complaint: str) -> None:
    bars, liquidations = write_files(tmp_path)
    bars.write_text(
        f"{header}\n" + "\n".join(",".join([str(time)] * len(header.split(","))) for time in (START, START + FIVE))
    )
    with pytest.raises(ConfigurationError, match=complaint):
        read_csv(bars, liquidations, None)


def test_times_may_be_seconds_or_text_and_an_interval_ends_where_the_next_begins(tmp_path: Path) -> None:
    bars, liquidations = tmp_path / "bars.csv", tmp_path / "liquidations.csv"
    bars.write_text(
        "time,open,high,low,close,quote_volume,taker_buy_quote\n1767225600,1,2,0.5,1,10,4\n1767225900,1,2,0.5,1,20,5\n"
    )
    liquidations.write_text("time,longs,shorts\n2026-01-01T00:00:00,5,6\n2026-01-01T00:30:00,7,8\n")
    history, executed = read_csv(bars, liquidations, None)
    assert history.start.tolist() == [START, START + FIVE]
    assert history.buy_usd.tolist() == [4, 5]
    assert history.sell_usd.tolist() == [6, 15]
    assert np.isnan(history.interest).all()
    assert executed.start.tolist() == [START, START + HOUR // 2]
    assert executed.end.tolist() == [START + HOUR // 2, START + HOUR]
    assert executed.usd.tolist() == [[5, 6], [7, 8]]


def test_events_become_minute_bars_of_the_market_asked_for(tmp_path: Path) -> None:
    def event(kind: str, time: int, symbol: str = "X", **fields: object) -> str:
        return json.dumps({"kind": kind, "venue": "okx", "symbol": symbol, "event_time": START + time, **fields})

    file = tmp_path / "events.jsonl"
    file.write_text(
        "\n".join(
            [
                event("marks", 1_000, mark_price=10.0),
                event("marks", 30_000, mark_price=11.0),
                event("trades", 40_000, price=10.5, quantity=2.0, taker_side="buy"),
                event("open_interest", 50_000, quantity=100.0),
                event("marks", 125_000, mark_price=9.0),
                event("liquidations", 126_000, side="long", price=9.0, quantity=3.0),
                event("marks", 125_000, symbol="Y", mark_price=9.0),
            ]
        )
    )
    with pytest.raises(ConfigurationError, match="okx:X, okx:Y"):
        read_events_file(file, "", None)
    bars, executed, name = read_events_file(file, "okx:X", START + 60_000)
    assert name == "okx:X"
    assert bars.open.tolist() == [10, 11, 11]
    assert bars.high.tolist() == [11, 11, 11]
    assert bars.low.tolist() == [10, 11, 9]
    assert bars.close.tolist() == [11, 11, 9]
    assert bars.buy_usd.tolist() == [21, 0, 0]
    assert bars.interest.tolist() == [100, 100, 100]
    shown, known = executed.by_bar(bars)
    assert shown.tolist() == [[0, 0], [0, 0], [27, 0]]
    assert known.tolist() == [False, True, True]


def test_sources_that_contradict_are_refused() -> None:
    load_commands()
    result = CliRunner().invoke(app, ["backtest"])
    assert isinstance(result.exception, ConfigurationError)
    assert "--bars with --liquidations" in str(result.exception)
