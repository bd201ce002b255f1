"""Who may relay, and who may write as whom."""

import re
from typing import Annotated, Literal

from annotated_types import MinLen
from pydantic import Field, PlainValidator
from pydantic.json_schema import WithJsonSchema

from posthouse.config.section import Section, meaning
from posthouse.config.units import parse_duration
from posthouse.config.values import (
    Count,
    DomainName,
    Duration,
    Flag,
    Name,
    Networks,
    Pattern,
    Text,
    Until,
    fault,
    text_of,
)
from posthouse.mail.address import AddressError, parse_domain, parse_mailbox
from posthouse.policy.rules import Ownership, Passwords


class Door(Section):
    """One way to be recognised. Doors are a set: any open one is enough, order never matters."""

    name: Annotated[Text, meaning("What traces and replies call it. Default: its `who`.")] = ""
    listeners: Annotated[
        tuple[Name, ...] | None,
        MinLen(1),
        meaning("Listeners where it is valid. Default: every smtp and submission listener."),
    ] = None
    sends_as: Annotated[
        tuple[Pattern, ...] | None,
        MinLen(1),
        meaning(
            "Addresses it may write as: name@example.com, @example.com, *.example.com or *."
            " Default: own addresses of the account; for network and host-name all local domains."
        ),
    ] = None
    sends_to: Annotated[
        tuple[Pattern, ...] | None,
        MinLen(1),
        meaning("Recipients it may send to, written as in sends_as. Default: any."),
    ] = None
    until: Annotated[
        Until | None,
        meaning(
            "Last day (whole, UTC), or the moment (UTC unless it has an offset) when it closes."
        ),
    ] = None
    because: Annotated[Text, meaning("Why, in your own words: ticket, who asked for it.")] = ""


class SignedIn(Door):
    """AUTH on this connection (RFC 4954)."""

    who: Annotated[Literal["signed-in"], meaning("The client signed in by SMTP AUTH.")]
    passwords: Annotated[
        Passwords,
        meaning(
            "account: the one that POP3 takes. submission: separate ones, made for sending."
            " either: both."
        ),
    ] = Passwords.EITHER


class PopWindow(Door):
    """A recent POP3 session from the same address."""

    who: Annotated[
        Literal["pop-window"], meaning("The account fetched mail from this address a moment ago.")
    ]
    window: Annotated[
        Duration, meaning("How long ago; counted from the last command of the POP3 session.")
    ] = parse_duration("30 min")


class Network(Door):
    """A client address."""

    who: Annotated[Literal["network"], meaning("The client's address is in one of the networks.")]
    networks: Annotated[
        tuple[Networks, ...],
        MinLen(1),
        meaning("192.0.2.0/24, a single 192.0.2.7, or a range 192.0.2.7-192.0.2.20; IPv6 alike."),
    ]


class HostName(Door):
    """A client whose name is looked up forward, again and again."""

    who: Annotated[
        Literal["host-name"], meaning("The client's address is one that a listed name points to.")
    ]
    hosts: Annotated[
        tuple[DomainName, ...], MinLen(1), meaning("Names, such as those of dynamic DNS services.")
    ]
    refresh: Annotated[Duration, meaning("Time between look-ups.")] = parse_duration("5 min")
    linger: Annotated[
        Duration, meaning("How long an address stays good after the name left it.")
    ] = parse_duration("1 h")


def read_certificate(value: object) -> str:
    """Return a name or a fingerprint in its compared form."""
    text = text_of(value).strip()
    bare = text.replace(":", "").removeprefix("sha256").lower()
    if re.fullmatch(r"[0-9a-f]{64}", bare):
        return bare
    try:
        return str(parse_mailbox(text).folded) if "@" in text else parse_domain(text)
    except AddressError:
        raise fault(
            "certificate",
            f'"{text}" is no name and no fingerprint',
            'write "printer.example.com", "ann@example.com" or the SHA-256 in 64 hex digits',
        ) from None


CertificateText = Annotated[
    str,
    PlainValidator(read_certificate),
    WithJsonSchema({"type": "string", "examples": ["printer.example.com"]}),
]


class Certificate(Door):
    """A client certificate (RFC 5246 section 7.4.6, RFC 8446 section 4.4.2)."""

    who: Annotated[
        Literal["certificate"],
        meaning(
            "The client showed a certificate in the TLS handshake. Clients are asked for one on"
            " the listeners of this door, without any on all submission listeners; who shows one"
            " that tls.client_authorities do not vouch for gets no connection there."
        ),
    ]
    certificates: Annotated[
        tuple[CertificateText, ...],
        MinLen(1),
        meaning("Host names or addresses in the certificate, or its SHA-256 in hex digits."),
    ]


AnyDoor = Annotated[
    SignedIn | PopWindow | Network | HostName | Certificate, Field(discriminator="who")
]


class Identity(Section):
    """Who may write as whom (RFC 6409 section 6.1). Holds for recognised clients, everywhere."""

    reverse_path: Annotated[
        Ownership,
        meaning(
            "What MAIL FROM may be. own-addresses: the account's, aliases included."
            " own-domains: any address in its domains. anything: no check."
        ),
    ] = Ownership.OWN_ADDRESSES
    from_: Annotated[Ownership, meaning("What the From and Sender fields may be.")] = Field(
        Ownership.OWN_ADDRESSES, alias="from"
    )
    reply_to: Annotated[Ownership, meaning("What the Reply-To field may be.")] = (
        Ownership.OWN_DOMAINS
    )
    plus_tags: Annotated[
        Flag, meaning("ann+shop@example.com belongs to ann@example.com (RFC 5233).")
    ] = True
    otherwise: Annotated[
        Literal["refuse", "hold"],
        meaning("What happens to content that breaks the rule: refused, or held for a person."),
    ] = "refuse"


class LostAddresses(Section):
    """What happens when clients cannot be told apart by address: a gateway or proxy hides them."""

    then: Annotated[
        Literal["sign-in-only", "alarm-only"],
        meaning(
            "sign-in-only: nobody relays by that address any more, signing in still works."
            " alarm-only: it is told in the log and by `posthouse status`, and nothing else."
        ),
    ] = "sign-in-only"
    unrelated_names: Annotated[
        Count,
        meaning(
            "EHLO names of different owners from one private address that no single machine has."
            " From a public address nearly all mail must come as well. Half as many are enough"
            " where five accounts signed in from it."
        ),
    ] = 10
    within: Annotated[Duration, meaning("Time in which so many come.")] = parse_duration("10 min")
    lasts: Annotated[
        Duration, meaning("How long the address counts as lost after the last sign of it.")
    ] = parse_duration("24 h")
    shared: Annotated[
        tuple[Networks, ...],
        meaning("Addresses that many are meant to share, such as an office's NAT: no alarm there."),
    ] = ()
