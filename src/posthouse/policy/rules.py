"""What the operator allows, compiled from the configuration and the grants made at run time.

Rules are a set: their order never matters. What is not here is refused.
"""

from datetime import date, datetime, timedelta
from enum import Enum, StrEnum

from msgspec import Struct
from msgspec.structs import force_setattr

from posthouse.mail.address import Mailbox
from posthouse.policy.networks import NetworkTable


class Service(StrEnum):
    """What a listener is for."""

    SMTP = "smtp"  # transfer: other servers bring mail
    SUBMISSION = "submission"  # mail programs hand in mail (RFC 6409)


class DoorKind(StrEnum):
    """How a door recognises a client."""

    SIGNED_IN = "signed-in"
    POP_WINDOW = "pop-window"
    NETWORK = "network"
    HOST_NAME = "host-name"
    CERTIFICATE = "certificate"


class Passwords(Enum):
    """Which passwords open a signed-in door."""

    EITHER = "either"
    ACCOUNT = "account"  # the one that POP3 takes
    SUBMISSION = "submission"  # separate ones, made for sending


class AddressSet(Struct, frozen=True):
    """A set of addresses as an operator writes it: ``a@b``, ``@b``, ``b``, ``*.b`` or ``*``.

    Attributes:
        mailboxes: Single addresses, folded.
        domains: Whole domains.
        parents: Domains whose every subdomain is meant (``*.b``), not themselves.
        everything: ``*``.
    """

    mailboxes: frozenset[Mailbox] = frozenset()
    domains: frozenset[str] = frozenset()
    parents: frozenset[str] = frozenset()
    everything: bool = False

    def holds(self, mailbox: Mailbox) -> bool:
        """Whether the address is in the set; local-parts are compared without case."""
        if self.everything or mailbox.domain in self.domains:
            return True
        if self.mailboxes and mailbox.folded in self.mailboxes:
            return True
        return bool(self.parents) and self._has_parent(mailbox.domain)

    def holds_domain_of(self, mailbox: Mailbox) -> bool:
        """Whether some address of the set is in the same domain."""
        return self.holds(mailbox) or any(m.domain == mailbox.domain for m in self.mailboxes)

    def texts(self) -> tuple[str, ...]:
        """The set as an operator writes it, for refusals and listings."""
        return (
            *(["any address"] if self.everything else []),
            *sorted(map(str, self.mailboxes)),
            *sorted(f"@{domain}" for domain in self.domains),
            *sorted(f"@*.{domain}" for domain in self.parents),
        )

    def _has_parent(self, domain: str) -> bool:
        while "." in domain:
            domain = domain.partition(".")[2]
            if domain in self.parents:
                return True
        return False


class Door(Struct, frozen=True):
    """One way to be recognised: an entry of ``may_relay``, or a grant made at run time.

    Attributes:
        kind: How it recognises.
        name: As written, or the kind where no name was given.
        where: ``posthouse.toml:41``, or ``grant 7`` for one made at run time.
        listeners: Names of listeners where it is valid; empty means every SMTP listener.
        sends_as: Reverse-paths and authors it may write as; None leaves it to the identity rule.
        sends_to: Recipients it may send to; None means any.
        until: Last day (whole, UTC) or first moment after which it is closed; None: no end.
        because: The operator's own words.
        window: Of a POP window.
        passwords: Of a signed-in door.
        networks: Of a network door, as written; the table in `Rules` finds them.
        hosts: Of a host-name door: lower-case names.
        linger: How long an address of a host-name door stays good after it went away.
        certificates: Of a certificate door: names in lower case, or fingerprints (SHA-256, hex).
    """

    kind: DoorKind
    name: str
    where: str = ""
    listeners: frozenset[str] = frozenset()
    sends_as: AddressSet | None = None
    sends_to: AddressSet | None = None
    until: date | datetime | None = None
    because: str = ""
    window: timedelta = timedelta(minutes=30)
    passwords: Passwords = Passwords.EITHER
    networks: tuple[str, ...] = ()
    hosts: frozenset[str] = frozenset()
    linger: timedelta = timedelta(hours=1)
    certificates: frozenset[str] = frozenset()


class Ownership(Enum):
    """Which addresses an account may use in one place."""

    OWN_ADDRESSES = "own-addresses"
    OWN_DOMAINS = "own-domains"
    ANYTHING = "anything"


class Identity(Struct, frozen=True):
    """Who may write as whom (RFC 6409 §6.1). `hold` holds what would be refused at the content."""

    reverse_path: Ownership = Ownership.OWN_ADDRESSES
    from_: Ownership = Ownership.OWN_ADDRESSES
    reply_to: Ownership = Ownership.OWN_DOMAINS
    plus_tags: bool = True
    hold: bool = False
    where: str = ""


class LocalDomain(Struct, frozen=True):
    """A domain we take mail for.

    Attributes:
        domain: Lower-case A-labels.
        where: Its configuration line.
        relayed: Passed on to a server of its own (``deliver_via``) instead of kept here.
        catch_all: Unknown addresses reach a mailbox here.
    """

    domain: str
    where: str = ""
    relayed: bool = False
    catch_all: bool = False


