"""Every field case gives its right answer, and none is without a test: tests/data/field, docs/field-cases.md."""

import ast
import json
from pathlib import Path

import pytest

from ingest.universe import choose
from ingest.venues.answers import trouble_of
from ingest.venues.registry import feed_for, mapper_for
from liqheat.domain.market import Venue
from liqheat.platform.settings import Settings
from tests.support.field_cases import CONTRACT_VALUES, FOLDER, RECEIVED_AT, CannedVenue, Case, cases, played

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("case", cases("frames"), ids=str)
def test_what_a_venue_sent_is_read_as_far_as_it_can_be(case: Case) -> None:
    mapper = mapper_for(Venue(case.venue), contract_values=CONTRACT_VALUES | case.wanted.get("contract_values", {}))
    events, problems = played(mapper, case.path.read_bytes().splitlines())
    assert events == case.wanted["events"], case.right
    assert problems == case.wanted["problems"], case.right
    assert dict(mapper.report.notices) == case.wanted["notices"]
    assert mapper.duplicates == case.wanted["duplicates"]


@pytest.mark.parametrize("case", cases("listing"), ids=str)
async def test_an_odd_row_of_a_listing_costs_no_other(case: Case) -> None:
    venue, wanted = Venue(case.venue), case.wanted
    feed = feed_for(venue, Settings())
    given = json.loads(case.path.read_bytes())
    rest = CannedVenue({"/fapi/v1/exchangeInfo": [{"body": given}]} if "symbols" in given else given)
    listings = await feed.listings(rest, RECEIVED_AT)
    assert [contract.instrument for contract in listings.contracts] == wanted["listed"]
    refused = {refusal.instrument: refusal.reason for refusal in listings.refused}
    assert set(refused) == set(wanted.get("refused", {})), refused
    assert all(refusal.row for refusal in listings.refused), "a dead letter needs the row"
    for name, reason in wanted.get("refused", {}).items():
        assert reason in refused[name]
    for asked, name in wanted.get("asked", {}).items():
        assert [item.name for item in choose(venue, listings, (asked,)).instruments] == [name], asked
    for symbol, reason in wanted.get("missing", {}).items():
        assert choose(venue, listings, (symbol,)).reasons[symbol].startswith(reason)
    if "tiers" in wanted:
        universe = choose(venue, listings, ("all",))
        assert sorted(await feed.margin_tiers(universe.instruments, rest)) == wanted["tiers"]


@pytest.mark.parametrize("case", cases("answer"), ids=str)
def test_an_answer_is_well_busy_a_ban_or_refused(case: Case) -> None:
    given = json.loads(case.path.read_bytes())
    if "*" in given:
        given = given["*"][0]
    body = given["body"] if isinstance(given["body"], str) else json.dumps(given["body"])
    now = given.get("now_ms", RECEIVED_AT)
    trouble = trouble_of(Venue(case.venue), given["status"], given.get("headers", {}), body.encode(), now)
    if case.wanted.get("well"):
        assert trouble is None
        return
    assert trouble is not None, case.right
    assert trouble.is_final is case.wanted.get("final", False)
    least, most = case.wanted.get("pause", (0, 0))
    assert least <= trouble.pause <= most, case.right
    assert case.wanted.get("says", "") in trouble.reason


@pytest.mark.parametrize("case", cases("elsewhere"), ids=str)
def test_a_case_that_needs_more_has_its_own_test(case: Case) -> None:
    path, _, name = case.wanted["test"].partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    tests = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert name in tests


def test_every_input_belongs_to_a_case_and_every_case_to_the_page() -> None:
    page = (ROOT / "docs" / "field-cases.md").read_text(encoding="utf-8")
    for case in cases():
        assert case.path.exists()
        assert f"| {case.id} |" in page, f"{case.id} is not in docs/field-cases.md"
    assert {path.name for path in FOLDER.iterdir()} - {"cases.json"} == {case.input for case in cases()}
