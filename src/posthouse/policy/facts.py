"""All that a decision may depend on, the time included. Whatever is not here cannot matter."""

from datetime import datetime
from ipaddress import IPv4Address, IPv6Address

from msgspec import Struct

from posthouse.mail.address import Mailbox, ReversePath

Address = IPv4Address | IPv6Address


class Account(Struct, frozen=True):
    """What the policy knows of an account.

    Attributes:
        name: Primary address as text: what one signs in with.
        addresses: All addresses that reach it: its own, aliases, groups it belongs to; folded.
        catch_all_domains: Domains whose unknown addresses reach it.
    """

    name: str
    addresses: frozenset[Mailbox]
    catch_all_domains: frozenset[str] = frozenset()


class SignIn(Struct, frozen=True):
    """AUTH on this connection (RFC 4954).

    Attributes:
        account: Who signed in.
        mechanism: SASL mechanism, ``PLAIN``.
        submission_password: A separate submission password was used, not the account's own.
    """

    account: Account
    mechanism: str = "PLAIN"
    submission_password: bool = False


class PopSession(Struct, frozen=True):
    """The last POP3 session of one account from the client's address.

    Attributes:
        account: Whose mail was fetched.
        last_command: Time of its last command: windows are counted from it.
    """

    account: Account
    last_command: datetime


class WatchedName(Struct, frozen=True):
    """A listed host name that points, or lately pointed, at the client's address.

    Attributes:
        host: Lower-case name without a trailing dot.
        last_seen: When a look-up last gave this address.
    """

    host: str
    last_seen: datetime


class ClientCertificate(Struct, frozen=True):
    """A certificate that the client showed in the TLS handshake, and that was verified.

    Attributes:
        names: Host names and mail addresses in it, lower-case.
        fingerprint: SHA-256 of it, hex; "" where only a proxy has seen it.
    """

    names: frozenset[str]
    fingerprint: str = ""


class Client(Struct, frozen=True):
    """Who is at the other end of the connection, as far as we know.

    Attributes:
        address: IPv4-mapped IPv6 addresses are folded to IPv4 before they come here.
        listener: Name of the listener the client came to.
        tls: The connection is encrypted.
        hello: The name given by EHLO; never believed, only shown.
        signed_in: AUTH on this connection, and the password is still valid.
        certificate: What it showed in the TLS handshake; None if nothing, or nothing verified.
        pop_sessions: Known POP3 sessions from this address, ended windows included.
        watched_names: Listed host names that point here or lately did.
        unreadable: What could not be read now: ``pop-window``, or a watched host name.
        address_lost: Why the address seems to be many clients' at once; "" where it does not.
    """

    address: Address
    listener: str
    tls: bool = False
    hello: str = ""
    signed_in: SignIn | None = None
    certificate: ClientCertificate | None = None
    pop_sessions: tuple[PopSession, ...] = ()
    watched_names: tuple[WatchedName, ...] = ()
    unreadable: frozenset[str] = frozenset()
    address_lost: str = ""


class Authorship(Struct, frozen=True):
    """The header fields by which a message says whose it is (RFC 5322 §3.6.2).

    Attributes:
        authors: Mailboxes of all From fields; None if From is missing or cannot be parsed.
        from_fields: Number of From fields; more than one is ambiguous.
        sender: Mailbox of the Sender field; None where absent.
        sender_readable: False if a Sender field is there and cannot be parsed.
        reply_to: Mailboxes of all Reply-To fields; empty where absent.
        reply_to_readable: False if a Reply-To field is there and cannot be parsed.
    """

    authors: tuple[Mailbox, ...] | None
    from_fields: int = 1
    sender: Mailbox | None = None
    sender_readable: bool = True
    reply_to: tuple[Mailbox, ...] = ()
    reply_to_readable: bool = True


class Usage(Struct, frozen=True):
    """How much was sent lately, this transaction's accepted recipients included.

    Attributes:
        account_recipients: Of the account, within the budget's period.
        account_new_recipients: Of those, never written to before.
        address_recipients: Of the client's address without an account.
    """

    account_recipients: int = 0
    account_new_recipients: int = 0
    address_recipients: int = 0


class Finding(Struct, frozen=True):
    """What one screening check found.

    Attributes:
        check: Name of the ``[[screening]]`` entry.
        found: True, False, or None if it gave no answer.
        detail: What it said, ASCII.
    """

    check: str
    found: bool | None
    detail: str = ""


class Load(Struct, frozen=True):
    """What the server carries at this moment.

    Attributes:
        sessions: Open ones, all listeners together.
        sessions_from_address: Of those, from the client's address.
        shutting_down: It is stopping.
        connections_from_address: That the client's address made within the period of its budget.
    """

    sessions: int = 0
    sessions_from_address: int = 0
    shutting_down: bool = False
    connections_from_address: int = 0


class Request(Struct, frozen=True):
    """What the policy is asked. Each `decide_*` reads the part that its stage knows.

    Attributes:
        at: The moment; carries a zone.
        client: The other end.
        reverse_path: From MAIL on.
        forward_path: At RCPT.
        recipient_exists: Whether the local forward-path leads to a mailbox; None if not looked
            up, or the look-up failed (then `recipient_unreadable` is True).
        recipients: Recipients accepted in this transaction so far.
        authorship: At the end of the content.
        octets: Size of the content, or the declared size at MAIL.
        hops: Received fields in the content.
        findings: What screening found.
        usage: What was sent lately.
        load: What the server carries.
        taken: Addresses used in this mail that lead to somebody else's mailbox here, folded.
        sender_account: Whose address the reverse-path is, if an account's here. Opens nothing:
            only `counterfactual` reads it, to say who would have to sign in.
    """

    at: datetime
    client: Client
    reverse_path: ReversePath | None = None
    forward_path: Mailbox | None = None
    recipient_exists: bool | None = None
    recipient_unreadable: bool = False
    recipients: tuple[Mailbox, ...] = ()
    authorship: Authorship | None = None
    octets: int = 0
    hops: int = 0
    findings: tuple[Finding, ...] = ()
    usage: Usage = Usage()
    load: Load = Load()
    taken: frozenset[Mailbox] = frozenset()
    sender_account: Account | None = None
