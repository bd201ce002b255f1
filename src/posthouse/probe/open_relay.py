"""The address tricks by which servers were made to relay, as data.

Facts from public testers (nmap, Metasploit, abuse.net, MAPS, DSBL, mailradar and others) and from
incidents that none of them tries. Everything is written with placeholders, see `Places`.
"""

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

_PLACEHOLDER: Final = re.compile(r"\{([A-Z_]+)\}")

# MAIL: what a tester claims to be. With brackets, as it goes on the wire.
SENDERS: Final[dict[str, str]] = {
    "null": "<>",
    "foreign": "<{F}@{X}>",
    "same-as-recipient": "<{T}@{X}>",
    "at-server-name": "<{F}@{R}>",
    "at-server-address": "<{F}@[{IP}]>",
    "without-domain": "<{F}>",
    "at-localhost": "<{F}@localhost>",
    "local-user": "<{U}@{L}>",
    "local-nobody": "<nosuch-{F}@{L}>",
    "local-postmaster": "<postmaster@{L}>",
    "uucp": "<{L}!{F}>",
    "at-client-name": "<{F}@{P}>",
    "local-user-in-capitals": "<{U_UPPER}@{L_UPPER}>",
    "local-trailing-dot": "<{U}@{L}.>",
    "local-look-alike": "<{U}@xn--{L_LABEL}-9za.{L_REST}>",
    "srs-looking": "<SRS0=HHHH=TT={X}={F}@{L}>",
    "at-hello-name": "<{F}@{H}>",
}

# RCPT: where the mail would go, if somebody read it the tester's way.
RECIPIENTS: Final[dict[str, str]] = {
    "plain": "<{T}@{X}>",
    "quoted": '<"{T}@{X}">',
    "percent": "<{T}%{X}>",
    "quoted-percent": '<"{T}%{X}">',
    "percent-at-name": "<{T}%{X}@{R}>",
    "percent-at-address": "<{T}%{X}@[{IP}]>",
    "percent-at-local": "<{T}%{X}@{L}>",
    "at-at-name": "<{T}@{X}@{R}>",
    "at-at-address": "<{T}@{X}@[{IP}]>",
    "at-at-local": "<{T}@{X}@{L}>",
    "quoted-at-name": '<"{T}@{X}"@{R}>',
    "quoted-at-address": '<"{T}@{X}"@[{IP}]>',
    "quoted-at-local": '<"{T}@{X}"@{L}>',
    "source-route-name": "<@{R}:{T}@{X}>",
    "source-route-address": "<@[{IP}]:{T}@{X}>",
    "source-route-local": "<@{L}:{T}@{X}>",
    "source-route-long": "<@a.invalid,@{R}:{T}@{X}>",
    "uucp": "<{X}!{T}>",
    "uucp-at-name": "<{X}!{T}@{R}>",
    "uucp-at-address": "<{X}!{T}@[{IP}]>",
    "uucp-at-local": "<{X}!{T}@{L}>",
    "uucp-percent": "<{X}!{T}%{L}>",
    "no-brackets": "{T}@{X}",
    "empty-last-domain": "<{T}@{X}@>",
    "trailing-dot": "<{T}@{X}.>",
    "address-of-target": "<{T}@[{XIP}]>",
    "ipv6-literal": "<{T}@[IPv6:2001:db8::25]>",
    "mapped-literal": "<{T}@[IPv6:::ffff:127.0.0.1]>",
    "loopback-literal": "<{T}@[127.0.0.1]>",
    "any-literal": "<{T}@[0.0.0.0]>",
    "zone-literal": "<{T}@[IPv6:fe80::1%25lo]>",
    "localhost": "<{T}@localhost>",
    "nested-percent": "<a%b%{X}@{R}>",
    "nested-percent-local": "<{T}%{X}%{L}@{R}>",
    "blanks": "<{T} @ {X}>",
    "comment": "<{T}@{X}(of {L})>",
    "comment-before": "<{T}@(of {L}){X}>",
    "encoded-word": "<=?utf-8?q?{T}=40{X}?=@{L}>",
    "look-alike": "<{T}@xn--{L_LABEL}-9za.{L_REST}>",
    "local-as-prefix": "<{T}@{L}.{X}>",
    "local-as-suffix": "<{T}@not{L}>",
    "sub-domain": "<{T}@unlisted-probe.{L}>",
    "parent-domain": "<{T}@{L_REST}>",
    "bare": "<{T}>",
    "over-long": "<{LONG}@{X}>",
    "nul": "<{T}\0@{X}>",
    "eight-bit": "<{T}\u00e9@{X}>",
    "tab": "<{T}@{X}\t@{L}>",
    "two-paths": "<{U}@{L}><{T}@{X}>",
    "two-in-one": "<{U}@{L},{T}@{X}>",
    "parameter": "<{U}@{L}> ORCPT=rfc822;{T}@{X}",
    "escaped-at": "<{T}\\@{X}@{L}>",
    "srs0": "<SRS0=HHHH=TT={X}={T}@{L}>",
    "srs0-plus": "<SRS0+HHHH+TT+{X}+{T}@{L}>",
    "srs1": "<SRS1=HHHH=other.invalid==HHHH=TT={X}={T}@{L}>",
    "verp": "<bounce-{T}={X}@{L}>",
    "batv": "<prvs=1234567890={T}%{X}@{L}>",
    "program": "<|/usr/sbin/sendmail {T}@{X}@{L}>",
    "include": "<:include:/etc/passwd@{L}>",
}


