"""How mail goes out, how names are found, and what is looked at before."""

from enum import Enum
from typing import Annotated, Literal

from annotated_types import MinLen
from pydantic import Field, Strict, model_validator

from posthouse.config.section import Section, meaning
from posthouse.config.units import parse_duration
from posthouse.config.values import (
    Address,
    ClientAddress,
    Count,
    Destination,
    DnsServer,
    DomainName,
    Duration,
    FilePath,
    Flag,
    Name,
    NextHop,
    Port,
    Rate,
    Text,
    Via,
    ViaKind,
    fault,
)
from posthouse.config.words import quoted

Weight = Annotated[int, Strict(), Field(ge=0, le=1000)]


class Security(Enum):
    """How much TLS a next hop must have."""

    OPPORTUNISTIC = "opportunistic"
    REQUIRED = "required"
    VERIFIED = "verified"


class SmartHostSignIn(Section):
    """How we sign in at a smart host."""

    user: Annotated[Text, meaning("Name to sign in with.")]
    password_file: Annotated[FilePath, meaning("File that holds the password, one line.")]


def _weights_fit(weights: tuple[int, ...], via: Via) -> None:
    if weights and len(weights) != len(via.every):
        raise fault(
            "together",
            f"{len(weights)} weights for {len(via.every)} hosts",
            "write one weight for each host in via, or leave weights out",
            key="weights",
        )


def _one_of_each_kind(addresses: tuple[str, ...]) -> None:
    versions = [":" in address for address in addresses]
    if len(versions) != len(set(versions)):
        raise fault(
            "together",
            "from_addresses has two addresses of one kind",
            "one IPv4 and one IPv6 address at most",
            key="from_addresses",
        )


def _sign_in_needs_host(sign_in: SmartHostSignIn | None, via: Via) -> None:
    if sign_in and not via.host:
        raise fault(
            "together",
            f"sign_in needs a smart host, but via is {via}",
            'write via = "smtp://relay.example.com:587", or leave sign_in out',
            key="sign_in",
        )


class Route(Section):
    """Where some mail goes. The most specific `to` wins, order never matters.

    Of two routes with the same `to`, one for accounts wins over one for senders, that over one for
    listeners, and that over one for all mail.
    """

    to: Annotated[
        tuple[Destination, ...],
        MinLen(1),
        meaning("example.com, *.example.com (its subdomains) or * (all)."),
    ] = ("*",)
    senders: Annotated[
        tuple[Destination, ...],
        meaning("Only mail whose reverse-path is in these domains, written like `to`."),
    ] = ()
    accounts: Annotated[tuple[Address, ...], meaning("Only mail that these accounts hand in.")] = ()
    listeners: Annotated[tuple[Name, ...], meaning("Only mail that comes in here.")] = ()
    via: Annotated[
        NextHop,
        meaning(
            "mx, smtp://host:port, smtps://host:port, lmtp://host:port, lmtp:///unix/socket, or"
            " capture (kept here, not sent). A list of hosts: when one does not answer, the next."
        ),
    ] = Via(ViaKind.MX)
    weights: Annotated[
        tuple[Weight, ...],
        meaning("Shares of the hosts in via. Default: the first takes all while it answers."),
    ] = ()
    tls: Annotated[Security | None, meaning("As in [outbound], which is the default.")] = None
    sign_in: Annotated[SmartHostSignIn | None, meaning("Sign in at this smart host.")] = None
    hello: Annotated[
        DomainName | None, meaning("Our name in EHLO here. Default: that of [outbound].")
    ] = None
    from_addresses: Annotated[
        tuple[ClientAddress, ...], meaning("As in [outbound], which is the default.")
    ] = ()
    sessions_per_host: Annotated[
        Count | None, meaning("As in [outbound], which is the default.")
    ] = None
    messages_per_session: Annotated[
        Count | None, meaning("As in [outbound], which is the default.")
    ] = None
    rate: Annotated[Rate | None, meaning("As in [outbound], which is the default.")] = None

    @model_validator(mode="after")
    def _fits_together(self) -> "Route":
        _sign_in_needs_host(self.sign_in, self.via)
        _weights_fit(self.weights, self.via)
        _one_of_each_kind(self.from_addresses)
        return self


