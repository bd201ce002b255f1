"""The reference page of log events, made from their docstrings."""

import inspect
import re
from typing import Final

from posthouse.telemetry.event import LogEvent
from posthouse.telemetry.events import EVENTS

_FIELD: Final = re.compile(r"^(\w+): (.+?)(?=^\w+: |\Z)", re.MULTILINE | re.DOTALL)

_HEAD: Final = """\
# Log events

Made from `src/posthouse/telemetry/` by `python -m posthouse.telemetry.reference`; do not edit.

Every line of the log is one of these. In JSON each has also `at` (RFC 3339, UTC), `level` and
`event`, and `worker` (its number) where one of several workers tells it. Names and fields are
stable: they are never renamed, and new fields may be added. Text that came from outside is escaped.
"""


def events_page() -> str:
    """Return the page in Markdown."""
    return "\n".join([_HEAD, *(_section(EVENTS[name]) for name in sorted(EVENTS))])


def field_meanings(kind: type[LogEvent]) -> dict[str, str]:
    """Return what each field of an event means, from its docstring."""
    _, _, attributes = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")
    found = _FIELD.findall(inspect.cleandoc(attributes))
    return {name: " ".join(meaning.split()).replace("``", "`") for name, meaning in found}


def _section(kind: type[LogEvent]) -> str:
    summary, _, _ = inspect.cleandoc(kind.__doc__ or "").partition("\n\nAttributes:")
    lines = [f"## {kind.name}", "", f"Level {kind.level.value}. {' '.join(summary.split())}", ""]
    lines += ["| Field | Meaning |", "|---|---|"]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in field_meanings(kind).items()]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    print(events_page(), end="")  # noqa: T201 - this is how the page is made
