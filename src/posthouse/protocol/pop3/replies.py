"""Replies of POP3, and all that the protocol itself answers (RFC 1939 section 3, RFC 2449)."""

import re
from binascii import b2a_base64
from typing import Final

from msgspec import Struct

LINE_OCTETS_MAX: Final = 512  # RFC 2449 section 4, CRLF included
_UNSENDABLE: Final = re.compile(r"[^\x20-\x7e]")


class Reply(Struct, frozen=True):
    """The status line of an answer.

    Attributes:
        is_positive: ``+OK`` or ``-ERR``.
        text: Printable ASCII on one line.
        code: Response code without brackets: ``IN-USE`` (RFC 2449 section 8), ``AUTH``,
            ``SYS/TEMP`` (RFC 3206); "" for none.
    """

    is_positive: bool
    text: str
    code: str = ""

    def encode(self) -> bytes:
        """Return the status line with CRLF.

        Raises:
            ValueError: If it holds a control character or is too long: a bug of ours.
        """
        code = f"[{self.code}] " if self.code else ""
        line = f"{'+OK' if self.is_positive else '-ERR'} {code}{self.text}".rstrip()
        if _UNSENDABLE.search(line) or len(line) > LINE_OCTETS_MAX - 2:
            raise ValueError(f"unsendable reply line: {line!r}")
        return line.encode("ascii") + b"\r\n"


class Challenge(Struct, frozen=True):
    """The server's turn in a SASL exchange (RFC 5034 section 4).

    Attributes:
        octets: Not yet base64; often empty.
    """

    octets: bytes = b""

    def encode(self) -> bytes:
        """Return the continuation line with CRLF."""
        return b"+ " + b2a_base64(self.octets, newline=False) + b"\r\n"


def ok(text: str = "") -> Reply:
    """Return a positive reply."""
    return Reply(is_positive=True, text=text)


def error(text: str, code: str = "") -> Reply:
    """Return a negative reply."""
    return Reply(is_positive=False, text=text, code=code)


UNKNOWN_COMMAND: Final = error("Unknown command")
OUT_OF_ORDER: Final = error("This command cannot come now")
SIGN_IN_FIRST: Final = error("Sign in first")
USER_FIRST: Final = error("PASS comes right after USER")
BAD_ARGUMENTS: Final = error("I do not understand the arguments of this command")
BAD_CHARACTERS: Final = error("A command is printable text in ASCII or UTF-8")
BARE_NEWLINE: Final = error("A command line ends with CR LF")
LINE_TOO_LONG: Final = error("The command line is too long")
TOO_MANY_ERRORS: Final = error("Too many errors, closing")
TLS_FIRST: Final = error("Say STLS first: signing in needs an encrypted connection", "AUTH")
TLS_ACTIVE: Final = error("The connection is encrypted already")
TLS_NOT_OFFERED: Final = error("TLS is not offered here")
SIGN_IN_NOT_OFFERED: Final = error("This way to sign in is not offered here", "AUTH")
UNKNOWN_MECHANISM: Final = error("This mechanism is not offered; CAPA lists those that are")

BEGIN_TLS: Final = ok("Begin TLS")
UTF8_ON: Final = ok("UTF-8 it is")
LANGUAGES: Final = ok("Languages of our replies")
LANGUAGE_TAKEN: Final = ok("en English")
NO_SUCH_LANGUAGE: Final = error("Our replies are in English only; LANG lists it")
SIGNED_IN_LATELY: Final = error(
    "You were here a moment ago: wait before the next time", "LOGIN-DELAY"
)
NAME_TAKEN: Final = ok("Send PASS")
NOTHING_DONE: Final = ok()
BYE: Final = ok("Bye")

SIGN_IN_FAILED: Final = error("Name or password is wrong", "AUTH")
SIGN_IN_NOT_BASE64: Final = error("This is not base64")
SIGN_IN_CANCELLED: Final = error("Cancelled")
TOO_MANY_FAILURES: Final = error("Too many failed sign-ins, closing", "AUTH")
SIGN_IN_UNAVAILABLE: Final = error("Passwords cannot be checked now; try later", "SYS/TEMP")
MAILDROP_IN_USE: Final = error("Another session is fetching this mail; try later", "IN-USE")
MAILDROP_UNREADABLE: Final = error("The mailbox cannot be read now; try later", "SYS/TEMP")
MESSAGE_UNREADABLE: Final = error("This message cannot be read now; try later", "SYS/TEMP")
MESSAGE_GONE: Final = error("This message was removed by another program")
NO_SUCH_MESSAGE: Final = error("No such message")
MESSAGE_DELETED: Final = error("This message is marked as deleted")
NOT_ALL_REMOVED: Final = error("Some deleted messages could not be removed", "SYS/TEMP")
TOO_BUSY: Final = error("Too many sessions; try later", "SYS/TEMP")
SHUTTING_DOWN: Final = error("The server is being restarted; connect again soon", "SYS/TEMP")


def locked_out(minutes: int) -> Reply:
    """Return the reply after too many failed sign-ins for one account from one address."""
    return error(f"Too many failed sign-ins: try again in {minutes} min", "LOGIN-DELAY")