class Outbound(Section):
    """How mail leaves."""

    via: Annotated[
        NextHop,
        meaning("Where mail goes that no route takes: mx, a smart host as in routes, or capture."),
    ] = Via(ViaKind.MX)
    weights: Annotated[tuple[Weight, ...], meaning("As in routes.")] = ()
    mx_port: Annotated[Port, meaning("Port of mail exchangers; another one only for tests.")] = 25
    address_literals: Annotated[
        Flag, meaning("Send mail for addresses like ann@[192.0.2.1] there. Else it is returned.")
    ] = False
    hello: Annotated[DomainName | None, meaning("Our name in EHLO. Default: the hostname.")] = None
    sign_in: Annotated[SmartHostSignIn | None, meaning("Sign in at the smart host.")] = None
    from_addresses: Annotated[
        tuple[ClientAddress, ...],
        meaning("Addresses of ours to send from, at most one IPv4 and one IPv6."),
    ] = ()
    tls: Annotated[
        Security,
        meaning(
            "opportunistic: TLS where offered, plain otherwise. required: never plain."
            " verified: never plain, and the certificate must be right, by DANE or by a public"
            " authority."
        ),
    ] = Security.OPPORTUNISTIC
    dane: Annotated[
        Flag,
        meaning(
            "Where a domain's DNS says by DNSSEC which certificate its servers have (TLSA records),"
            " send to no other. Needs a resolver that checks DNSSEC, see [dns] trust_ad."
        ),
    ] = True
    mta_sts: Annotated[
        Flag,
        meaning(
            "Where a domain publishes a policy (MTA-STS) to be enforced, send only by TLS with a"
            " verified certificate to the servers it names. DANE goes first."
        ),
    ] = True
    long_lines: Annotated[
        Literal["fold", "refuse", "keep"],
        meaning(
            "Mail to other servers with lines of more than 998 octets, which some of them break or"
            " refuse. fold: broken at a blank before we sign, but left as they are in mail that"
            " somebody signed (DKIM, ARC, S/MIME, PGP), whose signature would break. refuse:"
            " returned to its sender. keep: sent as it is. Nothing is ever cut off."
        ),
    ] = "fold"
    sessions: Annotated[Count, meaning("Sessions to all next hops at a time.")] = 100
    sessions_per_host: Annotated[
        Count,
        meaning(
            "Sessions to one next hop at a time; domains of the same exchangers count together."
            " We begin with two, and add one with each success."
        ),
    ] = 20
    messages_per_session: Annotated[Count, meaning("Messages in one session at most.")] = 100
    rate: Annotated[
        Rate | None, meaning("Messages to one next hop, evenly spread. Default: no limit.")
    ] = None
    give_up_after: Annotated[
        Duration, meaning("How long we try; RFC 5321 section 4.5.4.1 wants 4 to 5 days or more.")
    ] = parse_duration("5 days")
    tell_sender_after: Annotated[
        Duration, meaning("When the sender is told that mail is still waiting.")
    ] = parse_duration("4 h")
    route: Annotated[tuple[Route, ...], meaning("Exceptions, by destination.")] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> "Outbound":
        _sign_in_needs_host(self.sign_in, self.via)
        _weights_fit(self.weights, self.via)
        _one_of_each_kind(self.from_addresses)
        return self


class Dns(Section):
    """Who answers our DNS questions."""

    servers: Annotated[
        tuple[DnsServer, ...],
        meaning("Resolvers, address or address:port. Default: those of the system."),
    ] = ()
    timeout: Annotated[Duration, meaning("How long one question may take.")] = parse_duration("5 s")
    trust_ad: Annotated[
        Flag,
        meaning(
            "Believe the servers when they say that they checked an answer by DNSSEC (AD bit). Only"
            " where nobody can change their answers on the way to us; a server on a loopback"
            " address is always believed. DANE needs it."
        ),
    ] = False


class TlsReports(Section):
    """Reports to other domains of how TLS with their servers went (TLSRPT, RFC 8460)."""

    send: Annotated[
        Flag,
        meaning("Count, and send a report a day to each domain that asks for them in its DNS."),
    ] = False
    author: Annotated[
        Address | None, meaning("Who sends them, and reads answers. Default: the postmaster.")
    ] = None
    organization: Annotated[
        Text, meaning("Name of ours in the reports. Default: the hostname.")
    ] = ""


class Screening(Section):
    """One check of content. What it finds is refused, held or marked, never dropped."""

    name: Annotated[Text, meaning("What traces and reports call it.")]
    ask: Annotated[
        Text,
        meaning(
            "gtube: the standard test string. recipient-budget: whether a budget in"
            " [limits.each_account] or [limits.each_address] is used up, instead of deferring."
        ),
    ]
    mail: Annotated[
        Literal["all", "incoming", "relayed"],
        meaning("Which mail: all, from strangers, or from recognised clients."),
    ] = "all"
    found: Annotated[
        Literal["refuse", "hold", "mark"],
        meaning("What happens then: refuse, hold for a person, or mark with a header field."),
    ] = "hold"
    no_answer: Annotated[
        Literal["accept", "defer"], meaning("What happens if the check cannot answer.")
    ] = "defer"

    @model_validator(mode="after")
    def _is_known(self) -> "Screening":
        known = ("gtube", "recipient-budget")
        if self.ask.partition(":")[0] in ("clamd", "rspamd", "milter", "spamd"):
            raise fault(
                "not-yet",
                f"{quoted(self.ask)} is not in this version",
                "this version asks gtube and recipient-budget",
                key="ask",
            )
        if self.ask not in known:
            raise fault(
                "ask", f"{quoted(self.ask)} is no check", "ask gtube or recipient-budget", "ask"
            )
        return self
