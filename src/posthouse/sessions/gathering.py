"""The facts a decision depends on, fetched at the moment of its command.

A store that cannot be read never opens a door: what could not be read is a fact as well.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from posthouse.accounts.store import AccountStore, StoreError
from posthouse.mail.address import Mailbox
from posthouse.mail.message import Writers
from posthouse.policy.facts import (
    Account,
    Authorship,
    Client,
    PopSession,
    Request,
    SignIn,
    WatchedName,
)
from posthouse.policy.rules import Rules

Address = IPv4Address | IPv6Address
POP_WINDOW: Final = "pop-window"  # in `Client.unreadable`


class PopSignIns(Protocol):
    """Who fetched mail lately, and from where."""

    def sessions_from(self, address: Address, /) -> Iterable[tuple[str, datetime]]:
        """Return account names with the time of their last POP3 command."""


class WatchedNames(Protocol):
    """Where listed host names point."""

    def names_at(self, address: Address, now: datetime, /) -> tuple[WatchedName, ...]:
        """Return the names that point, or lately pointed, at the address."""

    def unreadable(self) -> frozenset[str]:
        """Return the names that cannot be looked up now."""


class AddressWatch(Protocol):
    """Watches whether clients can be told apart by their addresses."""

    def mail_begins(self, client: Client, account: str, at: datetime, /) -> str:
        """Take note of a transaction; return why its address is lost, "" if it is not."""

    def take_note(self, request: Request, /) -> None:
        """Take note of a recipient that is asked for."""


class RelayedRecipients(Protocol):
    """Who exists behind domains that are only passed on."""

    def exists(self, mailbox: Mailbox, /) -> bool | None:
        """Whether an address exists; None if nobody could tell."""

    def must_ask(self, mailbox: Mailbox, /) -> bool:
        """Whether asking its server would tell more."""

    def ask(self, mailbox: Mailbox, done: Callable[[], None], /) -> None:
        """Ask, and call `done` on the loop."""


class SignedIn(Struct, frozen=True):
    """AUTH on a connection, as the session remembers it.

    Attributes:
        account: Name of the account.
        credential: Id of the password that was used.
        mechanism: ``PLAIN`` or ``LOGIN``.
        submission_password: It was a separate submission password.
    """

    account: str
    credential: int
    mechanism: str
    submission_password: bool


class Facts:
    """Fetches facts from the stores of a server.

    Attributes:
        relayed: Knows who exists behind domains that are passed on; None: everybody does.
    """

    def __init__(
        self,
        accounts: AccountStore,
        pop_sign_ins: PopSignIns,
        watched: WatchedNames,
        addresses: AddressWatch | None = None,
    ) -> None:
        self._accounts = accounts
        self._pop_sign_ins = pop_sign_ins
        self._watched = watched
        self._addresses = addresses
        self.relayed: RelayedRecipients | None = None

    def client(self, known: Client, signed_in: SignedIn | None, at: datetime) -> Client:
        """Return what is known of a client now; `known` brings address, listener, TLS and hello.

        Raises:
            StoreError: If it signed in and nobody can tell whether that is still valid.
        """
        unreadable = self._watched.unreadable()
        sign_in = self._sign_in(signed_in)
        address_lost = ""
        if self._addresses is not None:
            account = sign_in.account.name if sign_in is not None else ""
            address_lost = self._addresses.mail_begins(known, account, at)
        pop_sessions: tuple[PopSession, ...] = ()
        try:
            pop_sessions = self._pop_sessions(known.address)
        except StoreError:
            unreadable |= {POP_WINDOW}
        names = self._watched.names_at(known.address, at)
        if not (sign_in or signed_in or pop_sessions or names or unreadable or address_lost):
            return known
        return Client(
            address=known.address,
            listener=known.listener,
            tls=known.tls,
            hello=known.hello,
            signed_in=sign_in,
            certificate=known.certificate,
            pop_sessions=pop_sessions,
            watched_names=names,
            unreadable=unreadable,
            address_lost=address_lost,
        )

    def _sign_in(self, signed_in: SignedIn | None) -> SignIn | None:
        """The sign-in if its password is still there and its account not disabled."""
        if signed_in is None or not self._accounts.is_valid(signed_in.credential):
            return None
        account = self._accounts.find(signed_in.account)
        if account is None:
            return None
        return SignIn(account, signed_in.mechanism, signed_in.submission_password)

    def _pop_sessions(self, address: Address) -> tuple[PopSession, ...]:
        found = []
        for name, last_command in self._pop_sign_ins.sessions_from(address):
            account = self._accounts.find(name)
            if account is not None:
                found.append(PopSession(account, last_command))
        return tuple(found)

    def recipient_exists(self, mailbox: Mailbox, rules: Rules) -> bool | None:
        """Whether a local forward-path leads anywhere; None if it is not local.

        Raises:
            StoreError: If that cannot be looked up now.
        """
        domain = rules.local_domains.get(mailbox.domain)
        if domain is None:
            return None
        if mailbox.local_part.lower() == "postmaster":  # RFC 5321 §4.5.1
            return True
        if domain.relayed:
            exists = True if self.relayed is None else self.relayed.exists(mailbox)
            if exists is None:
                raise StoreError(f"the server of {mailbox.domain} does not tell who exists there")
            return exists
        found = self._accounts.resolve(mailbox, plus_tags=rules.identity.plus_tags)
        # An alias that leads only to addresses which are not there would be returned to strangers.
        return bool(found.accounts) or any(_leads_on(target, rules) for target in found.forwards)

    def take_note(self, request: Request) -> None:
        """Remember a recipient that is asked for, as a sign of who is at an address."""
        if self._addresses is not None:
            self._addresses.take_note(request)

    def taken(self, client: Client, used: Iterable[Mailbox]) -> frozenset[Mailbox]:
        """Return which of the addresses used in a mail are other people's, for catch-all owners."""
        owners = [owner for owner in known_accounts(client) if owner.catch_all_domains]
        if not owners:
            return frozenset()
        return frozenset(mailbox.folded for mailbox in used if self._is_taken(mailbox, owners))

    def _is_taken(self, mailbox: Mailbox, owners: Iterable[Account]) -> bool:
        try:
            found = self._accounts.resolve(mailbox, plus_tags=True)
        except StoreError:
            return True
        return found.known and not any(owner.name in found.accounts for owner in owners)

    def advised(self, request: Request) -> Request:
        """Return a refused request with what only advice may use: whose the reverse-path is."""
        path = request.reverse_path
        if path is None or path.mailbox is None or request.sender_account is not None:
            return request
        with suppress(StoreError):
            found = self._accounts.resolve(path.mailbox, plus_tags=True)
            if len(found.accounts) == 1:
                owner = self._accounts.find(found.accounts[0])
                return replace(request, sender_account=owner)
        return request


