"""How this room asks for text records: by a function it is given, because it does no I/O."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias


class LookUpError(Exception):
    """Nothing is known at the moment; the message says in plain words why."""


TextLookUp: TypeAlias = Callable[[str], Awaitable[tuple[str, ...]]]
"""Give the text records of a name, the strings of each joined; none if there are none, or no such
name. Raises `LookUpError`."""
