"""Tables about domains, TLS and listeners: where mail comes in."""

from datetime import timedelta
from enum import Enum
from typing import Annotated, Final, Literal

from annotated_types import MinLen
from pydantic import model_validator

from posthouse.config.section import Section, meaning
from posthouse.config.values import (
    Address,
    Duration,
    FilePath,
    Flag,
    ListenOn,
    Networks,
    NextHop,
    ViaKind,
    fault,
)

GREETING_PAUSE: Final = timedelta(seconds=1)


class Domain(Section):
    """A domain we take mail for, from anyone."""

    catch_all: Annotated[
        Address | None, meaning("Mailbox that gets mail for addresses nobody has.")
    ] = None
    deliver_via: Annotated[
        NextHop | None,
        meaning("Server that keeps this domain's mail; we check, spool and pass on to it."),
    ] = None
    recipients_file: Annotated[
        FilePath | None,
        meaning(
            "With deliver_via: file of the addresses there are, one a line, whole or only what is"
            " before the @; # begins a remark. Others are refused."
        ),
    ] = None
    verify_recipients: Annotated[
        Flag,
        meaning(
            "With deliver_via: ask that server by RCPT whether it takes a recipient, and remember"
            " the answer. Who is unknown while it is silent is deferred."
        ),
    ] = False
    rewrite_senders: Annotated[
        Flag,
        meaning(
            "With deliver_via: strangers' reverse-paths become ours (SRS) on the way to that"
            " server, for one that checks SPF and cannot be told to trust this one. Bounces find"
            " back."
        ),
    ] = False

    @model_validator(mode="after")
    def _names_a_server(self) -> "Domain":
        if self.deliver_via and self.deliver_via.kind is ViaKind.MX:
            raise fault(
                "deliver-via",
                "deliver_via must name a server: the exchanger of this domain is this server",
                'write deliver_via = "smtp://mx.example.com:25", or leave it out to keep mail here',
                key="deliver_via",
            )
        if self.rewrite_senders and not self.deliver_via:
            raise fault(
                "together",
                "senders are rewritten on the way to another server only",
                "leave rewrite_senders out, or add deliver_via",
                key="rewrite_senders",
            )
        if (self.recipients_file or self.verify_recipients) and not self.deliver_via:
            raise fault(
                "together",
                "recipients of a domain that is kept here are known already",
                "leave recipients_file and verify_recipients out, or add deliver_via",
                key="recipients_file" if self.recipients_file else "verify_recipients",
            )
        if self.deliver_via and self.catch_all:
            raise fault(
                "together",
                "catch_all and deliver_via exclude each other",
                "the server behind deliver_via knows its own addresses: leave catch_all out",
                key="catch_all",
            )
        return self


class Tls(Section):
    """The certificate we show. Without one Posthouse makes its own, which no one trusts."""

    certificate: Annotated[
        FilePath | None, meaning("PEM file with the certificate and its chain.")
    ] = None
    key: Annotated[FilePath | None, meaning("PEM file with the private key.")] = None
    client_authorities: Annotated[
        FilePath | None,
        meaning(
            "PEM file with those who sign certificates of clients, or with such certificates"
            " themselves; for doors of kind certificate."
        ),
    ] = None

    @model_validator(mode="after")
    def _both_or_none(self) -> "Tls":
        if bool(self.certificate) != bool(self.key):
            missing = "key" if self.certificate else "certificate"
            raise fault(
                "together",
                f"certificate and key belong together, {missing} is missing",
                f'add {missing} = "/etc/posthouse/{missing}.pem"',
                key="certificate" if self.certificate else "key",
            )
        return self


class ServiceName(Enum):
    """What a listener speaks."""

    SMTP = "smtp"
    SUBMISSION = "submission"
    POP3 = "pop3"
    HELP = "help"
    CONSOLE = "console"


MechanismName = Literal[
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-256",
    "PLAIN",
    "LOGIN",
    "OAUTHBEARER",
    "XOAUTH2",
    "CRAM-MD5",
    "APOP",
]


class TlsRule(Enum):
    """When a listener encrypts."""

    OFFERED = "offered"
    BEFORE_SIGN_IN = "before-sign-in"
    FROM_START = "from-start"


