"""Which limits there are, found in the source: every one has to be in docs/reference/limits.md."""

import ast
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

from msgspec.structs import fields as fields_of

from posthouse.delivery.hop_session import Timeouts
from posthouse.protocol.pop3.server import CoreLimits
from posthouse.protocol.smtp.offer import SessionLimits
from posthouse.sessions.pop3_service import Pop3Limits
from posthouse.sessions.smtp_service import SmtpLimits

SOURCE = Path(__file__).parent.parent / "src" / "posthouse"
ROOMS = ("protocol", "sessions", "wire")
STRUCTS = (SessionLimits, SmtpLimits, CoreLimits, Pop3Limits, Timeouts)
# How the name of a limit ends, or begins.
ENDS = ("_MAX", "_MIN", "_SECONDS", "_OCTETS", "_HIGH", "_A_BLOCK", "_EACH_MINUTE", "PAUSE")
WHOLE = ("ITERATIONS",)


def constants() -> Iterator[tuple[str, str, str]]:
    """Yield file, name and number of each limit that is a constant of a module."""
    for path in sorted(path for room in ROOMS for path in (SOURCE / room).rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
                continue
            name = node.target.id
            number = None if node.value is None else number_in(node.value)
            if number is not None and number != "0" and (name.endswith(ENDS) or name in WHOLE):
                yield str(path.relative_to(SOURCE)), name, number


def number_in(node: ast.expr) -> str | None:
    """Return the number that an expression of numbers makes, or a span of time in seconds."""
    allowed = (ast.Constant, ast.BinOp, ast.operator, ast.Name, ast.Call, ast.keyword, ast.Load)
    if not all(isinstance(each, allowed) for each in ast.walk(node)):
        return None
    names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    if names - {"timedelta"}:
        return None
    value = eval(ast.unparse(node), {"timedelta": timedelta})
    return text_of(value)


def text_of(value: object) -> str | None:
    """Return a number as the page has it."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return str(int(value)) if value == int(value) else str(value)


def fields() -> Mapping[str, Mapping[str, str]]:
    """Return the defaults of all limits that are fields, by the name of their struct."""
    return {
        struct.__name__: {
            field.name: number
            for field in fields_of(struct)
            if (number := text_of(field.default)) is not None
        }
        for struct in STRUCTS
    }
