"""What the protocol itself answers, before any policy. Every such reply is in this file.

Refusals by policy are not here: they have a reason, and `policy.reasons` holds their words.
"""

from base64 import b64encode
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from posthouse.mail.reply import Reply

# ------------------------------------------------------------------------------- positive

SENDER_OK: Final = Reply(250, "2.1.0", "Sender ok")
RECIPIENT_OK: Final = Reply(250, "2.1.5", "Recipient ok")
SEND_CONTENT: Final = Reply(354, "", "Send the message, end with a dot on a line of its own")
MESSAGE_OK: Final = Reply(250, "2.0.0", "Message accepted")
RESET_OK: Final = Reply(250, "2.0.0", "Ok, the transaction is forgotten")
NOOP_OK: Final = Reply(250, "2.0.0", "Ok")
CANNOT_VERIFY: Final = Reply(252, "2.5.2", "I cannot verify; send mail and see")  # RFC 5321 §3.5.3
START_TLS: Final = Reply(220, "2.0.0", "Ready to start TLS")
SIGNED_IN: Final = Reply(235, "2.7.0", "Signed in")
BYE: Final = Reply(221, "2.0.0", "Bye")

# ------------------------------------------------------------------------------- syntax

EMPTY_LINE: Final = Reply(500, "5.5.2", "An empty line is not a command")
UNKNOWN_COMMAND: Final = Reply(500, "5.5.1", "Unknown command")
NOT_IMPLEMENTED: Final = Reply(502, "5.5.1", "This command is not implemented")
LINE_TOO_LONG: Final = Reply(500, "5.5.6", "The command line is too long")
BARE_NEWLINE: Final = Reply(500, "5.5.2", "Lines must end with CR LF")
CONTROL_CHARACTER: Final = Reply(500, "5.5.2", "A control character is in the command")
NOT_UTF8: Final = Reply(501, "5.5.2", "The command is neither ASCII nor UTF-8")
NO_ARGUMENT_WANTED: Final = Reply(501, "5.5.4", "This command takes no argument")
HELLO_NAME_MISSING: Final = Reply(501, "5.5.4", "Say your host name: EHLO host.example.com")
HELLO_NAME_TOO_LONG: Final = Reply(501, "5.5.4", "Your host name is too long")
MAIL_SYNTAX: Final = Reply(501, "5.5.4", "Say MAIL FROM:<name@example.com>")
RECIPIENT_SYNTAX: Final = Reply(501, "5.5.4", "Say RCPT TO:<name@example.com>")
ADDRESS_MISSING: Final = Reply(501, "5.5.4", "This command needs an address or a name")
CHUNK_SYNTAX: Final = Reply(501, "5.5.4", "Say BDAT octets, or BDAT octets LAST")
TOLD_SYNTAX: Final = Reply(501, "5.5.4", "Say NAME=value, attributes as in the answer to EHLO")
AUTH_SYNTAX: Final = Reply(501, "5.5.4", "Say AUTH and a mechanism from the answer to EHLO")
UNKNOWN_PARAMETER: Final = Reply(555, "5.5.4", "A parameter is not known here")
BAD_PARAMETER: Final = Reply(501, "5.5.4", "A parameter has a value that cannot be understood")
REPEATED_PARAMETER: Final = Reply(501, "5.5.4", "A parameter is given twice")
HELD_TOO_LONG: Final = Reply(501, "5.5.4", "That release is further ahead than EHLO allows")
DEADLINE_TOO_SOON: Final = Reply(555, "5.5.4", "BY is sooner than EHLO allows")
DEADLINE_BEFORE_RELEASE: Final = Reply(501, "5.5.4", "BY is over before the release")
NEEDS_SMTPUTF8: Final = Reply(553, "5.6.7", "An address that is not ASCII needs SMTPUTF8")

# ------------------------------------------------------------------------------- order

HELLO_FIRST: Final = Reply(503, "5.5.1", "Say EHLO or HELO first")  # RFC 5321 §4.1.4
MAIL_FIRST: Final = Reply(503, "5.5.1", "Say MAIL first")
RECIPIENT_FIRST: Final = Reply(503, "5.5.1", "No recipient was accepted: say RCPT first")
TRANSACTION_OPEN: Final = Reply(503, "5.5.1", "A mail transaction is open: end it or say RSET")
CHUNKS_OPEN: Final = Reply(503, "5.5.1", "BDAT has begun: end it with LAST or say RSET")
BINARY_BY_CHUNKS: Final = Reply(503, "5.5.1", "BINARYMIME content comes by BDAT")  # RFC 3030 §3

# ------------------------------------------------------------------------------- extensions