class Listener(Section):
    """Where we listen, and for what."""

    service: Annotated[
        ServiceName,
        meaning(
            "smtp: other servers bring mail. submission: people hand in mail (RFC 6409)."
            " pop3: people fetch mail. help and console: web pages, not in this version."
        ),
    ]
    on: Annotated[tuple[ListenOn, ...], MinLen(1), meaning("Addresses with ports.")]
    tls: Annotated[
        TlsRule | None,
        meaning(
            "offered: by STARTTLS or STLS, nobody has to. before-sign-in: the same, and no password"
            " is taken without. from-start: from the first octet (RFC 8314)."
            " Default: offered for smtp, before-sign-in for submission and pop3."
        ),
    ] = None
    mechanisms: Annotated[
        tuple[MechanismName, ...] | None,
        MinLen(1),
        meaning(
            "How one signs in. Default: PLAIN and LOGIN; SCRAM too once something is kept for it of"
            " every password; OAUTHBEARER and XOAUTH2 with [accounts.tokens]."
            " -PLUS only where the connection can be bound to."
        ),
    ] = None
    proxied_from: Annotated[
        tuple[Networks, ...],
        meaning(
            "Networks of proxies: a connection from there must begin with a PROXY header (version"
            " 1 or 2), which tells the real client address. Others come directly."
        ),
    ] = ()
    xclient_from: Annotated[
        tuple[Networks, ...],
        meaning(
            "Networks of servers and filters that tell the real client by XCLIENT and XFORWARD;"
            " smtp and submission only."
        ),
    ] = ()

    bare_newlines: Annotated[
        Literal["refuse", "mend"],
        meaning(
            "Content with lines that do not end with CR LF. mend: bare CR and bare LF become CR LF,"
            " for old devices; submission only. What ends a message stays CR LF, dot, CR LF."
        ),
    ] = "refuse"
    early_talkers: Annotated[
        Literal["allow", "refuse"],
        meaning(
            "Clients that speak before the greeting, or on behind EHLO or DATA without waiting for"
            " the answer; smtp only. refuse: the greeting waits a moment for them."
        ),
    ] = "allow"
    greeting_pause: Annotated[
        Duration | None,
        meaning('With early_talkers = "refuse": how long the greeting waits. Default: 1 s.'),
    ] = None

    @model_validator(mode="after")
    def _fits_the_service(self) -> "Listener":
        if self.bare_newlines == "mend" and self.service is not ServiceName.SUBMISSION:
            raise fault(
                "together",
                "newlines are mended for our own clients only, never for strangers",
                'leave bare_newlines out, or make this listener service = "submission"',
                key="bare_newlines",
            )
        if self.early_talkers == "refuse" and self.service is not ServiceName.SMTP:
            raise fault(
                "together",
                "early talkers are refused where other servers bring mail only",
                'leave early_talkers out, or make this listener service = "smtp"',
                key="early_talkers",
            )
        if self.greeting_pause and self.early_talkers == "allow":
            raise fault(
                "together",
                "a pause without a purpose keeps clients waiting",
                'add early_talkers = "refuse", or leave greeting_pause out',
                key="greeting_pause",
            )
        return self

    @property
    def pause_before_greeting(self) -> timedelta:
        """How long the greeting waits for early talkers; zero where they are allowed."""
        if self.early_talkers == "allow":
            return timedelta(0)
        return self.greeting_pause or GREETING_PAUSE

    @property
    def tls_rule(self) -> TlsRule:
        """The rule that holds: as written, or the default of the service."""
        if self.tls is not None:
            return self.tls
        if self.service in (ServiceName.SUBMISSION, ServiceName.POP3):
            return TlsRule.BEFORE_SIGN_IN
        return TlsRule.FROM_START if self.service is ServiceName.HELP else TlsRule.OFFERED


def _everywhere(service: str, port: int, tls: str) -> Listener:
    on = [f"0.0.0.0:{port}", f"[::]:{port}"]
    return Listener.model_validate({"service": service, "on": on, "tls": tls})


DEFAULT_LISTENERS: Final = {
    "mx": _everywhere("smtp", 25, "offered"),
    "submission": _everywhere("submission", 587, "before-sign-in"),
    "submissions": _everywhere("submission", 465, "from-start"),
    "pop3": _everywhere("pop3", 110, "before-sign-in"),
    "pop3s": _everywhere("pop3", 995, "from-start"),
}