def _leads_on(target: Mailbox, rules: Rules) -> bool:
    """Whether an address that is no account or alias may still be served."""
    domain = rules.local_domains.get(target.domain)
    return domain is None or domain.relayed or target.local_part.lower() == "postmaster"


def known_accounts(client: Client) -> list[Account]:
    """Return the accounts that a client may turn out to be."""
    accounts = [session.account for session in client.pop_sessions]
    if client.signed_in is not None:
        accounts.append(client.signed_in.account)
    return accounts


def authorship_of(writers: Writers) -> Authorship:
    """Return what the header says, as the policy knows it."""
    return Authorship(
        authors=writers.authors,
        from_fields=writers.from_fields,
        sender=writers.sender,
        sender_readable=writers.sender_readable,
        reply_to=writers.reply_to,
        reply_to_readable=writers.reply_to_readable,
    )


def addresses_used(request: Request) -> tuple[Mailbox, ...]:
    """Return every address by which a mail says whose it is."""
    used: list[Mailbox] = []
    if request.reverse_path is not None and request.reverse_path.mailbox is not None:
        used.append(request.reverse_path.mailbox)
    if request.authorship is not None:
        used += request.authorship.authors or ()
        used += [request.authorship.sender] if request.authorship.sender else []
        used += request.authorship.reply_to
    return tuple(used)
