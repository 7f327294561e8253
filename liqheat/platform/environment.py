"""How a person writes settings in the environment or in `.env`: plain comma lists beside JSON, words in any case.

`liqheat.platform.settings` builds its sources from these. A value that is neither becomes one sentence with the name
of the variable and the form that is wanted.
"""

import json
from collections.abc import Iterator
from enum import EnumType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource

from liqheat.platform.errors import ConfigurationError

PREFIX = "LIQHEAT_"


def listed(text: str) -> list[Any]:
    """Return the items of a list as a person writes it: a,b or ["a","b"].

    Raises:
        ValueError: it begins as JSON and is no list of it.
    """
    # Some readers of env files keep the quotes around a value, and people put them around each item.
    text = _unquoted(text)
    if text.startswith(("[", "{")):
        found = json.loads(text)
        if not isinstance(found, list):
            raise ValueError("Expected a list")
        return found
    return [item for part in text.split(",") if (item := _unquoted(part))]


def _unquoted(text: str) -> str:
    """Return a text without the space and quotes around it, unless those are of its first and its last part."""
    text = text.strip()
    quote = text[:1]
    if quote in ("'", '"') and quote == text[-1:] and len(text) > 1 and quote not in text[1:-1]:
        return text[1:-1].strip()
    return text


def words_of(text: str, option: str) -> list[str]:
    """Return the words of the list that an option of a command gives.

    Raises:
        ConfigurationError: it is none; the sentence names the option.
    """
    try:
        found = listed(text)
    except ValueError:
        found = [None]
    if any(not isinstance(word, str) for word in found):
        raise ConfigurationError(f'Expected {option} as a list such as a,b or ["a","b"], was {_shortened(text)!r}')
    return found


class _Plain(EnvSettingsSource):
    """Reads lists with or without JSON, and objects as JSON."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """Return the list or object that `value` describes.

        Raises:
            ConfigurationError: it is neither; the sentence names the variable.
        """
        text = str(value).strip()
        is_list = field is not None and get_origin(field.annotation) is tuple
        try:
            return listed(text) if is_list else json.loads(text)
        except ValueError as error:
            name = variable_of(self.settings_cls, field) or field_name.upper()
            form = 'a list such as a,b or ["a","b"]' if is_list else 'a JSON object such as {"name": ...}'
            raise ConfigurationError(f"Wrong settings: {name}: Expected {form}, was {_shortened(text)!r}") from error


class PlainEnvironment(_Plain):
    """The process's environment."""


class PlainDotEnv(DotEnvSettingsSource, _Plain):
    """The file `.env`."""


def variable_of(settings: type[BaseModel], field: FieldInfo | None) -> str | None:
    """Return the environment variable of a field anywhere in the tree; None where it has none of its own."""
    return next((name for name, known in _fields(settings, PREFIX) if known is field), None)


def in_known_case(annotation: Any, value: Any) -> Any:
    """Return `value` with its words as `annotation` spells them, where it takes some words only.

    What is not among them is left for the validation to refuse.
    """
    if isinstance(value, list | tuple) and get_origin(annotation) is tuple:
        inner = get_args(annotation)[0]
        return [in_known_case(inner, item) for item in value]
    if not isinstance(value, str):
        return value
    if get_origin(annotation) is tuple and not value.strip():
        return ()
    return next((word for word in _words(annotation) if word.casefold() == value.strip().casefold()), value)


def _words(annotation: Any) -> Iterator[str]:
    if isinstance(annotation, EnumType):
        yield from (str(member.value) for member in annotation)  # type: ignore[var-annotated]
    elif get_origin(annotation) is Literal:
        yield from (word for word in get_args(annotation) if isinstance(word, str))
    else:
        for argument in get_args(annotation):
            yield from _words(argument)


def _fields(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        variable = f"{prefix}{name.upper()}"
        yield variable, field
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _fields(field.annotation, f"{variable}__")


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def plain_sources(settings: type[BaseSettings], dotenv: Any) -> tuple[PlainEnvironment, PlainDotEnv]:
    """Return the sources that take the place of pydantic's own; `dotenv` is its source of `.env`."""
    return (
        PlainEnvironment(settings),
        PlainDotEnv(settings, env_file=dotenv.env_file, env_file_encoding=dotenv.env_file_encoding),
    )
