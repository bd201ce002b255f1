"""A question a person asks of the policy, made into a request: what `ask` and tests as data use."""

from datetime import datetime, timedelta
from typing import Protocol

from msgspec import Struct

from posthouse.mail.address import Mailbox, ReversePath
from posthouse.policy.facts import (
    Account,
    Address,
    Authorship,
    Client,
    PopSession,
    Request,
    SignIn,
    WatchedName,
)
from posthouse.policy.rules import Rules, Service


class Question(Struct, frozen=True):
    """May this mail pass?

    Attributes:
        client: Address of the client, folded.
        reverse_path: Mailbox of MAIL FROM; None for the null reverse-path.
        recipient: Of RCPT TO.
        at: The moment.
        listener: Where it comes to; "" for submission when signed in, else transfer.
        tls: The session is encrypted.
        signed_in: Who signed in, if anybody.
        submission_password: With a separate submission password.
        fetched_ago: Since the sender's account fetched mail from the same address.
        host_name: A watched name that points at the client now.
        author: From field; None for the same as the reverse-path. Without either the content is
            not asked about.
        reply_to: Reply-To field.
        octets: Size of the message.
    """

    client: Address
    reverse_path: Mailbox | None
    recipient: Mailbox
    at: datetime
    listener: str = ""
    tls: bool = True
    signed_in: Mailbox | None = None
    submission_password: bool = False
    fetched_ago: timedelta | None = None
    host_name: str = ""
    author: Mailbox | None = None
    reply_to: Mailbox | None = None
    octets: int = 0


class Directory(Protocol):
    """Who has which address; what a question does not say itself."""

    def account(self, name: Mailbox) -> Account | None:
        """Return the account one signs in to by this name."""
        ...

    def owner(self, mailbox: Mailbox) -> Account | None:
        """Return the account that mail for this address reaches, if it is one."""
        ...

    def exists(self, mailbox: Mailbox) -> bool | None:
        """Return whether a local address leads anywhere; None if nobody knows."""
        ...


class AssumedDirectory:
    """For tests as data: every local address has an account of its own, and no other."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def account(self, name: Mailbox) -> Account | None:
        """Return an account with this one address."""
        return Account(str(name), frozenset({name.folded}))

    def owner(self, mailbox: Mailbox) -> Account | None:
        """Return an account with this one address, if its domain is kept here."""
        domain = self._rules.local_domains.get(mailbox.domain)
        return None if domain is None or domain.relayed else self.account(mailbox)

    def exists(self, mailbox: Mailbox) -> bool | None:
        """Nobody is looked up: every local address exists."""
        del mailbox
        return None


def request_of(question: Question, rules: Rules, directory: Directory) -> Request:
    """Return the request that the server would make of such a mail.

    A sign-in of somebody unknown is no sign-in.
    """
    path = ReversePath(question.reverse_path)
    sender = directory.owner(question.reverse_path) if question.reverse_path else None
    author = question.author or question.reverse_path
    return Request(
        at=question.at,
        client=_client(question, rules, directory, sender),
        reverse_path=path,
        forward_path=question.recipient,
        recipient_exists=directory.exists(question.recipient),
        authorship=Authorship((author,), reply_to=(question.reply_to,) if question.reply_to else ())
        if author
        else None,
        octets=question.octets,
        sender_account=sender,
    )


def _client(
    question: Question, rules: Rules, directory: Directory, sender: Account | None
) -> Client:
    account = directory.account(question.signed_in) if question.signed_in else None
    fetched: tuple[PopSession, ...] = ()
    if question.fetched_ago is not None and sender is not None:
        fetched = (PopSession(sender, question.at - question.fetched_ago),)
    named: tuple[WatchedName, ...] = ()
    if question.host_name:
        named = (WatchedName(question.host_name.lower().removesuffix("."), question.at),)
    return Client(
        question.client,
        question.listener or default_listener(rules, signed_in=account is not None),
        tls=question.tls,
        signed_in=SignIn(account, submission_password=question.submission_password)
        if account
        else None,
        pop_sessions=fetched,
        watched_names=named,
    )


def default_listener(rules: Rules, *, signed_in: bool) -> str:
    """Return where such a client comes to: submission when signed in, else transfer."""
    wanted = Service.SUBMISSION if signed_in else Service.SMTP
    for name, listener in rules.listeners.items():
        if listener.service is wanted:
            return name
    return next(iter(rules.listeners), "mx")
