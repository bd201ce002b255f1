"""Who has an account here: what every store of accounts offers.

A store is synchronous and quick: reads come from memory unless something changed, and what another
process wrote is seen by the next read. Names and addresses are compared without case.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import Enum
from typing import Protocol

from msgspec import Struct

from posthouse.mail.address import Mailbox
from posthouse.policy.facts import Account
from posthouse.telemetry.database import StoreError

__all__ = [
    "AccountError",
    "AccountExistsError",
    "AccountRecord",
    "AccountStore",
    "Alias",
    "AliasExistsError",
    "Credential",
    "CredentialKind",
    "Grant",
    "GrantError",
    "Resolution",
    "StoreError",
    "UnknownAccountError",
    "UnknownAliasError",
    "UnknownCredentialError",
]


class AccountError(Exception):
    """What was asked cannot be done; the message says why, for the person who asked."""


class AccountExistsError(AccountError):
    """The name is taken."""


class UnknownAccountError(AccountError):
    """There is no such account."""


class AliasExistsError(AccountError):
    """The address is an alias already."""


class UnknownAliasError(AccountError):
    """There is no such alias, or it has no such target."""


class UnknownCredentialError(AccountError):
    """There is no such submission password."""


class GrantError(AccountError):
    """The networks cannot be listed, or there is no such grant."""


class CredentialKind(Enum):
    """What a password is for."""

    ACCOUNT = "account"  # POP3, and sending where the door allows it
    SUBMISSION = "submission"  # sending only; an account may have several


class AccountRecord(Struct, frozen=True):
    """An account as an administrator sees it.

    Attributes:
        name: Primary address, folded: what one signs in with.
        addresses: All addresses that reach it, the primary one first.
        disabled: Cannot sign in or relay; mail for it still arrives.
        created: When it was added.
    """

    name: str
    addresses: tuple[str, ...]
    disabled: bool
    created: datetime


class Credential(Struct, frozen=True):
    """One password of an account.

    Attributes:
        id: Never used again: a changed password is a new credential.
        account: Name of the account.
        name: What the person calls it, ``phone``; "" for the account's own password.
        kind: What it is for.
        hash: As `passwords` wrote it.
        created: When it was set.
        last_used: Within a few minutes; None if never.
        scram: As `schemes.read_scram` reads it; "" until it was set or verified here.
    """

    id: int
    account: str
    name: str
    kind: CredentialKind
    hash: str
    created: datetime
    last_used: datetime | None = None
    scram: str = ""


class Alias(Struct, frozen=True):
    """An address that leads elsewhere; with several targets, a group."""

    address: Mailbox
    targets: tuple[Mailbox, ...]


class Resolution(Struct, frozen=True):
    """Where mail for an address goes; both empty: the address is unknown.

    Attributes:
        accounts: Names of accounts, sorted.
        forwards: Addresses that are no account or alias of ours, sorted.
    """

    accounts: tuple[str, ...] = ()
    forwards: tuple[Mailbox, ...] = ()

    @property
    def known(self) -> bool:
        """Whether mail for the address goes anywhere."""
        return bool(self.accounts or self.forwards)


class Grant(Struct, frozen=True):
    """Networks that may relay, listed while the server runs.

    Attributes:
        id: Never used again.
        networks: Addresses, CIDR networks or first-last ranges, as written.
        name: What decisions call it.
        until: Closed from this moment on; None: no end.
        because: The administrator's own words.
        by: Who listed it.
        created: When.
    """

    id: int
    networks: tuple[str, ...]
    name: str
    until: datetime | None
    because: str
    by: str
    created: datetime

    def ended(self, now: datetime) -> bool:
        """Whether it is closed. An ended grant is kept for a while so that decisions can say so."""
        return self.until is not None and self.until <= now


class AccountStore(Protocol):
    """All methods raise `StoreError` when the store cannot be read or written."""

    def add(self, name: Mailbox, password_hash: str, *, scram: str = "") -> AccountRecord:
        """Add an account.

        Raises:
            AccountExistsError: If the name is taken.
        """
        ...

    def remove(self, name: str) -> None:
        """Remove an account, its passwords, and it from every alias and group.

        An alias without targets goes too. The mailbox itself is not touched.

        Raises:
            UnknownAccountError: If there is none; so for all methods that take a name.
        """
        ...

    def set_password(self, name: str, password_hash: str, *, scram: str = "") -> None:
        """Give the account another password; what was signed in with the old one is not valid."""
        ...

    def disable(self, name: str) -> None:
        """Close the account for signing in and relaying; mail for it still arrives."""
        ...

    def enable(self, name: str) -> None:
        """Open it again."""
        ...

    def set_language(self, name: str, language: str) -> None:
        """Choose in which language the person reads reports; "" lets each message decide."""
        ...

    def language(self, name: str) -> str:
        """Return it, by the account's full name; "" if none was chosen or there is no account."""
        ...

    def list(self) -> tuple[AccountRecord, ...]:
        """Return all accounts by name."""
        ...

    def find(self, name: str) -> Account | None:
        """Return the account one signs in to as `name`; None if unknown, ambiguous or disabled.

        `name` is the full address; a bare local-part will do where only one domain has it.
        """
        ...

    def resolve(self, mailbox: Mailbox, *, plus_tags: bool) -> Resolution:
        """Return where mail for an address goes: aliases, groups, plus tags, catch-all."""
        ...

    def use_catch_all(self, catch_all: Mapping[str, Mailbox]) -> None:
        """Take the catch-all addresses of the configuration: domain to mailbox."""
        ...

    def add_alias(self, address: Mailbox, targets: Iterable[Mailbox]) -> Alias:
        """Let an address lead elsewhere.

        An alias at an account's own address redirects its mail; name the account itself among the
        targets to keep a copy.

        Raises:
            AliasExistsError: If it is an alias already.
            AccountError: If it would lead nowhere.
        """
        ...

    def remove_alias(self, address: Mailbox) -> None:
        """Remove an alias.

        Raises:
            UnknownAliasError: If there is none.
        """
        ...

    def aliases(self) -> tuple[Alias, ...]:
        """Return all aliases by address."""
        ...

    def credentials(self, name: str, *, lately: bool = False) -> tuple[Credential, ...]:
        """Return the passwords of an account, its own first; empty if unknown.

        With `lately` those of a moment ago will do.
        """
        ...

    def add_submission_password(
        self, account: str, label: str, password_hash: str, *, scram: str = ""
    ) -> Credential:
        """Add a password for sending.

        Raises:
            AccountError: If the label is empty or taken, or there are too many.
        """
        ...

    def revoke(self, account: str, label: str) -> None:
        """Take a submission password away, also from sessions that signed in with it.

        Raises:
            UnknownCredentialError: If there is none of that label.
        """
        ...

    def is_valid(self, credential_id: int) -> bool:
        """Whether the password is still there and its account not disabled."""
        ...

    def rehash(self, credential_id: int, password_hash: str, *, scram: str) -> None:
        """Keep the same password in another form: sessions that signed in with it stay valid.

        Raises:
            UnknownCredentialError: If it is gone meanwhile.
            AccountError: If this store is only read.
        """
        ...

    def salt_key(self) -> bytes:
        """Return the key that salts are made with, also for names that nobody has."""
        ...

    def all_know_scram(self) -> bool:
        """Whether every open account can sign in by SCRAM with its own password, a moment ago."""
        ...

    def note_used(self, credential_id: int, at: datetime) -> None:
        """Remember that a password was used; written with others, now and then."""
        ...

    def grants(self) -> tuple[Grant, ...]:
        """Return all grants, those lately ended too. Equal to the last answer unless changed."""
        ...

    def add_grant(
        self, networks: str, *, name: str, until: datetime | None, because: str, by: str
    ) -> Grant:
        """List networks (separated by commas) that may relay.

        Raises:
            GrantError: If they are no networks, everything, or wide without a `because`.
        """
        ...

    def remove_grant(self, grant_id: int) -> None:
        """Take a grant back.

        Raises:
            GrantError: If there is none of that number.
        """
        ...

    def close(self) -> None:
        """Write what waits and let go of the file."""
        ...
