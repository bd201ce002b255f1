"""Ask Dovecot's authentication socket whether a password is right, as Postfix does (protocol 1).

One connection for a question: Dovecot delays failures by itself, and a broken connection spoils
one answer only.
"""

import asyncio
import os
from base64 import b64encode
from typing import Final

from posthouse.accounts.answers import Elsewhere, ElsewhereError
from posthouse.policy.facts import Address

ANSWER_SECONDS_MAX: Final = 15.0  # Dovecot waits 2 s before it says no; LDAP behind it may be slow
LINES_MAX: Final = 200
LINE_OCTETS_MAX: Final = 8192
_VERSION: Final = "1"


class DovecotAuth:
    """Asks a Dovecot whether a password is right."""

    def __init__(self, path: str, *, service: str = "smtp") -> None:
        self._path = path
        self._service = service

    async def check(self, name: str, password: str, *, address: Address) -> Elsewhere:
        """Return what Dovecot says.

        Raises:
            ElsewhereError: If it cannot be asked, or says that it cannot tell now.
        """
        if "\0" in name + password or not password:
            return Elsewhere.WRONG
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                return await self._ask(name, password, address)
        except TimeoutError:
            raise ElsewhereError(f"Dovecot at {self._path} does not answer") from None
        except (OSError, ValueError) as problem:
            raise ElsewhereError(f"Dovecot at {self._path}: {problem}") from problem

    async def _ask(self, name: str, password: str, address: Address) -> Elsewhere:
        reader, writer = await asyncio.open_unix_connection(self._path, limit=LINE_OCTETS_MAX)
        try:
            writer.write(f"VERSION\t{_VERSION}\t2\nCPID\t{os.getpid()}\n".encode("ascii"))
            await _greeting(reader)
            response = b64encode(f"\0{name}\0{password}".encode("utf-8", "surrogateescape"))
            # We count failures ourselves: Dovecot need not make this address wait for others'.
            question = (
                f"AUTH\t1\tPLAIN\tservice={self._service}\tsecured\tno-penalty\trip={address}"
            )
            writer.write(question.encode("ascii") + b"\tresp=" + response + b"\n")
            await writer.drain()
            return await _answer(reader)
        finally:
            writer.close()


async def _greeting(reader: asyncio.StreamReader) -> None:
    for _ in range(LINES_MAX):
        words = await _words(reader)
        if words[0] == "VERSION" and words[1:2] != [_VERSION]:
            raise ElsewhereError("Dovecot speaks another version of its protocol")
        if words[0] == "DONE":
            return
    raise ElsewhereError("Dovecot's greeting does not end")


async def _answer(reader: asyncio.StreamReader) -> Elsewhere:
    for _ in range(LINES_MAX):
        words = await _words(reader)
        if words[1:2] != ["1"]:
            continue
        if words[0] == "OK":
            return Elsewhere.RIGHT
        if words[0] == "FAIL":
            if "temp" in words or "code=temp_fail" in words:
                raise ElsewhereError("Dovecot cannot tell now")
            return Elsewhere.WRONG
        raise ElsewhereError(f"Dovecot answers {words[0]!a}")
    raise ElsewhereError("Dovecot's answer does not come")


async def _words(reader: asyncio.StreamReader) -> list[str]:
    line = await reader.readline()
    if not line.endswith(b"\n"):
        raise ElsewhereError("Dovecot closed the connection")
    return line[:-1].decode("utf-8", "replace").split("\t")
