"""Rows of accounts.db as values, and the questions asked of it more than once."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime

from msgspec.structs import replace

from posthouse.accounts.store import (
    AccountError,
    AccountRecord,
    Alias,
    Credential,
    CredentialKind,
    Grant,
    GrantError,
)
from posthouse.mail.address import AddressError, Mailbox, parse_mailbox


class AddressTables:
    """The addresses of accounts.db: an `aliases.Directory`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def is_account(self, mailbox: Mailbox) -> bool:
        """Whether an account has this primary address."""
        asked = "SELECT 1 FROM accounts WHERE name = ?"
        return self._connection.execute(asked, (_bindable(str(mailbox)),)).fetchone() is not None

    def targets(self, mailbox: Mailbox) -> tuple[Mailbox, ...]:
        """Return the targets of the alias at this address, as written."""
        asked = "SELECT target FROM alias_targets WHERE address = ?"
        found = self._connection.execute(asked, (_bindable(str(mailbox)),))
        return tuple(parse_mailbox(target) for (target,) in found)

    def sources(self, mailbox: Mailbox) -> Iterator[tuple[Mailbox, Mailbox]]:
        """Yield (alias, target) where the target is `mailbox`, with or without a plus tag."""
        asked = "SELECT address, target FROM alias_targets WHERE target_key = ?"
        return self._pairs(asked, _bindable(str(mailbox.without_tag())))

    def sources_in(self, domain: str) -> Iterator[tuple[Mailbox, Mailbox]]:
        """Yield (alias, target) for every target in a domain."""
        return self._pairs(
            "SELECT address, target FROM alias_targets WHERE target_domain = ?", domain
        )

    def _pairs(self, asked: str, key: str) -> Iterator[tuple[Mailbox, Mailbox]]:
        for address, target in self._connection.execute(asked, (key,)).fetchall():
            yield parse_mailbox(address), parse_mailbox(target)


