"""From a command line to an event (RFC 1939 section 3, RFC 2449 section 4)."""

import re
from base64 import b64decode
from collections.abc import Callable
from typing import Final

from posthouse.protocol.pop3.events import (
    ApopGiven,
    AuthRequested,
    CapabilitiesRequested,
    DeletionRequested,
    Event,
    LanguageRequested,
    MechanismsRequested,
    MessageRequested,
    NoopReceived,
    PasswordGiven,
    QuitReceived,
    ResetReceived,
    SizesRequested,
    StatusRequested,
    TlsRequested,
    UniqueIdsRequested,
    UserNamed,
    Utf8Requested,
)
from posthouse.protocol.pop3.states import Verb

_NUMBER: Final = re.compile(r"[0-9]{1,10}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_DIGEST: Final = re.compile(r"[0-9a-fA-F]{32}")
_LANGUAGE: Final = re.compile(r"\*|[A-Za-z0-9-]{1,35}")  # RFC 5646 section 4.4.1
_MECHANISM: Final = re.compile(r"[A-Za-z0-9_-]{1,20}")  # RFC 4422 section 3.1


class CommandError(ValueError):
    """The arguments are not what the command takes."""


class CharacterError(ValueError):
    """The line is no text."""


def split(line: bytes) -> tuple[str, str]:
    """Return the keyword in capitals and the rest after one space; `line` has no line end.

    Raises:
        CharacterError: If it is not UTF-8 or holds a control character.
    """
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CharacterError from error
    if _CONTROL.search(text):
        raise CharacterError
    keyword, _, arguments = text.partition(" ")
    return keyword.upper(), arguments


def parse(verb: Verb, arguments: str, *, user_name: str) -> Event:
    """Return the event that the command is; `user_name` is what USER gave.

    Raises:
        CommandError: If the arguments are wrong.
    """
    if verb is Verb.PASS:  # a password may hold spaces, at its ends as well
        return PasswordGiven(user_name, arguments)
    words = arguments.split()
    maker, least, most = _MAKERS[verb]
    if not least <= len(words) <= most:
        raise CommandError
    return maker(words)


def decode_base64(line: bytes) -> bytes:
    """Return what a line of a SASL exchange holds (RFC 4648 section 4).

    Raises:
        CommandError: If it is not base64.
    """
    try:
        return b64decode(line, validate=True)
    except ValueError:
        raise CommandError from None


def _number(word: str) -> int:
    if not _NUMBER.fullmatch(word):
        raise CommandError
    return int(word)


def _apop(words: list[str]) -> Event:
    *name, digest = words
    if not _DIGEST.fullmatch(digest):
        raise CommandError
    return ApopGiven(" ".join(name), digest.lower())


def _language(words: list[str]) -> Event:
    if words and not _LANGUAGE.fullmatch(words[0]):
        raise CommandError
    return LanguageRequested(*words)


def _auth(words: list[str]) -> Event:
    if not words:
        return MechanismsRequested()
    if not _MECHANISM.fullmatch(words[0]):
        raise CommandError
    if len(words) == 1:
        return AuthRequested(words[0].upper())
    initial = b"" if words[1] == "=" else decode_base64(words[1].encode())
    return AuthRequested(words[0].upper(), initial)


# Verb: what makes its event, and how many words it takes.
_MAKERS: Final[dict[Verb, tuple[Callable[[list[str]], Event], int, int]]] = {
    Verb.USER: (lambda words: UserNamed(" ".join(words)), 1, 8),
    Verb.APOP: (_apop, 2, 9),
    Verb.AUTH: (_auth, 0, 2),
    Verb.STLS: (lambda _: TlsRequested(), 0, 0),
    Verb.CAPA: (lambda _: CapabilitiesRequested(), 0, 0),
    Verb.UTF8: (lambda _: Utf8Requested(), 0, 0),
    Verb.LANG: (_language, 0, 1),
    Verb.STAT: (lambda _: StatusRequested(), 0, 0),
    Verb.LIST: (lambda words: SizesRequested(*map(_number, words)), 0, 1),
    Verb.UIDL: (lambda words: UniqueIdsRequested(*map(_number, words)), 0, 1),
    Verb.RETR: (lambda words: MessageRequested(_number(words[0])), 1, 1),
    Verb.TOP: (lambda words: MessageRequested(_number(words[0]), _number(words[1])), 2, 2),
    Verb.DELE: (lambda words: DeletionRequested(_number(words[0])), 1, 1),
    Verb.RSET: (lambda _: ResetReceived(), 0, 0),
    Verb.NOOP: (lambda _: NoopReceived(), 0, 0),
    Verb.QUIT: (lambda _: QuitReceived(), 0, 0),
}
