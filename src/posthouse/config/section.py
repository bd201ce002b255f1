"""What every table of the file has in common."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A table of the file; a key that is not listed is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, serialize_by_alias=True, hide_input_in_errors=True
    )


def meaning(text: str) -> Any:  # noqa: ANN401 - pydantic's own type for what it reads in Annotated
    """Return the text of a key, for manual page, reference and editors."""
    return Field(description=text)