class Approach(Struct, frozen=True):
    """The state of the session in which a trick is tried.

    Attributes:
        id: Stable name.
        hello: The greeting; "" for none.
        first: Octets sent before the server's greeting is read.
        tls: STARTTLS first.
        before: Commands before MAIL; their replies do not matter.
        parameters: Put behind MAIL.
        local_first: A recipient of the server's own before the trick's.
        pipelined: MAIL, RCPT and DATA in one write.
        chunked: BDAT instead of DATA.
        local_author: The From field names a local user.
    """

    id: str
    hello: str = "EHLO {H}"
    first: bytes = b""
    tls: bool = False
    before: tuple[str, ...] = ()
    parameters: str = ""
    local_first: bool = False
    pipelined: bool = False
    chunked: bool = False
    local_author: bool = False


_PROXY_V2: Final = (
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x7f\x00\x00\x01\x7f\x00\x00\x01\x9c\x40\x00\x19"
)
_NOBODY_BASE64: Final = "AG5vc3VjaC1wcm9iZQBwcm9iZQ=="  # nosuch-probe with the password "probe"

APPROACHES: Final = (
    Approach("ehlo"),
    Approach("helo", hello="HELO {H}"),
    Approach("hello-as-server", hello="EHLO {R}"),
    Approach("hello-as-localhost", hello="EHLO localhost"),
    Approach("no-hello", hello=""),
    Approach("tls", tls=True),
    Approach("after-reset", before=("MAIL FROM:<{U}@{L}>", "RCPT TO:<{U}@{L}>", "RSET")),
    Approach("after-second-hello", before=("MAIL FROM:<{U}@{L}>", "EHLO {R}")),
    Approach("after-local-recipient", local_first=True),
    Approach("pipelined", pipelined=True),
    Approach("chunked", chunked=True),
    Approach("auth-parameter", parameters=" AUTH={U}@{L}"),
    Approach("auth-parameter-null", parameters=" AUTH=<>"),
    Approach("auth-anonymous", before=("AUTH ANONYMOUS cHJvYmU=", "AUTH EXTERNAL =")),
    Approach("auth-empty", before=("AUTH PLAIN AAA=", "AUTH PLAIN =")),
    Approach("auth-failed", before=(f"AUTH PLAIN {_NOBODY_BASE64}",)),
    Approach("auth-cancelled", before=("AUTH LOGIN", "*")),
    Approach("xclient", before=("XCLIENT ADDR=127.0.0.1 LOGIN={U}@{L}", "EHLO {H}")),
    Approach("xforward", before=("XFORWARD NAME=localhost ADDR=127.0.0.1",)),
    Approach("proxy-v1", first=b"PROXY TCP4 127.0.0.1 127.0.0.1 40000 25\r\n"),
    Approach("proxy-v2", first=_PROXY_V2),
    Approach("local-author", local_author=True),
)

