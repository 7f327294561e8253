"""What every group of settings is: frozen, strict about names, easy about the case of words."""

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from liqheat.platform.environment import in_known_case


class Section(BaseModel):
    """A group of settings: frozen, unknown names refused, and infinite numbers, for nothing can wait so long."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _words_in_any_case(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        fields = cls.model_fields
        return {
            name: in_known_case(fields[name].annotation, value) if name in fields else value
            for name, value in values.items()
        }