def written(at: datetime) -> str:
    """Return an instant as it stands in the file: UTC, comparable as text."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def keepable(mailbox: Mailbox) -> Mailbox:
    """Return an address folded, as it is kept.

    Raises:
        AccountError: If it would not be the same address when it is read back.
    """
    folded, text = mailbox.folded, str(mailbox.folded)
    try:
        if text.isprintable() and parse_mailbox(text) == folded:
            return folded
    except AddressError as problem:
        raise AccountError(f"{text!a} cannot be an address here: {problem}") from None
    raise AccountError(f"{text!a} cannot be an address here: not all of it is letters")


def _bindable(text: str) -> str:
    """Return text that SQLite takes: a stranger may send unpaired surrogates."""
    return text if text.isprintable() else text.encode("utf-8", "backslashreplace").decode()


def sign_in_key(connection: sqlite3.Connection, name: str) -> str | None:
    """Return the name of the account that `name` means: an address, or a unique local-part."""
    if "@" not in name:
        asked = "SELECT name FROM accounts WHERE local_part = ? LIMIT 2"
        found = connection.execute(asked, (_bindable(name.casefold()),)).fetchall()
        return found[0][0] if len(found) == 1 else None
    try:
        key = _bindable(str(parse_mailbox(name).folded))
    except AddressError:
        return None
    asked = "SELECT 1 FROM accounts WHERE name = ?"
    return key if connection.execute(asked, (key,)).fetchone() else None


def is_disabled(connection: sqlite3.Connection, key: str) -> bool:
    """Whether the account is closed for signing in."""
    asked = "SELECT 1 FROM accounts WHERE name = ? AND disabled"
    return connection.execute(asked, (key,)).fetchone() is not None


def records(connection: sqlite3.Connection) -> Iterator[tuple[str, bool, datetime]]:
    """Yield (name, disabled, created) by name."""
    asked = "SELECT name, disabled, created FROM accounts ORDER BY name"
    for name, disabled, created in connection.execute(asked).fetchall():
        yield name, bool(disabled), datetime.fromisoformat(created)


def record(
    name: str, addresses: frozenset[Mailbox], *, disabled: bool, created: datetime
) -> AccountRecord:
    """Return an account as an administrator sees it."""
    others = sorted(text for text in map(str, addresses) if text != name)
    return AccountRecord(name, (name, *others), disabled, created)


def aliases(connection: sqlite3.Connection) -> tuple[Alias, ...]:
    """Return all aliases by address."""
    found: dict[Mailbox, list[Mailbox]] = {}
    for address, target in connection.execute("SELECT address, target FROM alias_targets"):
        found.setdefault(parse_mailbox(address), []).append(parse_mailbox(target))
    return tuple(Alias(place, tuple(sorted(found[place]))) for place in sorted(found))


def credentials(connection: sqlite3.Connection, key: str) -> tuple[Credential, ...]:
    """Return the passwords of an account, its own first."""
    found = connection.execute(
        "SELECT id, account, label, kind, hash, created, last_used, scram FROM credentials"
        " WHERE account = ? ORDER BY kind, label",
        (key,),
    )
    return tuple(
        Credential(
            number,
            account,
            label,
            CredentialKind(kind),
            hashed,
            datetime.fromisoformat(created),
            datetime.fromisoformat(last_used) if last_used else None,
            scram,
        )
        for number, account, label, kind, hashed, created, last_used, scram in found
    )


def insert_credential(connection: sqlite3.Connection, new: Credential) -> Credential:
    """Add a password; the answer has its number."""
    added = connection.execute(
        "INSERT INTO credentials (account, label, kind, hash, created, scram)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (new.account, new.name, new.kind.value, new.hash, written(new.created), new.scram),
    )
    return replace(new, id=added.lastrowid or 0)


def salt_key(connection: sqlite3.Connection) -> bytes:
    """Return the key of all salts; the upgrade that made its table has put it there."""
    found = connection.execute("SELECT value FROM keys WHERE name = 'salts'").fetchone()
    return bytes.fromhex(found[0])


def all_know_scram(connection: sqlite3.Connection) -> bool:
    """Whether every open account has something of its own password for SCRAM."""
    asked = (
        "SELECT 1 FROM credentials JOIN accounts ON accounts.name = credentials.account"
        " WHERE NOT accounts.disabled AND kind = ? AND scram = '' AND hash NOT LIKE ? LIMIT 1"
    )
    without = connection.execute(asked, (CredentialKind.ACCOUNT.value, "{SCRAM-SHA-256}%"))
    return without.fetchone() is None


def is_valid(connection: sqlite3.Connection, credential_id: int) -> bool:
    """Whether a password is still there and its account not disabled."""
    asked = (
        "SELECT 1 FROM credentials JOIN accounts ON accounts.name = credentials.account"
        " WHERE credentials.id = ? AND NOT accounts.disabled"
    )
    return connection.execute(asked, (credential_id,)).fetchone() is not None


def grants(connection: sqlite3.Connection) -> tuple[Grant, ...]:
    """Return all grants in the order they were made."""
    found = connection.execute(
        "SELECT id, networks, name, until, because, by_whom, created FROM grants ORDER BY id"
    )
    return tuple(
        Grant(
            number,
            tuple(networks.split(",")),
            name,
            datetime.fromisoformat(until) if until else None,
            because,
            by_whom,
            datetime.fromisoformat(created),
        )
        for number, networks, name, until, because, by_whom, created in found
    )


def insert_grant(connection: sqlite3.Connection, new: Grant) -> Grant:
    """Add a grant; the answer has its number."""
    added = connection.execute(
        "INSERT INTO grants (networks, name, until, because, by_whom, created)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (
            ",".join(new.networks),
            new.name,
            written(new.until) if new.until else None,
            new.because,
            new.by,
            written(new.created),
        ),
    )
    for grant in grants(connection):
        if grant.id == added.lastrowid:
            return grant
    raise GrantError("the grant was not kept")  # pragma: no cover - it was inserted above