# Ends of content that are none: what follows must stay content (SMTP smuggling).
FALSE_ENDS: Final[dict[str, bytes]] = {
    "lf-dot-lf": b"\n.\n",
    "lf-dot-crlf": b"\n.\r\n",
    "crlf-dot-lf": b"\r\n.\n",
    "cr-dot-cr": b"\r.\r",
    "crlf-dot-cr": b"\r\n.\r",
    "cr-dot-crlf": b"\r.\r\n",
    "crlf-dot-nul": b"\r\n.\0\r\n",
}


class Trick(Struct, frozen=True):
    """One try.

    Attributes:
        id: Stable: the tester and its number, or sender, recipient and approach.
        sender: Behind ``MAIL FROM:``, with placeholders.
        recipient: Behind ``RCPT TO:``.
        approach: In which state.
        false_end: The trick is in the content: a second transaction behind this false end.
    """

    id: str
    sender: str
    recipient: str
    approach: Approach = APPROACHES[0]
    false_end: str = ""


def _listed(tester: str, pairs: tuple[tuple[str, str], ...], first: int = 1) -> Iterator[Trick]:
    for number, (sender, recipient) in enumerate(pairs, first):
        yield Trick(f"{tester}-{number:02}", SENDERS[sender], RECIPIENTS[recipient])


_AT = "at-server-address"
_NMAP: Final = (
    ("null", "plain"), ("foreign", "plain"), ("at-server-name", "plain"), (_AT, "plain"),
    (_AT, "percent-at-address"), (_AT, "percent-at-name"), (_AT, "quoted"), (_AT, "quoted-percent"),
    (_AT, "at-at-address"), (_AT, "quoted-at-address"), (_AT, "at-at-name"),
    (_AT, "source-route-address"), (_AT, "source-route-name"), (_AT, "uucp"),
    (_AT, "uucp-at-address"), (_AT, "uucp-at-name"),
)  # fmt: skip
_RN = "at-server-name"
_ABUSE_NET: Final = (
    ("foreign", "plain"), ("without-domain", "plain"), ("null", "plain"), (_RN, "plain"),
    (_AT, "plain"), (_RN, "percent-at-name"), (_RN, "percent-at-address"), (_RN, "quoted"),
    (_RN, "quoted-percent"), (_RN, "at-at-name"), (_RN, "quoted-at-name"), (_RN, "at-at-address"),
    (_RN, "source-route-name"), (_RN, "source-route-address"), (_RN, "uucp"),
    (_RN, "uucp-at-name"), (_RN, "uucp-at-address"),
)  # fmt: skip
_MAPS: Final = (
    (_RN, "quoted"), ("same-as-recipient", "plain"), ("at-client-name", "plain"),
    ("at-localhost", "plain"), ("without-domain", "plain"), ("null", "plain"), (_RN, "plain"),
    (_AT, "plain"), (_RN, "percent-at-name"), (_RN, "percent-at-address"),
    (_RN, "quoted-percent"), (_RN, "quoted-at-address"), (_RN, "at-at-name"),
)  # fmt: skip
_DSBL: Final = tuple(
    (sender, recipient)
    for sender in ("foreign", "without-domain", "uucp", "null")
    for recipient in ("plain", "quoted", "no-brackets", "uucp")
)
_DSBL_DOMAINS: Final = ("[127.0.0.1]", "localhost", "[{IP}]", "{P}", "{R}")
_DSBL_FORMS: Final = {"percent": "{T}%{X}", "uucp": "{X}!{T}", "quoted": '"{T}@{X}"'}
_MAILRADAR: Final = {0: "plain", 1: "no-brackets", 8: "quoted-percent", 18: "empty-last-domain"}
_OTHERS: Final = {
    "rlytest": ("<{F}@{L}>", "<{T}@{X}>"),
    "mxtoolbox": ("<{F}@{X}>", "<{T}@{X}>"),
    "aol": ("<{F}@{X}>", "<relaytest@{X}>"),
    "d7x-out-out": ("<{F}@{X}>", "<{T}@{X}>"),
    "d7x-in-out": ("<{U}@{L}>", "<{T}@{X}>"),
}


