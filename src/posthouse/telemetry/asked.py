"""What a decision depended on, kept beside it, so that the same question can be put again."""

from datetime import datetime
from ipaddress import ip_address
from typing import Final

from msgspec import Struct

from posthouse.mail.address import Mailbox, parse_mailbox, parse_reverse_path
from posthouse.policy.facts import (
    Authorship,
    Client,
    Finding,
    Load,
    PopSession,
    Request,
    SignIn,
    Usage,
    WatchedName,
)

# msgspec leaves a default out only where it is this very object.
NO_USAGE: Final = Usage()
NO_LOAD: Final = Load()


class Asked(Struct, frozen=True, omit_defaults=True):
    """The facts of a request that its case does not tell already; see `policy.facts`."""

    signed_in: SignIn | None = None
    pop_sessions: tuple[PopSession, ...] = ()
    watched_names: tuple[WatchedName, ...] = ()
    unreadable: frozenset[str] = frozenset()
    address_lost: str = ""
    recipient_exists: bool | None = None
    recipient_unreadable: bool = False
    recipients: tuple[Mailbox, ...] = ()
    authorship: Authorship | None = None
    octets: int = 0
    hops: int = 0
    findings: tuple[Finding, ...] = ()
    usage: Usage = NO_USAGE
    load: Load = NO_LOAD
    taken: frozenset[Mailbox] = frozenset()


class Told(Struct, frozen=True):
    """What a case tells of its request by itself.

    Attributes:
        at: The moment.
        client: Address as text.
        listener: Where it came to.
        tls: The connection was encrypted.
        hello: The name given by EHLO.
        reverse_path: ``a@b``; ``<>`` for the null one; "" before MAIL.
        forward_path: ``a@b``; "" before RCPT.
    """

    at: datetime
    client: str
    listener: str
    tls: bool
    hello: str
    reverse_path: str
    forward_path: str


def asked_of(request: Request) -> Asked:
    """Return what is to be kept of a request."""
    client = request.client
    return Asked(
        signed_in=client.signed_in,
        pop_sessions=client.pop_sessions,
        watched_names=client.watched_names,
        unreadable=client.unreadable,
        address_lost=client.address_lost,
        recipient_exists=request.recipient_exists,
        recipient_unreadable=request.recipient_unreadable,
        recipients=request.recipients,
        authorship=request.authorship,
        octets=request.octets,
        hops=request.hops,
        findings=request.findings,
        usage=NO_USAGE if request.usage == NO_USAGE else request.usage,
        load=NO_LOAD if request.load == NO_LOAD else request.load,
        taken=request.taken,
    )


def request_again(told: Told, asked: Asked) -> Request:
    """Return the request, as it was put.

    Raises:
        ValueError: If an address in it cannot be read.
    """
    path = told.reverse_path
    return Request(
        at=told.at,
        client=Client(
            address=ip_address(told.client),
            listener=told.listener,
            tls=told.tls,
            hello=told.hello,
            signed_in=asked.signed_in,
            pop_sessions=asked.pop_sessions,
            watched_names=asked.watched_names,
            unreadable=asked.unreadable,
            address_lost=asked.address_lost,
        ),
        reverse_path=parse_reverse_path(path if path == "<>" else f"<{path}>") if path else None,
        forward_path=parse_mailbox(told.forward_path) if told.forward_path else None,
        recipient_exists=asked.recipient_exists,
        recipient_unreadable=asked.recipient_unreadable,
        recipients=asked.recipients,
        authorship=asked.authorship,
        octets=asked.octets,
        hops=asked.hops,
        findings=asked.findings,
        usage=asked.usage,
        load=asked.load,
        taken=asked.taken,
    )
