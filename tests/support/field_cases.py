"""The field cases: what venues really sent, by public reports, and the right answer; see docs/field-cases.md."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.event_json import event_line
from ingest.sanity import read_frame
from ingest.venues.interface import Mapper, Request

FOLDER = Path(__file__).parents[1] / "data" / "field"
RECEIVED_AT = 1_795_000_000_000
"""18 November 2026, after every frame of the cases."""
CONTRACT_VALUES = {"WLD-USDT-SWAP": 1.0, "FET-USDT-SWAP": 1.0}


@dataclass(frozen=True, slots=True)
class Case:
    """One row of cases.json: how it enters (`frames`, `listing`, `answer`, `elsewhere`) and what is right."""

    id: str
    kind: int
    venue: str
    entry: str
    input: str
    right: str
    source: str
    wanted: dict[str, Any]

    @property
    def path(self) -> Path:
        """The file of its input."""
        return FOLDER / self.input

    def __str__(self) -> str:
        return f"{self.id}-{self.venue}"


def cases(*entries: str) -> list[Case]:
    """Return the cases that enter by one of `entries`, or all of them."""
    names = ("id", "kind", "venue", "entry", "input", "right", "source")
    rows = json.loads((FOLDER / "cases.json").read_text(encoding="utf-8"))
    found = [Case(**{name: row.pop(name) for name in names}, wanted=row) for row in rows]
    return [case for case in found if not entries or case.entry in entries]


def played(mapper: Mapper, lines: list[bytes]) -> tuple[list[list[Any]], list[str]]:
    """Map frames; return `[line, fields]` of each event, and each problem and hole as `line: sentence`."""
    events: list[list[Any]] = []
    problems: list[str] = []
    for number, line in enumerate(lines, start=1):
        reading = read_frame(mapper, line.strip(), RECEIVED_AT)
        for event in reading.events:
            fields = json.loads(event_line(event))
            del fields["venue"]
            events.append([number, fields])
        problems += [f"{number}: {problem}" for problem in reading.problems()]
        problems += [f"{number}: {gap}" for gap in reading.gaps]
    return events, problems


class CannedVenue:
    """A REST client that answers by the path, from a file of `{path: [{status, body}]}`; the last answer repeats."""

    def __init__(self, answers: dict[str, list[dict[str, Any]]]) -> None:
        self._answers = {path: list(found) for path, found in answers.items()}
        self.asked: list[str] = []

    async def fetch(self, request: Request, attempts: int = 5) -> bytes:
        """Return the next body of the request's path."""
        path = next(path for path in self._answers if request.url.endswith(path))
        self.asked.append(path)
        found = self._answers[path]
        answer = found.pop(0) if len(found) > 1 else found[0]
        return json.dumps(answer["body"]).encode()