class Budget(Struct, frozen=True):
    """So many in so much time: ``500 per hour``."""

    count: int
    period: timedelta


class Limits(Struct, frozen=True):
    """How much; None is no limit. Defaults are those of the configuration."""

    message_octets: int = 25_000_000
    recipients_per_message: int = 100
    sessions: int = 5000
    sessions_per_address: int = 20
    hops: int = 30  # RFC 5321 §6.3 wants at least 100 received fields tolerated or a loop test
    account_recipients: Budget | None = None
    account_new_recipients: Budget | None = None
    address_recipients: Budget | None = None
    address_connections: Budget | None = None


class CheckRule(Struct, frozen=True):
    """What to do with what one screening check says."""

    name: str
    ask: str = "gtube"  # gtube | recipient-budget
    found: str = "hold"  # refuse | hold | mark
    no_answer: str = "defer"  # accept | defer
    where: str = ""


class AuthorRule(Struct, frozen=True):
    """What follows where the author's domain does not confirm a stranger's mail (DMARC).

    Attributes:
        refuses: What the domain asks to reject is refused; else all is accepted and marked.
        forwarders: Domains that may pass on what the author's domain no longer confirms.
        where: The configuration line.
    """

    refuses: bool = False
    forwarders: frozenset[str] = frozenset()
    where: str = ""


class ListenerRule(Struct, frozen=True):
    """What the policy must know of a listener.

    Attributes:
        name: Such as ``submission``.
        service: What it is for.
        tls_before_sign_in: AUTH is offered only after TLS.
        ports: For advice: ``587``.
        tls_from_start: TLS from the first octet (RFC 8314).
        mechanisms: How one signs in; empty for those that every account can use.
        proxied_from: Networks of proxies that tell the real client by a PROXY header.
        asks_certificate: Clients are asked for a certificate in the TLS handshake.
        told_from: Networks of servers that tell the real client by XCLIENT and XFORWARD.
        mends_newlines: Bare CR and LF in content of our own clients become CRLF.
        greeting_pause: How long the greeting waits for those who speak before it, who are then
            refused; zero: it does not.
        where: Its configuration line.
    """

    name: str
    service: Service
    tls_before_sign_in: bool = True
    ports: tuple[int, ...] = ()
    tls_from_start: bool = False
    mechanisms: tuple[str, ...] = ()
    proxied_from: NetworkTable | None = None
    told_from: NetworkTable | None = None
    asks_certificate: bool = False
    mends_newlines: bool = False
    greeting_pause: timedelta = timedelta(0)
    where: str = ""


class Rules(Struct, frozen=True):
    """All that the operator allows.

    Attributes:
        hostname: Our own name.
        listeners: SMTP and submission listeners, by name.
        local_domains: Domains we take mail for, by name.
        doors: Every door, network doors included.
        networks: Finds the network doors that hold an address; values are indices in `doors`.
        identity: Who may write as whom.
        limits: How much.
        checks: Screening entries, by name.
        authors: What follows where an author is not confirmed.
        serves_pop3: Whether mail can be fetched here at all.
        signed_in_doors, pop_window_doors, host_name_doors: Made of `doors`.
        networks_written: How many networks were listed, and where; made of `doors`.
        holds_over_budget: Made of `checks`: a check decides on used-up budgets, at the content.
        some_door_ends: Made of `doors`: what is open may be closed a moment later.
    """

    hostname: str
    listeners: dict[str, ListenerRule]
    local_domains: dict[str, LocalDomain]
    doors: tuple[Door, ...]
    networks: NetworkTable
    identity: Identity = Identity()
    limits: Limits = Limits()
    checks: dict[str, CheckRule] = {}
    authors: AuthorRule = AuthorRule()
    serves_pop3: bool = True
    signed_in_doors: tuple[Door, ...] = ()
    pop_window_doors: tuple[Door, ...] = ()
    host_name_doors: tuple[Door, ...] = ()
    certificate_doors: tuple[Door, ...] = ()
    holds_over_budget: bool = False
    some_door_ends: bool = False
    networks_written: tuple[int, str] = (0, "")

    def __post_init__(self) -> None:
        """Sort the doors once, so that a decision looks only at those it asks about."""
        for field, kind in (
            ("signed_in_doors", DoorKind.SIGNED_IN),
            ("pop_window_doors", DoorKind.POP_WINDOW),
            ("host_name_doors", DoorKind.HOST_NAME),
            ("certificate_doors", DoorKind.CERTIFICATE),
        ):
            force_setattr(self, field, tuple(door for door in self.doors if door.kind is kind))
        written = [door for door in self.doors if door.kind is DoorKind.NETWORK]
        count = sum(len(door.networks) for door in written)
        others = f" and {len(written) - 1} more" if len(written) > 1 else ""
        where = f"{written[0].where}{others}" if written else ""
        force_setattr(self, "networks_written", (count, where))
        asks = {check.ask for check in self.checks.values()}
        force_setattr(self, "holds_over_budget", "recipient-budget" in asks)
        force_setattr(self, "some_door_ends", any(door.until for door in self.doors))