def published() -> Iterator[Trick]:
    """Yield what the known testers try, under their own numbers."""
    yield from _listed("nmap", _NMAP)
    for number, trick in enumerate(_listed("metasploit", _NMAP), 1):
        own = Trick(trick.id, trick.sender, "<{T}@[{IP}]>")
        yield own if number == 4 else trick
    yield from _listed("abuse.net", _ABUSE_NET)
    yield from _listed("maps", _MAPS, first=0)
    yield from _listed("dsbl", _DSBL)
    for number, domain in enumerate(_DSBL_DOMAINS):
        for kind, local_part in _DSBL_FORMS.items():
            recipient = f"<{local_part}@{domain}>"
            yield Trick(f"dsbl-domain-{number}-{kind}", f"<nobody@{domain}>", recipient)
    for number, recipient in _MAILRADAR.items():
        yield Trick(f"mailradar-{number:02}", SENDERS["foreign"], RECIPIENTS[recipient])
    for name, (sender, recipient) in _OTHERS.items():
        yield Trick(name, sender, recipient)


def crossed() -> Iterator[Trick]:
    """Yield so many tries that any two of sender, recipient and approach meet somewhere.

    Every recipient is tried in every approach; the senders, which are fewer than either, go along
    the diagonals and so meet each of both.
    """
    senders = tuple(SENDERS.items())
    for row, (recipient, rcpt) in enumerate(RECIPIENTS.items()):
        for column, approach in enumerate(APPROACHES):
            sender, mail = senders[(row + column) % len(senders)]
            yield Trick(f"{sender}/{recipient}/{approach.id}", mail, rcpt, approach)


def smuggled() -> Iterator[Trick]:
    """Yield attempts to begin a second transaction inside the content of an honest one."""
    for name in FALSE_ENDS:
        yield Trick(f"smuggled/{name}", "<{F}@{X}>", "<{T}@{X}>", false_end=name)


def every_trick() -> tuple[Trick, ...]:
    """Return all of them."""
    return (*published(), *crossed(), *smuggled())


class Places(Struct, frozen=True):
    """What the placeholders stand for.

    Attributes:
        server_name: R, the server's host name.
        server_address: IP, its address.
        foreign_domain: X, a domain the server is not responsible for: the canary's.
        target: T, a mailbox there that the tester controls.
        sender: F, local-part of the tester's sender.
        local_domain: L, a domain the server is responsible for.
        local_user: U, local-part of a mailbox that exists there.
        client_name: P, the name that DNS gives to the tester's address.
        hello_name: H, what the tester calls itself.
        foreign_address: XIP, the address of X's server.
    """

    server_name: str
    server_address: str
    foreign_domain: str = "canary.invalid"
    target: str = "relaytest"
    sender: str = "antispam"
    local_domain: str = "local.invalid"
    local_user: str = "postmaster"
    client_name: str = "localhost"
    hello_name: str = "probe.invalid"
    foreign_address: str = "192.0.2.25"

    def fill(self, text: str) -> str:
        """Return `text` with every placeholder filled in."""
        label, _, rest = self.local_domain.partition(".")
        address = self.server_address
        values = {
            "R": self.server_name,
            "IP": f"IPv6:{address}" if ":" in address else address,
            "X": self.foreign_domain,
            "T": self.target,
            "F": self.sender,
            "L": self.local_domain,
            "U": self.local_user,
            "P": self.client_name,
            "H": self.hello_name,
            "XIP": self.foreign_address,
            "L_LABEL": label,
            "L_REST": rest or label,
            "L_UPPER": self.local_domain.upper(),
            "U_UPPER": self.local_user.upper(),
            "LONG": f"{self.target}{'x' * 70}",
        }
        return _PLACEHOLDER.sub(lambda found: values[found[1]], text)

    def leads_away(self, recipient: str) -> bool:
        """Whether a filled-in recipient, read by RFC 5321, is of a domain that is not the server's.

        A source route is ignored, and a quoted local-part is only a local-part.
        """
        path = recipient.partition(">")[0].removeprefix("<")
        if path.startswith("@"):
            path = path.rpartition(":")[2]
        if path.startswith('"'):
            path = path.rpartition('"')[2]
        domain = path.rpartition("@")[2] if "@" in path else ""
        domain = domain.strip().rstrip(".").lower().strip("[]").removeprefix("ipv6:")
        own = {self.local_domain, self.server_name, self.server_address, "localhost", "127.0.0.1"}
        return bool(domain) and domain not in {it.lower() for it in own}
