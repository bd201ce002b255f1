"""Our DKIM keys: one file each, in ``dkim/DOMAIN/`` of the storage directory.

``SELECTOR.pem`` is used for signing; ``SELECTOR.retired-2026-05-04.pem`` no longer is. Its record
stays in DNS for some days, because mail that it signed is still on its way. The command line writes
these files, a running server sees them within seconds.
"""

import os
import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from msgspec import Struct

from posthouse.authentication.signatures.keys import (
    Kind,
    PrivateKey,
    from_pem,
    generate,
    kind_of,
    record_name,
    record_of,
    to_pem,
)

RECORD_STAYS: Final = timedelta(days=7)
"""How long the record of a retired key should stay: as long as mail may be on its way."""

_FILE: Final = re.compile(
    r"([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)(?:\.retired-(\d{4}-\d\d-\d\d))?\.pem"
)


class KeyFileError(Exception):
    """A key cannot be read, written or found; the message says in plain words why."""


class StoredKey(Struct, frozen=True):
    """One key of ours.

    Attributes:
        domain: For which it signs.
        selector: Under which it is published.
        key: The private half.
        retired: Since when it is no longer used; None if it is.
    """

    domain: str
    selector: str
    key: PrivateKey
    retired: date | None = None

    @property
    def kind(self) -> Kind:
        """RSA or Ed25519."""
        return kind_of(self.key)

    @property
    def name(self) -> str:
        """Where its record stands."""
        return record_name(self.selector, self.domain)

    @property
    def record(self) -> str:
        """The text of its record."""
        return record_of(self.key)

    @property
    def record_goes(self) -> date | None:
        """When its record may be taken out of DNS."""
        return self.retired + RECORD_STAYS if self.retired else None


class SigningKeys:
    """The keys in a directory."""

    def __init__(self, directory: Path) -> None:
        """Take the directory, which need not exist."""
        self._directory = directory

    def any(self) -> bool:
        """Whether there may be a key at all; cheap."""
        try:
            with os.scandir(self._directory) as found:
                return next(found, None) is not None
        except FileNotFoundError:
            return False
        except OSError:  # who wants to sign will see why
            return True

    def domains(self) -> tuple[str, ...]:
        """Return the domains that have a key.

        Raises:
            KeyFileError: If that cannot be read.
        """
        try:
            return tuple(sorted(it.name for it in self._directory.iterdir() if it.is_dir()))
        except FileNotFoundError:
            return ()
        except OSError as problem:
            raise KeyFileError(f"cannot read {self._directory}: {problem.strerror}") from None

    def of(self, domain: str) -> tuple[StoredKey, ...]:
        """Return a domain's keys, those in use first.

        Raises:
            KeyFileError: If one cannot be read.
        """
        found = [self._read(domain, path, named) for path, named in self._files(domain)]
        return tuple(sorted(found, key=lambda key: (key.retired is not None, key.selector)))

    def state(self, domain: str) -> int:
        """Return a number that changes whenever a domain's keys do; 0 if it has none; cheap."""
        try:
            return (self._directory / domain).stat().st_mtime_ns
        except OSError:
            return 0

    def add(self, domain: str, kind: Kind, today: date, selector: str = "") -> StoredKey:
        """Make a key and return it.

        Args:
            domain: For which it is to sign.
            kind: Of the key.
            today: For the selector that is made up.
            selector: As wanted; "" to make one up.

        Raises:
            KeyFileError: If it cannot be written, or the selector was used before or is none.
        """
        used = {key.selector for key in self.of(domain)}
        name = selector or _free_selector(kind, today, used)
        if name in used:
            raise KeyFileError(f"{domain} has, or had, a key {name}: each gets its own selector")
        if not _FILE.fullmatch(f"{name}.pem"):
            raise KeyFileError(f"{name!r} is no selector: small letters, digits and hyphens")
        key = generate(kind)
        self._write(self._directory / domain / f"{name}.pem", to_pem(key))
        return StoredKey(domain, name, key)

    def retire(self, domain: str, selector: str, today: date) -> StoredKey:
        """Stop signing with a key and return it.

        Raises:
            KeyFileError: If there is none that is in use.
        """
        for key in self.of(domain):
            if key.selector == selector and key.retired is None:
                break
        else:
            raise KeyFileError(f"{domain} signs with no key {selector}")
        place = self._directory / domain
        try:
            (place / f"{selector}.pem").rename(place / f"{selector}.retired-{today}.pem")
        except OSError as problem:
            raise KeyFileError(f"cannot rename the key: {problem.strerror}") from None
        return StoredKey(domain, selector, key.key, today)

    def _files(self, domain: str) -> Iterator[tuple[Path, re.Match[str]]]:
        try:
            for path in sorted((self._directory / domain).iterdir()):
                if named := _FILE.fullmatch(path.name):
                    yield path, named
        except FileNotFoundError:
            return
        except OSError as problem:
            raise KeyFileError(f"cannot read the keys of {domain}: {problem.strerror}") from None

    def _read(self, domain: str, path: Path, named: re.Match[str]) -> StoredKey:
        try:
            retired = date.fromisoformat(named[2]) if named[2] else None
            return StoredKey(domain, named[1], from_pem(path.read_bytes()), retired)
        except ValueError as problem:  # no key, or no date
            raise KeyFileError(f"{path} is no signing key: {problem}") from None
        except OSError as problem:
            raise KeyFileError(f"cannot read {path}: {problem.strerror}") from None

    def _write(self, path: Path, octets: bytes) -> None:
        """Write a file that only the server's user can read, whole or not at all."""
        try:
            owner = self._owner()
            for directory in (self._directory, path.parent):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                _give(directory, owner)
            fresh = path.with_suffix(".new")
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "wb") as file:
                file.write(octets)
                file.flush()
                os.fsync(file.fileno())
            _give(fresh, owner)
            fresh.rename(path)
        except OSError as problem:
            raise KeyFileError(f"cannot write {path}: {problem.strerror}") from None

    def _owner(self) -> os.stat_result:
        """Of the storage directory: root makes keys for the server's user."""
        return self._directory.parent.stat()


def _give(path: Path, owner: os.stat_result) -> None:
    if os.geteuid() == 0:
        os.chown(path, owner.st_uid, owner.st_gid)


def _free_selector(kind: Kind, today: date, used: set[str]) -> str:
    """Such as ``2026-05-rsa``: whoever reads DNS sees the age of the key."""
    begin = f"{today:%Y-%m}-{kind.value}"
    if begin not in used:
        return begin
    return next(name for number in range(2, 1000) if (name := f"{begin}-{number}") not in used)
