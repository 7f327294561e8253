"""`liqheat score --worlds`: the committed seeds are scored, every method is in the table, and JSON says the same."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from liqheat.cli.judging import ORACLE, OURS
from liqheat.cli.main import app, load_commands
from liqheat.cli.score_worlds import score_worlds
from liqheat.cli.world_run import JudgedWorld, WorldRun
from liqheat.scoring.baselines import BASELINES
from liqheat.simulator.world import plan


def shortly(runs: list[Any], work: Callable[[Any], JudgedWorld]) -> list[JudgedWorld]:
    """Run each world for three hours in coarse steps, of which the last two are judged."""
    return [work(replace(run, hours=3, burn_in=1, step_ms=60_000)) for run in runs]


def test_a_world_is_judged_by_every_method_beside_the_oracle(capsys: pytest.CaptureFixture[str]) -> None:
    score_worlds(1, held_out=False, as_json=True, console=Console(file=io.StringIO()), run_all=shortly)
    said = json.loads(capsys.readouterr().out)
    assert said["seeds"] == "development"
    (world,) = said["worlds"]
    assert world["seed"] == plan()["seeds"]["development"][0]
    assert set(world["methods"]) == {OURS, ORACLE, *BASELINES}
    oracle = world["methods"][ORACLE]
    assert oracle["overlap_of_oracle"] == 1.0
    assert oracle["overlap"] > max(world["methods"][name]["overlap"] for name in BASELINES)
    assert said["methods"][ORACLE]["overlap"]["median"] == oracle["overlap"]


def test_the_table_shows_median_and_worst_tenth() -> None:
    def made(runs: list[WorldRun], work: object) -> list[JudgedWorld]:
        figures = {"overlap": 0.25, "top5_hit_rate": 0.5, "notional_ratio": 1.5, "calibration": None, "emd_pct": 1.0}
        return [JudgedWorld(run.seed, "somewhere", {OURS: dict(figures), ORACLE: dict(figures)}) for run in runs]

    page = io.StringIO()
    console = Console(file=page, width=160)
    score_worlds(2, held_out=True, as_json=False, console=console, run_all=made)
    assert "2 worlds (held out), median (worst tenth)" in page.getvalue()
    assert "0.25 (0.25)" in page.getvalue()
    assert ORACLE in page.getvalue()


def test_seeds_kept_apart_are_only_there_for_worlds() -> None:
    load_commands()
    result = CliRunner().invoke(app, ["score", "--held-out"])
    assert result.exit_code != 0
    assert "--worlds" in str(result.exception) + result.output
