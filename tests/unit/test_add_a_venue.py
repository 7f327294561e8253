"""A venue costs what docs/add-a-venue.md says: the files that name the latest one are those and no others."""

import re
from pathlib import Path

import pytest

from ingest.venues.base import BaseFeed
from ingest.venues.base_mapper import BaseMapper
from ingest.venues.registry import feed_for, mapper_for
from liqheat.domain.market import Venue
from liqheat.platform.settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "add-a-venue.md").read_text(encoding="utf-8")
NEW = {
    *(f"ingest/venues/dydx/{name}.py" for name in ("__init__", "messages", "reference", "mapper", "feed")),
    *(f"liqheat/simulator/wire/{name}.py" for name in ("dydx", "dydx_rest")),
    "tests/playback/test_dydx.py",
}
EDITED = {"liqheat/domain/market.py", "liqheat/domain/venues.py", "docker-compose.yml"}
ITS_FORMULA = {"liqheat/domain/liquidation_models.py", "tests/unit/liqheat/domain/test_liquidation_models.py"}
"""Was there before the venue."""
SEARCHED = ("ingest", "liqheat", "processors", "sinks", "deploy/grafana/src", "deploy/grafana/queries", "tests")


def test_no_other_file_names_the_latest_venue() -> None:
    paths = [path for folder in SEARCHED for path in (ROOT / folder).rglob("*") if "node_modules" not in path.parts]
    paths = [path for path in paths if path.suffix in {".py", ".sql", ".js", ".html", ".css"}]
    paths.append(ROOT / "docker-compose.yml")
    naming = {path.relative_to(ROOT).as_posix() for path in paths if "dydx" in path.read_text(encoding="utf-8").lower()}
    assert naming - {"tests/unit/test_add_a_venue.py"} == NEW | EDITED | ITS_FORMULA


def test_the_page_gives_the_counts() -> None:
    assert re.search(r"New files \((\d+)\)", PAGE)[1] == str(len(NEW))  # type: ignore[index]
    assert re.search(r"Edited files \((\d+)\)", PAGE)[1] == str(len(EDITED))  # type: ignore[index]
    assert len(NEW) <= 8
    assert len(EDITED) <= 3
    assert all(path.rpartition("/")[2] in PAGE for path in NEW | EDITED)


@pytest.mark.parametrize("venue", Venue)
def test_every_venue_is_found_by_its_name_and_extends_the_bases(venue: Venue) -> None:
    mapper, feed = mapper_for(venue), feed_for(venue, Settings())
    assert isinstance(mapper, BaseMapper)
    assert isinstance(feed, BaseFeed)
    assert mapper.venue is feed.venue is venue