TOO_BIG: Final = Reply(552, "5.3.4", "The message is larger than this server takes")
TLS_NOT_OFFERED: Final = Reply(502, "5.5.1", "STARTTLS is not offered here")
TLS_IN_USE: Final = Reply(503, "5.5.1", "TLS is in use already")
TLS_BEFORE_AUTH: Final = Reply(538, "5.7.11", "Say STARTTLS before you sign in")  # RFC 4954 §6
TLS_FIRST: Final = Reply(530, "5.7.0", "Say STARTTLS first")  # RFC 3207 §4
SIGN_IN_FIRST: Final = Reply(530, "5.7.0", "Sign in first")  # RFC 4954 §6
AUTH_NOT_OFFERED: Final = Reply(502, "5.5.1", "AUTH is not offered here")
AUTH_UNKNOWN_MECHANISM: Final = Reply(504, "5.5.4", "This AUTH mechanism is not offered")
AUTH_TWICE: Final = Reply(503, "5.5.1", "You have signed in already")
AUTH_CANCELLED: Final = Reply(501, "5.7.0", "Sign-in cancelled")  # RFC 4954 §4
AUTH_NOT_BASE64: Final = Reply(501, "5.5.2", "This is not base64")
AUTH_TOO_LONG: Final = Reply(500, "5.5.6", "The response is too long")  # RFC 4954 §6
AUTH_FAILED: Final = Reply(535, "5.7.8", "The user name or the password is wrong")
AUTH_UNAVAILABLE: Final = Reply(454, "4.7.0", "Signing in is not possible just now")

# ------------------------------------------------------------------------------- content

CONTENT_BARE_NEWLINE: Final = Reply(550, "5.6.0", "Lines of a message must end with CR LF")
CONTENT_NUL: Final = Reply(550, "5.6.0", "The message contains a NUL octet")

# ------------------------------------------------------------------------------- closing

TOO_MANY_ERRORS: Final = Reply(421, "4.7.0", "Too many errors, closing the connection")
TOO_MANY_IDLE_COMMANDS: Final = Reply(421, "4.7.0", "Too many commands and no mail, closing")
CONTENT_ENDLESS: Final = Reply(421, "4.3.4", "The message does not end, closing the connection")
NOT_A_MAIL_CLIENT: Final = Reply(421, "4.7.0", "This is a mail server, closing the connection")
TOO_MANY_CHUNKS: Final = Reply(421, "4.7.0", "Too many chunks of a few octets, closing")
TOO_MANY_RECIPIENTS: Final = Reply(421, "4.5.3", "Too many recipients and no mail, closing")
OUT_OF_TURN: Final = Reply(421, "4.5.0", "Wait for the answer before you go on, closing")
SPOKE_EARLY: Final = Reply(554, "5.5.0", "You spoke before the greeting: wait for it")
IDLE_TOO_LONG: Final = Reply(421, "4.4.2", "Nothing was said for too long, closing")
ANSWER_LATE: Final = Reply(421, "4.3.0", "The answer is not there in time, please try again")
SHUTTING_DOWN: Final = Reply(421, "4.3.2", "The server is stopping, please come back")
TOO_MANY_MESSAGES: Final = Reply(421, "4.7.0", "Enough messages in one session, come again")
TOO_MANY_CONNECTIONS: Final = Reply(421, "4.7.0", "Too many connections, please come back later")

# Why content must be refused -> the reply. The keys are `ContentEnded.bad`.
FOR_BAD_CONTENT: Final[Mapping[str, Reply]] = MappingProxyType(
    {
        "bare-newline": CONTENT_BARE_NEWLINE,  # else a message could be smuggled in it
        "nul": CONTENT_NUL,
        "too-big": TOO_BIG,
    }
)

_TEXT_SIGNS_MAX: Final = 300  # keeps every line below 512 octets whatever a peer wrote


def ready(hostname: str) -> Reply:
    """The greeting. The name comes first and ESMTP follows (RFC 5321 §4.2)."""
    return Reply(220, "", f"{hostname} ESMTP Posthouse")


def challenge(octets: bytes) -> Reply:
    """What a SASL mechanism asks next (RFC 4954 §4)."""
    return Reply(334, "", b64encode(octets).decode())


def bad_sender(why: str) -> Reply:
    """An unreadable reverse-path (RFC 3463 §3.2, X.1.7)."""
    return Reply(501, "5.1.7", _sentence(why))


def bad_recipient(why: str) -> Reply:
    """An unreadable forward-path (RFC 3463 §3.2, X.1.3)."""
    return Reply(501, "5.1.3", _sentence(why))


def chunk_ok(octets: int) -> Reply:
    """A chunk that is not the last has come (RFC 3030 §2)."""
    return Reply(250, "2.0.0", f"{octets} octets received")


def _sentence(why: str) -> str:
    shown = why.encode("ascii", "replace").decode("ascii")[:_TEXT_SIGNS_MAX]
    return shown[:1].upper() + shown[1:]
