"""The ports of a mail host as a mail program knows them, and what is seen at each."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from posthouse.probe.certificate import TlsSeen


class Service(StrEnum):
    """What a port is for; the names of the services registry where there is one."""

    SMTP = "smtp"  # between servers, port 25
    SUBMISSION = "submission"  # RFC 6409, port 587
    SUBMISSIONS = "submissions"  # RFC 8314 section 3.3, port 465
    POP3 = "pop3"
    POP3S = "pop3s"

    @property
    def from_start(self) -> bool:
        """Whether TLS comes first."""
        return self in (Service.SUBMISSIONS, Service.POP3S)

    @property
    def fetches(self) -> bool:
        """Whether POP3 is spoken; else SMTP."""
        return self in (Service.POP3, Service.POP3S)


class Door(Struct, frozen=True, order=True):
    """A service on a port."""

    service: Service
    port: int


USUAL_DOORS: Final = (
    Door(Service.SMTP, 25),
    Door(Service.SUBMISSIONS, 465),
    Door(Service.SUBMISSION, 587),
    Door(Service.POP3S, 995),
    Door(Service.POP3, 110),
)


class Reach(StrEnum):
    """How far one comes with a port; the time-outs are told apart."""

    OPEN = "open"
    REFUSED = "refused"  # the host answers: nothing listens there
    FILTERED = "filtered"  # no answer at all: a firewall between here and there, or the host's
    UNREACHABLE = "unreachable"  # the network says that there is no way
    SILENT = "silent"  # connected, and then no greeting
    TURNED_AWAY = "turned-away"  # the greeting itself is a refusal
    BROKEN = "broken"  # connected, and then something that is not this service
    NO_ADDRESS = "no-address"  # DNS knows no address


class Offer(Struct, frozen=True):
    """What a server offers at one moment.

    Attributes:
        upgrade: STARTTLS or STLS.
        mechanisms: AUTH or SASL; for POP3 "USER" too.
        size_octets_max: SIZE; None where it is not told.
    """

    upgrade: bool = False
    mechanisms: tuple[str, ...] = ()
    size_octets_max: int | None = None


class Visit(Struct, frozen=True, kw_only=True):
    """What was seen at one port of one host.

    Attributes:
        address: That was talked to, or tried last.
        dead: Addresses of the host that did not answer although another did.
        clear: Offered before TLS; None where TLS comes first or nothing was said.
        encrypted: Offered after TLS.
        trouble: What went wrong, for the table.
    """

    host: str
    door: Door
    reach: Reach
    address: str = ""
    dead: tuple[str, ...] = ()
    greeting: str = ""
    clear: Offer | None = None
    tls: TlsSeen | None = None
    encrypted: Offer | None = None
    trouble: str = ""

    @property
    def is_open(self) -> bool:
        """Whether the service is there."""
        return self.reach is Reach.OPEN

    @property
    def is_trusted(self) -> bool:
        """Whether a password may be said: encrypted, to the host that was meant."""
        return self.tls is not None and not self.tls.problem

    @property
    def offer(self) -> Offer:
        """What is offered at the safest moment."""
        return self.encrypted or self.clear or Offer()
