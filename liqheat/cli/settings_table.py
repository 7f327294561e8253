"""`liqheat settings`: every setting with its environment variable, type, default and meaning, from the tree itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import typer

from liqheat.cli.output_files import check_output

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

HEADING = """# Every setting

Made by `liqheat settings --write deploy/settings.md` from `liqheat/platform/settings.py`; a test holds it current.
Settings come from the environment, else from `.env`, else from a file in the folder `LIQHEAT_SECRETS_DIRECTORY` that is
named like the variable in lower case. Lists are plain (`VIRTUAL,FET`) or JSON (`["VIRTUAL","FET"]`), objects are JSON,
and words such as venues, symbols and log levels may be in any case. Secrets print as stars.
"""

Row = tuple[str, str, str, str]


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("settings")(settings)


def settings(
    markdown: bool = typer.Option(False, "--markdown", help="Print as the page deploy/settings.md."),
    write: Path = typer.Option(None, help="Write that page to this file instead."),
) -> None:
    """List every setting: variable, type, default, meaning. Values in use are not shown, since some are secrets."""
    check_output(write)
    if write is not None:
        write.write_text(settings_page(), encoding="utf-8")
    elif markdown:
        print(settings_page(), end="")
    else:
        for _, _, rows in sections():
            for variable, kind, default, meaning in rows:
                print(f"{variable}  ({kind}, default {default})  {meaning}".rstrip())


def settings_page() -> str:
    """Return the Markdown page: one table a section."""
    parts = [HEADING]
    for title, about, rows in sections():
        parts += [f"\n## {title}\n\n{about}\n", "\n| variable | type | default | meaning |\n|---|---|---|---|\n"]
        parts += [
            f"| `{variable}` | {_cell(kind)} | {_cell(f'`{default}`')} | {_cell(meaning)} |\n"
            for variable, kind, default, meaning in rows
        ]
    return "".join(parts)


def sections() -> Iterator[tuple[str, str, list[Row]]]:
    """Yield each group of settings: its name, what it is for, and its rows."""
    from liqheat.platform.settings import Settings

    single = [_row(name, field, "LIQHEAT_") for name, field in Settings.model_fields.items() if not _section(field)]
    yield "general", "What concerns every service.", single
    for name, field in Settings.model_fields.items():
        section = _section(field)
        if section is not None:
            about = (section.__doc__ or "").partition("\n")[0]
            yield (
                name,
                about,
                [_row(inner, setting, f"LIQHEAT_{name.upper()}__") for inner, setting in section.model_fields.items()],
            )


def _section(field: "FieldInfo") -> "type[BaseModel] | None":
    from liqheat.platform.section import Section

    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def _row(name: str, field: "FieldInfo", prefix: str) -> Row:
    return (prefix + name.upper(), _type_name(field.annotation), _default(field.default), _meaning(field))


def _meaning(field: "FieldInfo") -> str:
    limits = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    bounds = [
        f"{words} {getattr(limit, bound):g}"
        for limit in field.metadata
        for bound, words in limits.items()
        if getattr(limit, bound, None) is not None
    ]
    return "; ".join(part for part in (field.description or "", ", ".join(bounds)) if part)


def _type_name(kind: Any) -> str:
    """Say which values are allowed, as somebody who writes the variable needs it."""
    from enum import EnumType
    from pathlib import Path as FilePath
    from typing import Literal, get_origin

    from pydantic import SecretStr

    names: dict[Any, str] = {
        bool: "true or false", int: "integer", float: "number", str: "text", SecretStr: "secret", FilePath: "file",
    }  # fmt: skip
    if kind in names:
        return names[kind]
    if isinstance(kind, EnumType):
        return " or ".join(f"`{member.value}`" for member in kind)  # type: ignore[var-annotated]
    arguments = [argument for argument in get_args(kind) if argument not in (type(None), ...)]
    origin = get_origin(kind)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin is tuple:
        return f"list of {_type_name(arguments[0])}"
    if origin is dict:
        return "object"
    if hasattr(kind, "__metadata__"):
        return _type_name(arguments[0])
    return " or ".join(_type_name(argument) for argument in arguments)


def _default(value: Any) -> str:
    import json
    from collections.abc import Mapping
    from enum import Enum

    if value is None:
        return "not set"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return json.dumps([item.value if isinstance(item, Enum) else item for item in value])
    if isinstance(value, Mapping):
        return json.dumps(dict(value))
    return str(value) if str(value) else '""'


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("`not set`", "not set")
