"""Names and stored passwords in a file, as Dovecot's ``passwd-file`` has them: imported, or live.

``user:password:uid:gid:gecos:home:shell:extra fields``; only the first two count here.
"""

import asyncio
from pathlib import Path
from typing import Final

from msgspec import Struct

from posthouse.accounts import schemes
from posthouse.accounts.answers import Elsewhere, ElsewhereError
from posthouse.accounts.passwords import PasswordError, hash_of_nothing, matches, prepare
from posthouse.accounts.schemes import SchemeError
from posthouse.mail.address import AddressError, Mailbox, parse_mailbox
from posthouse.policy.facts import Address

OCTETS_MAX: Final = 64 * 1024 * 1024


class Entry(Struct, frozen=True):
    """One line.

    Attributes:
        mailbox: Who, folded.
        stored: With its scheme in front.
        line: Where it stands, from 1.
    """

    mailbox: Mailbox
    stored: str
    line: int

    def __repr__(self) -> str:
        return f"Entry({self.mailbox}, ..., line {self.line})"


class Trouble(Struct, frozen=True):
    """A line that cannot be used.

    Attributes:
        line: Where it stands, from 1.
        why: In plain words; never holds the password.
    """

    line: int
    why: str


class Passwords(Struct, frozen=True):
    """What a file holds.

    Attributes:
        entries: In their order, each mailbox once: the first line counts.
        troubles: Lines that cannot be used.
    """

    entries: tuple[Entry, ...]
    troubles: tuple[Trouble, ...]


def read(text: str, *, domain: str = "", scheme: str = "CRYPT") -> Passwords:
    """Return what a file holds; every line that cannot be used is told.

    Args:
        text: Of the file.
        domain: Of names without one; "" if all must have one.
        scheme: Of passwords without a prefix.
    """
    entries: dict[Mailbox, Entry] = {}
    troubles: list[Trouble] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            entry = _entry(line, number, domain, scheme)
        except (AddressError, SchemeError) as problem:
            troubles.append(Trouble(number, str(problem)))
            continue
        if entry.mailbox in entries:
            first = entries[entry.mailbox].line
            troubles.append(Trouble(number, f"{entry.mailbox} is in line {first} already"))
        else:
            entries[entry.mailbox] = entry
    return Passwords(tuple(entries.values()), tuple(troubles))


def _entry(line: str, number: int, domain: str, scheme: str) -> Entry:
    name, colon, rest = line.partition(":")
    stored = _stored(rest)
    if not colon or not stored:
        raise SchemeError("there is no password")
    if stored.startswith(("!", "*")):
        raise SchemeError("the password is locked")
    if "@" not in name and domain:
        name = f"{name}@{domain}"
    return Entry(parse_mailbox(name).folded, schemes.normalised(stored, default=scheme), number)


def _stored(rest: str) -> str:
    """Return the second field."""
    return rest.split(":", 1)[0]


class PasswdFile:
    """Such a file as somebody else who knows passwords; read again when it changes."""

    def __init__(self, path: Path, *, domain: str = "") -> None:
        self._path = path
        self._domain = domain
        self._seen = (0, 0)
        self._stored: dict[str, str] = {}
        self._nothing = hash_of_nothing()

    def mailboxes(self) -> tuple[Mailbox, ...]:
        """Return who is in the file now.

        Raises:
            ElsewhereError: If it cannot be read.
        """
        return tuple(map(parse_mailbox, self._read()))

    async def check(self, name: str, password: str, *, address: Address) -> Elsewhere:  # noqa: ARG002
        """Return whether the file has this password for the name.

        Raises:
            ElsewhereError: If it cannot be read.
        """
        right = await asyncio.to_thread(self._is_right, name, password)
        return Elsewhere.RIGHT if right else Elsewhere.WRONG

    def _is_right(self, name: str, password: str) -> bool:
        stored = self._read().get(self._key(name), self._nothing)
        try:
            return matches(stored, prepare(password), password)
        except PasswordError:
            return False

    def _key(self, name: str) -> str:
        full = name if "@" in name or not self._domain else f"{name}@{self._domain}"
        try:
            return str(parse_mailbox(full).folded)
        except AddressError:
            return ""

    def _read(self) -> dict[str, str]:
        try:
            found = self._path.stat()
            mark = (found.st_mtime_ns, found.st_size)
            if mark != self._seen:
                if found.st_size > OCTETS_MAX:
                    raise ElsewhereError(f"{self._path} has more than {OCTETS_MAX} octets")
                text = self._path.read_text(encoding="utf-8")
                held = read(text, domain=self._domain).entries
                self._stored = {str(it.mailbox): it.stored for it in held}
                self._seen = mark
        except (OSError, UnicodeDecodeError) as problem:
            raise ElsewhereError(f"{self._path} cannot be read: {problem}") from problem
        return self._stored
