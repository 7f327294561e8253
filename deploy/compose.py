"""The lists of settings that docker-compose.yml hands on from `.env`, written from the settings themselves.

    python -m deploy.compose            writes the lists again
    python -m deploy.compose --check    exit status 1 where they are not what it would write

A variable without a value is handed on where `.env` has it. Secrets are not: they are files.
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, SecretStr

from liqheat.domain.market import Venue
from liqheat.platform.settings import Settings

FILE = Path(__file__).parents[1] / "docker-compose.yml"
LISTS: Mapping[str, Sequence[str]] = {
    "ingest-settings": ("ingest", *(venue.value for venue in Venue)),
    "worker-settings": ("engine", "signals"),
    "sink-settings": ("sink", "study"),
}
"""By name of the list, the sections of the settings that are in it."""


def variables(section: str) -> Iterator[str]:
    """Yield the environment variable of every setting of a section that is no secret, in order."""
    model = Settings.model_fields[section].annotation
    assert isinstance(model, type) and issubclass(model, BaseModel)  # noqa: S101, PT018 - so that mypy knows
    for name, field in model.model_fields.items():
        if SecretStr not in (field.annotation, *getattr(field.annotation, "__args__", ())):
            yield f"LIQHEAT_{section.upper()}__{name.upper()}"


def with_lists(text: str) -> str:
    """Return the compose file with each list as the settings have it; those of `x-settings` are not repeated."""
    common = text[text.index("x-settings:") : text.index("x-ingest-settings:")]
    for name, sections in LISTS.items():
        names = [each for section in sections for each in variables(section) if f"  {each}:" not in common]
        head = f"x-{name}: &{name}\n"
        before, found, after = text.partition(head)
        if not found:
            raise ValueError(f"Expected the list {head.strip()} in {FILE.name}, found none")
        rest = re.sub(r"\A(?:  \w+:\n)*", "", after)
        text = before + head + "".join(f"  {each}:\n" for each in names) + rest
    return text


def main() -> None:
    """Run from the command line."""
    before = FILE.read_text(encoding="utf-8")
    after = with_lists(before)
    if "--check" in sys.argv[1:]:
        raise SystemExit(f"{FILE.name} lacks settings; run `make documents`" if after != before else None)
    FILE.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
