"""Accounts in one SQLite file that the command line and a running server share."""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from posthouse.accounts import granted_networks, rows
from posthouse.accounts.aliases import catch_all_domains, expand, leading_to
from posthouse.accounts.rows import AddressTables
from posthouse.accounts.schema import ACCOUNTS
from posthouse.accounts.shared import SharedFile
from posthouse.accounts.store import (
    AccountError,
    AccountExistsError,
    AccountRecord,
    Alias,
    AliasExistsError,
    Credential,
    CredentialKind,
    Grant,
    GrantError,
    Resolution,
    UnknownAccountError,
    UnknownAliasError,
    UnknownCredentialError,
)
from posthouse.mail.address import Mailbox, parse_mailbox
from posthouse.policy.facts import Account

SUBMISSION_PASSWORDS_MAX: Final = 50  # of one account
ENDED_GRANTS_KEPT: Final = timedelta(days=30)
USES_WRITTEN_EVERY: Final = timedelta(minutes=1)


class SqliteAccountStore:
    """An `AccountStore` in a file; its methods are described there."""

    def __init__(
        self,
        path: Path,
        *,
        catch_all: Mapping[str, Mailbox] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Open the file, making it if it is not there.

        Raises:
            StoreError: If it cannot be opened or is not ours.
        """
        self._file = SharedFile(path, ACCOUNTS)
        self._now = now
        self._catch_all = dict(catch_all or {})
        self._uses: dict[int, datetime] = {}
        self._uses_written = now()
        self._uses_lock = threading.Lock()  # they are noted by the threads that check passwords

    def close(self) -> None:
        """Write what waits and let go of the file."""
        try:
            self._write_uses()
        finally:
            self._file.close()

    # accounts

    def add(self, name: Mailbox, password_hash: str, *, scram: str = "") -> AccountRecord:
        """Add an account."""
        mailbox, created = rows.keepable(name), self._now()
        key = str(mailbox)
        with self._file.write() as connection:
            if AddressTables(connection).is_account(mailbox):
                raise AccountExistsError(f"{key} has an account already")
            connection.execute(
                "INSERT INTO accounts (name, local_part, created) VALUES (?, ?, ?)",
                (key, mailbox.local_part, rows.written(created)),
            )
            own = CredentialKind.ACCOUNT
            new = Credential(0, key, "", own, password_hash, created, scram=scram)
            rows.insert_credential(connection, new)
            reaching = self._leading_to(connection, mailbox)
        return rows.record(key, reaching, disabled=False, created=created)

    def remove(self, name: str) -> None:
        """Remove an account, its passwords, and it from every alias and group."""
        with self._file.write() as connection:
            key = _known(connection, name)
            connection.execute("DELETE FROM accounts WHERE name = ?", (key,))
            for address, target in AddressTables(connection).sources(parse_mailbox(key)):
                if str(target.folded) == key:
                    connection.execute(
                        "DELETE FROM alias_targets WHERE address = ? AND target = ?",
                        (str(address), str(target)),
                    )

    def set_password(self, name: str, password_hash: str, *, scram: str = "") -> None:
        """Give the account another password."""
        with self._file.write() as connection:
            key = _known(connection, name)
            connection.execute("DELETE FROM credentials WHERE account = ? AND label = ''", (key,))
            own = CredentialKind.ACCOUNT
            new = Credential(0, key, "", own, password_hash, self._now(), scram=scram)
            rows.insert_credential(connection, new)

    def disable(self, name: str) -> None:
        """Close the account for signing in and relaying."""
        with self._file.write() as connection:
            key = _known(connection, name)
            connection.execute("UPDATE accounts SET disabled = 1 WHERE name = ?", (key,))

    def enable(self, name: str) -> None:
        """Open it again."""
        with self._file.write() as connection:
            key = _known(connection, name)
            connection.execute("UPDATE accounts SET disabled = 0 WHERE name = ?", (key,))

    def set_language(self, name: str, language: str) -> None:
        """Choose in which language the person reads reports."""
        with self._file.write() as connection:
            key = _known(connection, name)
            connection.execute("UPDATE accounts SET language = ? WHERE name = ?", (language, key))

    def language(self, name: str) -> str:
        """Return it; "" if none was chosen or there is no such account."""

        def read(connection: sqlite3.Connection) -> str:
            row = connection.execute(
                "SELECT language FROM accounts WHERE name = ?", (name,)
            ).fetchone()
            return row[0] if row else ""

        return self._file.read(("language", name), read)

    def list(self) -> tuple[AccountRecord, ...]:
        """Return all accounts by name."""
        return self._file.read("list", self._list)

    def find(self, name: str) -> Account | None:
        """Return the account one signs in to as `name`."""
        return self._file.read_lately(
            ("find", name), lambda connection: self._find(connection, name)
        )

    def resolve(self, mailbox: Mailbox, *, plus_tags: bool) -> Resolution:
        """Return where mail for an address goes."""
        return self._file.read(
            (mailbox, plus_tags),
            lambda connection: expand(
                mailbox, AddressTables(connection), self._catch_all, plus_tags=plus_tags
            ),
        )

    def use_catch_all(self, catch_all: Mapping[str, Mailbox]) -> None:
        """Take the catch-all addresses of the configuration."""
        self._catch_all = dict(catch_all)
        self._file.forget()

    # aliases

    def add_alias(self, address: Mailbox, targets: Iterable[Mailbox]) -> Alias:
        """Let an address lead elsewhere."""
        place = rows.keepable(address)
        wanted = {rows.keepable(target): target for target in targets}
        if not wanted:
            raise AccountError(f"the alias {place} needs a target")
        with self._file.write() as connection:
            tables = AddressTables(connection)
            if tables.targets(place):
                raise AliasExistsError(f"{place} is an alias already")
            connection.executemany(
                "INSERT INTO alias_targets VALUES (?, ?, ?, ?)",
                [
                    (str(place), str(target), str(folded.without_tag()), target.domain)
                    for folded, target in wanted.items()
                ],
            )
            if not expand(place, tables, {}, plus_tags=True).known:
                raise AccountError(f"the alias {place} would lead nowhere but to itself")
        return Alias(place, tuple(sorted(wanted.values())))

    def remove_alias(self, address: Mailbox) -> None:
        """Remove an alias."""
        key = str(rows.keepable(address))
        with self._file.write() as connection:
            gone = connection.execute("DELETE FROM alias_targets WHERE address = ?", (key,))
            if not gone.rowcount:
                raise UnknownAliasError(f"there is no alias {key}")

    def aliases(self) -> tuple[Alias, ...]:
        """Return all aliases by address."""
        return self._file.read("aliases", rows.aliases)

    # passwords

    def credentials(self, name: str, *, lately: bool = False) -> tuple[Credential, ...]:
        """Return the passwords of an account, its own first."""

        def answer(connection: sqlite3.Connection) -> tuple[Credential, ...]:
            key = rows.sign_in_key(connection, name)
            return rows.credentials(connection, key) if key else ()

        read = self._file.read_lately if lately else self._file.read
        return read(("credentials", name), answer)

    def add_submission_password(
        self, account: str, label: str, password_hash: str, *, scram: str = ""
    ) -> Credential:
        """Add a password for sending."""
        if not label.strip() or not label.isprintable():
            raise AccountError("a submission password needs a name, such as phone")
        with self._file.write() as connection:
            key = _known(connection, account)
            taken = {found.name for found in rows.credentials(connection, key)} - {""}
            if label in taken:
                raise AccountError(f"{key} has a submission password called {label} already")
            if len(taken) >= SUBMISSION_PASSWORDS_MAX:
                raise AccountError(f"{key} has {len(taken)} submission passwords: revoke one first")
            kind = CredentialKind.SUBMISSION
            new = Credential(0, key, label, kind, password_hash, self._now(), scram=scram)
            return rows.insert_credential(connection, new)

    def revoke(self, account: str, label: str) -> None:
        """Take a submission password away."""
        with self._file.write() as connection:
            key = _known(connection, account)
            gone = connection.execute(
                "DELETE FROM credentials WHERE account = ? AND label = ? AND kind = ?",
                (key, label, CredentialKind.SUBMISSION.value),
            )
            if not gone.rowcount:
                raise UnknownCredentialError(f"{key} has no submission password called {label}")

    def is_valid(self, credential_id: int) -> bool:
        """Whether the password is still there and its account not disabled."""
        return self._file.read_lately(
            credential_id, lambda connection: rows.is_valid(connection, credential_id)
        )

    def rehash(self, credential_id: int, password_hash: str, *, scram: str) -> None:
        """Keep the same password in another form."""
        with self._file.write() as connection:
            changed = connection.execute(
                "UPDATE credentials SET hash = ?, scram = ? WHERE id = ?",
                (password_hash, scram, credential_id),
            )
            if not changed.rowcount:
                raise UnknownCredentialError("the password is gone")

    def salt_key(self) -> bytes:
        """Return the key that salts are made with."""
        return self._file.read("salt key", rows.salt_key)

    def all_know_scram(self) -> bool:
        """Whether every open account can sign in by SCRAM with its own password, a moment ago."""
        (answer,) = self._file.read_lately(
            "all know scram", lambda connection: (rows.all_know_scram(connection),)
        )
        return answer

    def note_used(self, credential_id: int, at: datetime) -> None:
        """Remember that a password was used."""
        with self._uses_lock:
            self._uses[credential_id] = at
            due = at - self._uses_written >= USES_WRITTEN_EVERY
            if due:
                self._uses_written = at
        if due:
            self._write_uses()

    # grants

    def grants(self) -> tuple[Grant, ...]:
        """Return all grants, those lately ended too."""
        return self._file.read("grants", rows.grants)

    def add_grant(
        self, networks: str, *, name: str, until: datetime | None, because: str, by: str
    ) -> Grant:
        """List networks that may relay."""
        listed = granted_networks.checked(networks, because)
        open_now = [it for it in self.grants() if not it.ended(self._now())]
        granted_networks.check_together((net for it in open_now for net in it.networks), listed)
        now = self._now()
        if until is not None and until <= now:
            raise GrantError("the end of the grant is past")
        new = Grant(0, listed, name or ", ".join(listed), until, because, by, now)
        with self._file.write() as connection:
            forgotten = rows.written(now - ENDED_GRANTS_KEPT)
            connection.execute("DELETE FROM grants WHERE until < ?", (forgotten,))
            return rows.insert_grant(connection, new)

    def remove_grant(self, grant_id: int) -> None:
        """Take a grant back."""
        with self._file.write() as connection:
            gone = connection.execute("DELETE FROM grants WHERE id = ?", (grant_id,))
            if not gone.rowcount:
                raise GrantError(f"there is no grant {grant_id}")

    # answers from the tables

    def _find(self, connection: sqlite3.Connection, name: str) -> Account | None:
        key = rows.sign_in_key(connection, name)
        if key is None or rows.is_disabled(connection, key):
            return None
        mailbox = parse_mailbox(key)
        return Account(
            key,
            self._leading_to(connection, mailbox),
            catch_all_domains(mailbox, AddressTables(connection), self._catch_all),
        )

    def _list(self, connection: sqlite3.Connection) -> tuple[AccountRecord, ...]:
        return tuple(
            rows.record(
                name,
                self._leading_to(connection, parse_mailbox(name)),
                disabled=disabled,
                created=created,
            )
            for name, disabled, created in rows.records(connection)
        )

    def _leading_to(self, connection: sqlite3.Connection, mailbox: Mailbox) -> frozenset[Mailbox]:
        return leading_to(mailbox, AddressTables(connection), self._catch_all)

    def _write_uses(self) -> None:
        with self._uses_lock:
            uses, self._uses = self._uses, {}
        if not uses:
            return
        with self._file.write() as connection:
            connection.executemany(
                "UPDATE credentials SET last_used = ? WHERE id = ?",
                [(rows.written(at), number) for number, at in uses.items()],
            )


def _known(connection: sqlite3.Connection, name: str) -> str:
    key = rows.sign_in_key(connection, name)
    if key is None:
        raise UnknownAccountError(f"there is no account {name}")
    return key
