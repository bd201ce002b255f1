"""How this room asks for records: by a function it is given, because it does no I/O."""

from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

from msgspec import Struct


class LookUpError(Exception):
    """Nothing is known at the moment; the message says in plain words why."""


class Records(Struct, frozen=True):
    """What a name has of one type.

    Attributes:
        values: Addresses, host names of MX or PTR without a trailing dot, or texts, the strings of
            each joined; CNAMEs are followed.
        exists: False if there is no such name, whatever the type (NXDOMAIN).
    """

    values: tuple[str, ...] = ()
    exists: bool = True


RecordType: TypeAlias = Literal["A", "AAAA", "MX", "PTR", "TXT"]
LookUp: TypeAlias = Callable[[str, RecordType], Awaitable[Records]]
"""Gives what a name has of one type. Raises `LookUpError`."""

TextLookUp: TypeAlias = Callable[[str], Awaitable[tuple[str, ...]]]
"""Gives the text records of a name; none also if there is no such name. Raises `LookUpError`."""


def texts_by(look_up: LookUp) -> TextLookUp:
    """Return the look-up of texts only."""

    async def texts(name: str) -> tuple[str, ...]:
        return (await look_up(name, "TXT")).values

    return texts
