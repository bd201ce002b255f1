"""Events of SMTP and POP3 sessions."""

from posthouse.telemetry.event import Level, LogEvent


class Connected(LogEvent, frozen=True):
    """A client came.

    Attributes:
        session: Short id of the session.
        client: Its address.
        listener: The listener it came to.
    """

    name = "connected"
    level = Level.DEBUG
    session: str
    client: str
    listener: str


class Disconnected(LogEvent, frozen=True):
    """A session ended.

    Attributes:
        session: Short id of the session.
        client: Its address.
        why: ``quit``, ``timeout``, ``lost``, ``abused``, ``shutdown``.
        messages: Messages accepted in it.
    """

    name = "disconnected"
    level = Level.DEBUG
    session: str
    client: str
    why: str
    messages: int = 0


class TlsStarted(LogEvent, frozen=True):
    """A connection is encrypted from here on.

    Attributes:
        session: Short id of the session.
        client: The other end.
        version: Such as ``TLSv1.3``.
        cipher: As OpenSSL calls it.
    """

    name = "tls-started"
    level = Level.DEBUG
    session: str
    client: str
    version: str
    cipher: str


class TlsFailed(LogEvent, frozen=True):
    """A TLS handshake failed.

    Attributes:
        session: Short id of the session.
        client: The other end.
        problem: What OpenSSL said.
    """

    name = "tls-failed"
    session: str
    client: str
    problem: str


class SignedIn(LogEvent, frozen=True):
    """Somebody signed in, by AUTH or by POP3.

    Attributes:
        session: Short id of the session.
        client: Address of the client.
        listener: The listener it came to.
        account: Who.
        mechanism: ``PLAIN``, ``LOGIN`` or ``USER``.
        password: ``account`` or the name of the submission password.
    """

    name = "signed-in"
    session: str
    client: str
    listener: str
    account: str
    mechanism: str
    password: str = "account"  # noqa: S105 - which password, not the password


class SignInFailed(LogEvent, frozen=True):
    """Somebody tried to sign in and could not.

    Attributes:
        session: Short id of the session.
        client: Address of the client.
        listener: The listener it came to.
        account: The name that was given; hostile text.
        why: A reason: ``sign-in-failed``, ``sign-in-locked``, ``sign-in-unreadable``.
        case: Case id.
    """

    name = "sign-in-failed"
    level = Level.WARNING
    session: str
    client: str
    listener: str
    account: str
    why: str
    case: str = ""


class Decided(LogEvent, frozen=True):
    """The policy said yes, and nothing came of it: the client left, or its content was refused.

    What let a message in is told by `accepted`, a refusal by `refused`.

    Attributes:
        case: Case id.
        stage: What was decided: ``recipient``.
        verdict: ``accept`` or ``hold``.
        reason: Why, a stable identifier.
        client: Address of the client.
        account: Who it is, if known.
        reverse_path: From MAIL.
        forward_path: From RCPT.
    """

    name = "decided"
    case: str
    stage: str
    verdict: str
    reason: str
    client: str
    account: str = ""
    reverse_path: str = ""
    forward_path: str = ""


class Refused(LogEvent, frozen=True):
    """The policy refused or deferred.

    Attributes:
        case: Case id: `posthouse explain CASE` tells all of it.
        stage: What was decided: ``recipient``.
        verdict: ``refuse`` or ``defer``.
        reason: Why, a stable identifier.
        reply: As it was sent.
        client: Address of the client.
        listener: The listener it came to.
        hello: The name given by EHLO; hostile text.
        account: Who it is, if known.
        reverse_path: From MAIL.
        forward_path: From RCPT.
    """

    name = "refused"
    case: str
    stage: str
    verdict: str
    reason: str
    reply: str
    client: str
    listener: str = ""
    hello: str = ""
    account: str = ""
    reverse_path: str = ""
    forward_path: str = ""


class MailFetched(LogEvent, frozen=True):
    """A POP3 session ended in order.

    Attributes:
        session: Short id of the session.
        account: Whose mail.
        client: Address of the client.
        retrieved: Messages fetched.
        deleted: Messages deleted.
    """

    name = "mail-fetched"
    session: str
    account: str
    client: str
    retrieved: int
    deleted: int
