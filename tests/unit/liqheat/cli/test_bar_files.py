"""CSV files of many people's making into bars and liquidations: read in their units, or refused by line and reason."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from liqheat.cli.bar_files import read_csv
from liqheat.cli.times import read_time
from liqheat.platform.errors import ConfigurationError
from liqheat.scoring.bars import Bars, Executed, hours_of

HOUR = 3_600_000
FIVE = 300_000
START = 1_767_225_600_000
PRICE = 0.01
BARS = "time,open,high,low,close,volume"
LIQUIDATIONS = "t_start,length_ms,long_usd,short_usd"


def bar_rows(count: int = 36) -> list[str]:
    return [f"{START + FIVE * one},{PRICE},{PRICE},{PRICE},{PRICE},1000" for one in range(count)]


def liquidation_rows(hours: int = 3) -> list[str]:
    return [f"{START + HOUR * one},{HOUR},5,6" for one in range(hours)]


def read(
    folder: Path,
    bars: list[str] | None = None,
    liquidations: list[str] | None = None,
    header: str = BARS,
    liquidation_header: str = LIQUIDATIONS,
    known_from: int | None = None,
) -> tuple[Bars, Executed]:
    first, second = folder / "bars.csv", folder / "liquidations.csv"
    first.write_text("\n".join([header, *(bars if bars is not None else bar_rows())]))
    rows = liquidations if liquidations is not None else liquidation_rows()
    second.write_text("\n".join([liquidation_header, *rows]))
    return read_csv(first, second, known_from)


@pytest.mark.parametrize(
    ("columns", "values"),
    [
        ("volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume", "1000,1,10,9,400,4"),
        ("volume,quote_asset_volume,taker_buy_base_asset_volume,taker_buy_quote_asset_volume", "1000,10,400,4"),
        ("quote_volume,taker_buy_volume", "10,400"),
        ("volume,quoteVolume,takerBuyVolume", "1000,10,400"),
        ("volume,taker_buy_volume", "1000,400"),
        ("volume,taker_buy_usd", "1000,4"),
        ("volume_usd,taker_buy_turnover", "10,4"),
        ("Volume XYZ,Volume USDT,taker_buy_value", "1000,10,4"),
    ],
)
def test_turnover_is_in_usd_whatever_the_columns(tmp_path: Path, columns: str, values: str) -> None:
    rows = [f"{START + FIVE * one},{PRICE},{PRICE},{PRICE},{PRICE},{values}" for one in range(36)]
    bars, _ = read(tmp_path, rows, header=f"open_time,open,high,low,close,{columns}")
    np.testing.assert_allclose(bars.buy_usd, 4)
    np.testing.assert_allclose(bars.sell_usd, 6)


@pytest.mark.parametrize(
    ("columns", "values"),
    [
        ("quote_volume,taker_buy_quote_volume", "10,11"),
        ("volume,taker_buy_volume", "1000,1100"),
        ("volume,taker_buy_usd", "1000,11"),
        ("quote_volume,taker_buy_volume", "10,1100"),
        ("volume,quote_volume,taker_buy_volume", "0,0,5"),
    ],
)
def test_buys_above_the_volume_are_refused(tmp_path: Path, columns: str, values: str) -> None:
    rows = [f"{START + FIVE * one},{PRICE},{PRICE},{PRICE},{PRICE},{values}" for one in range(36)]
    with pytest.raises(ConfigurationError, match="line 2: expected taker buys of at most the volume"):
        read(tmp_path, rows, header=f"open_time,open,high,low,close,{columns}")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("open_interest", 50_000),
        ("open_interest_xyz", 50_000),
        ("sum_open_interest_value", 500),
        ("open_interest_value", 500),
        ("open_interest_usd", 500),
        ("open_interest_quote", 500),
        ("openInterestNotional", 500),
    ],
)
def test_open_interest_is_in_coins_whatever_the_column(tmp_path: Path, column: str, value: int) -> None:
    bars, _ = read(tmp_path, [f"{row},{value}" for row in bar_rows()], header=f"{BARS},{column}")
    np.testing.assert_allclose(bars.interest, 50_000)


def test_a_price_is_taken_from_no_other_column(tmp_path: Path) -> None:
    header = "open_time,open_price,high_price,low_price,close_time,close_price,volume,open_interest"
    rows = [f"{START + FIVE * one},1,3,0.5,{START + FIVE * one + FIVE - 1},2,10,7" for one in range(36)]
    bars, _ = read(tmp_path, rows, header=header)
    assert (bars.open[0], bars.high[0], bars.low[0], bars.close[0], bars.interest[0]) == (1, 3, 0.5, 2, 7)
    with pytest.raises(ConfigurationError, match="expected a column 'open'"):
        read(tmp_path, header="time,open_interest,high,low,close,volume")


@pytest.mark.parametrize("more", ["", ".0", "000", "000000", "000000000"])
def test_times_are_read_by_their_size(tmp_path: Path, more: str) -> None:
    bars, _ = read(tmp_path, [f"{row[:10]}{more}{row[13:]}" for row in bar_rows()])
    assert bars.start[:2].tolist() == [START, START + FIVE]


@pytest.mark.parametrize("text", ["1772150400", "1772150400000", "1772150400000000", "2026-02-27", "2026-02-27T00:00Z"])
def test_times_of_options_are_read_as_those_of_files(text: str) -> None:
    assert read_time(text, "--from") == 1_772_150_400_000


@pytest.mark.parametrize("text", ["99999999999999999999", "9" * 400, "0", "yesterday", "²", "9999-12-31", "-1"])
def test_times_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="Expected --from"):
        read_time(text, "--from")


@pytest.mark.parametrize(
    ("place", "value", "complaint"),
    [
        (0, "", "line 5: expected a time"),
        (0, "12", "line 5: expected a time"),
        (0, str(START), "two bars have the time 2026-01-01T00:00, lines 2 and 5"),
        (0, str(START + 3 * FIVE + 60_000), "line 5: expected bars that start at whole multiples of their 5 minutes"),
        (2, "inf", "line 5: expected a finite number in 'high', was inf"),
        (4, "", "line 5: expected a price above 0 in 'close'"),
        (4, "n/a", "line 5: expected a finite number in 'close', was 'n/a'"),
        (5, "-5", "line 5: expected a number of at least 0 in 'volume'"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_value_that_is_none_is_refused_with_its_line(tmp_path: Path, place: int, value: str, complaint: str) -> None:
    rows = bar_rows()
    fields = rows[3].split(",")
    fields[place] = value
    rows[3] = ",".join(fields)
    with pytest.raises(ConfigurationError, match=complaint):
        read(tmp_path, rows)


def test_a_fraction_may_come_after_many_whole_numbers(tmp_path: Path) -> None:
    rows = [f"{START + 60_000 * one},1,1,1,1,{'1.5' if one == 11_000 else '2'}" for one in range(12_000)]
    assert read(tmp_path, rows)[0].buy_usd[11_000] == 0.75


@pytest.mark.parametrize("minutes", [7, 240])
def test_bars_that_do_not_divide_an_hour_are_refused(tmp_path: Path, minutes: int) -> None:
    rows = [f"{START + minutes * 60_000 * one},1,1,1,1,1" for one in range(9)]
    with pytest.raises(ConfigurationError, match=f"divide an hour .*, was {minutes} minutes"):
        read(tmp_path, rows)


def test_a_gzip_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress("\n".join([BARS, *bar_rows()]).encode())
    (tmp_path / "cut.csv.gz").write_bytes(whole[:-20])
    with pytest.raises(ConfigurationError, match="cut off or damaged"):
        read_csv(tmp_path / "cut.csv.gz", tmp_path / "cut.csv.gz", None)


def test_hours_that_no_row_covers_are_unknown_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = liquidation_rows()
    bars, executed = read(tmp_path, liquidations=[rows[0], rows[2]])
    assert hours_of(bars, executed).is_known.tolist() == [True, False, True]
    assert executed.by_bar(bars)[1].tolist() == [True] * 12 + [False] * 12 + [True] * 12
    assert "holes in the liquidations: 1, 1.0 h in all" in capsys.readouterr().err


def test_without_lengths_a_hole_counts_as_none_and_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{START + HOUR * hour},5,6" for hour in (0, 1, 2, 9, 10)]
    bars, executed = read(tmp_path, bar_rows(12 * 11), rows, liquidation_header="t_start,long_usd,short_usd")
    hours = hours_of(bars, executed)
    assert hours.is_known.all()
    assert hours.executed[:, 0].tolist() == [5, 5, 5, 0, 0, 0, 0, 0, 0, 5, 5]
    assert "from 2026-01-01T03:00 to 2026-01-01T09:00; this counts as no liquidations" in capsys.readouterr().err


def test_liquidations_in_a_hole_of_the_bars_go_nowhere(tmp_path: Path) -> None:
    bars, executed = read(tmp_path, bar_rows(48)[:12] + bar_rows(48)[30:], liquidation_rows(4))
    shown, known = executed.by_bar(bars)
    assert shown[:, 0].sum() == 10
    assert known.tolist() == [True] * 12 + [False] * 6 + [True] * 12
    hours = hours_of(bars, executed)
    assert hours.is_known.tolist() == [True, False, True]
    assert hours.executed[:, 0].tolist() == [5, 0, 5]


def test_the_bar_after_a_hole_and_its_interval_are_unknown(tmp_path: Path) -> None:
    bars, executed = read(tmp_path, bar_rows(48)[:12] + bar_rows(48)[24:], liquidation_rows(4))
    assert hours_of(bars, executed).is_known.tolist() == [True, False, True]
    assert executed.by_bar(bars)[0][:, 0].sum() == 10


@pytest.mark.parametrize(
    ("header", "rows", "complaint"),
    [
        (
            "t_start,long_usd,short_usd",
            [f"{START + 24 * HOUR * day},5,6" for day in range(3)],
            "at most an hour .* 24 h",
        ),
        (LIQUIDATIONS, [f"{START},{2 * HOUR},5,6"], "at most an hour are needed, was 2 h"),
        (LIQUIDATIONS, [f"{START},{HOUR},5,6"] * 2, "more than once, lines 2 and 3"),
        (f"{LIQUIDATIONS},venue", [f"{START},{HOUR},5,6,okx"] * 2, "more than once, lines 2 and 3"),
        (LIQUIDATIONS, [f"{START + HOUR // 2 * one},{HOUR},5,6" for one in range(3)], "would count twice"),
        (LIQUIDATIONS, [f"{START},0,5,6"], "line 2: expected an end after the start"),
        (LIQUIDATIONS, [f"{START},{HOUR},5,-6"], "line 2: expected a number of at least 0 in 'short_usd'"),
        (LIQUIDATIONS, [f"{START},{HOUR},0,0"], "2026-01-01T00:00 to 2026-01-01T01:00, 0 USD in all"),
        (LIQUIDATIONS, [f"{START - 50 * HOUR},{HOUR},5,6"], "from 2025-12-29T22:00 to 2025-12-29T23:00, 11 USD in all"),
        (f"{LIQUIDATIONS},symbol", [f"{START},{HOUR},5,6,A", f"{START + HOUR},{HOUR},5,6,B"], "one market"),
    ],
)
def test_liquidations_that_would_be_misjudged_are_refused(
    tmp_path: Path, header: str, rows: list[str], complaint: str
) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        read(tmp_path, liquidations=rows, liquidation_header=header)


def test_venues_are_added_and_an_hour_that_one_lacks_is_unknown(tmp_path: Path) -> None:
    rows = [f"{row},{venue}" for row in liquidation_rows() for venue in ("okx", "bybit")]
    bars, executed = read(tmp_path, liquidations=rows[:-1], liquidation_header=f"{LIQUIDATIONS},venue")
    hours = hours_of(bars, executed)
    assert hours.executed.tolist() == [[10, 12], [10, 12], [0, 0]]
    assert hours.is_known.tolist() == [True, True, False]


def test_an_empty_amount_is_unknown_and_ends_may_be_the_last_moment(tmp_path: Path) -> None:
    rows = [f"{START},{START + HOUR - 1},5,6", f"{START + HOUR},{START + 2 * HOUR - 1},,6"]
    bars, executed = read(tmp_path, liquidations=rows, liquidation_header="t_start,end,longs,shorts")
    assert hours_of(bars, executed).is_known.tolist() == [True, False, False]


def test_bars_before_the_first_whole_recorded_interval_are_unknown(tmp_path: Path) -> None:
    bars, executed = read(tmp_path, known_from=START + HOUR // 2)
    assert executed.by_bar(bars)[1].tolist() == [False] * 12 + [True] * 24
