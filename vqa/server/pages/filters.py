"""Filters as forms send them: every field is there, and an empty one chooses nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, ValidationError

from vqa.errors import JobError
from vqa.faults import words

Checked = TypeVar("Checked", bound=BaseModel)


class FilterForm(BaseModel):
    """The fields of a form."""

    model_config = ConfigDict(extra="ignore")

    def filled(self, *left_out: str) -> dict[str, Any]:
        """The fields that choose something."""
        fields = self.model_dump(exclude=set(left_out))
        return {name: value for name, value in fields.items() if value}

    def query(self, **changes: object) -> str:
        """As an address carries it."""
        fields = self.model_dump() | changes
        return urlencode({name: value for name, value in fields.items() if value})


def checked(shape: type[Checked], fields: Mapping[str, Any]) -> Checked:
    """What a form's fields stand for.

    Raises:
        JobError: a field holds what no filter could.
    """
    try:
        return shape.model_validate(fields)
    except ValidationError as error:
        fault = error.errors()[0]
        where = str(fault["loc"][0])
        raise JobError(words(fault), where=where, fix="see the filter's fields") from None
