"""A study as rows: every figure of it once, with its words, and nothing made up where there were no cases."""

import math
from datetime import UTC, datetime

import pytest

from liqheat.domain.instruments import ALL_SYMBOLS
from liqheat.scoring.study import Pool, study
from liqheat.scoring.study_rows import rows_of_study
from liqheat.scoring.study_words import in_words
from tests.support.study_series import series

HOUR_MS = 3_600_000


def test_every_figure_is_in_one_row_and_every_sentence_beside_its_stage() -> None:
    found = study([series(1, days=20, pull=0.2, liquidated_usd=1e6)], 5.0, 1.0)
    rows = list(rows_of_study(found, "TAO", 0, 20 * 24 * HOUR_MS))
    assert len(rows) == 3 * 3 * 4
    plain = found.figures()["stages"]
    for row in rows:
        stage = plain[row["stage"]]
        outcome = stage["outcomes"][row["measure"]][str(row["horizon_minutes"])]
        assert (row["cases"], row["blocks"], row["is_enough"]) == (stage["cases"], stage["blocks"], stage["is_enough"])
        for name, column in {"case": "case_mean", "low": "difference_low", "high": "difference_high"}.items():
            assert row[column] == outcome[name]
        assert row["difference"] == pytest.approx(row["case_mean"] - row["control_mean"])
        assert row["end_time"] == datetime(1970, 1, 21, tzinfo=UTC)
    words = dict.fromkeys(row["words"] for row in rows)
    assert " ".join(words) == " ".join(in_words(found))


def test_without_cases_the_figures_are_unknown_and_the_words_say_so() -> None:
    (row, *_) = rows_of_study(Pool(5.0, 1.0).result(), ALL_SYMBOLS, 0, HOUR_MS)
    assert (row["cases"], row["is_enough"], row["verdict"]) == (0, False, "too few cases")
    assert math.isnan(row["difference"])
    assert row["words"].startswith("Too few cases to say whether clusters attract price: 0 of the 30 needed.")


def test_a_pool_says_of_each_history_alone_and_of_all_together_what_a_study_says() -> None:
    histories = [series(seed, days=12, pull=0.1) for seed in (1, 2)]
    pool = Pool(5.0, 1.0)
    for history in histories:
        assert pool.add(history).result().figures() == study([history], 5.0, 1.0).figures()
    assert pool.result().figures() == study(histories, 5.0, 1.0).figures()
