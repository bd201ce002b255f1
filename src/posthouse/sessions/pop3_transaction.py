"""What a POP3 session answers once it is signed in (RFC 1939 section 5)."""

from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from typing import Final

from msgspec import Struct

from posthouse.mailbox.maildir import MaildirError
from posthouse.mailbox.maildrop import Maildrop
from posthouse.protocol.framing import with_crlf
from posthouse.protocol.pop3 import content, replies
from posthouse.protocol.pop3.events import (
    DeletionRequested,
    Event,
    MessageRequested,
    NoopReceived,
    ResetReceived,
    SizesRequested,
    StatusRequested,
    UniqueIdsRequested,
)
from posthouse.protocol.pop3.replies import LANGUAGE_NAMES, Reply

READ_OCTETS: Final = 64 * 1024  # of a message in memory at a time, about


class LongAnswer(Struct):
    """An answer of many blocks, sent as fast as the peer takes them.

    Attributes:
        opening: Status line before the content.
        blocks: The content, to be dot-stuffed.
        reads_files: Asking for a block blocks: it belongs into a thread.
        is_message: It is counted as fetched.
        ahead: What else is read on the occasion. Blocks.
        has_begun: The opening was sent, so it is too late for ``-ERR``.
    """

    opening: Reply
    blocks: Iterator[bytes]
    reads_files: bool = False
    is_message: bool = False
    ahead: Callable[[], None] | None = None
    has_begun: bool = False

    def close(self) -> None:
        """Close the file that is being read; the answer is not sent to its end."""
        if isinstance(self.blocks, Generator):
            self.blocks.close()


class Message(Struct, frozen=True):
    """A whole message, small enough to be sent at once.

    Attributes:
        opening: Status line before the content.
        octets: The content; its lines end with CRLF or with LF.
    """

    opening: Reply
    octets: bytes


def answer(maildrop: Maildrop, event: Event) -> Reply | LongAnswer | Message:
    """Return the answer to a command of the TRANSACTION state; nothing is read yet."""
    match event:
        case StatusRequested():
            return replies.ok(f"{maildrop.count} {maildrop.octets}")
        case SizesRequested(number=number):
            sizes = ((n, maildrop.size(n)) for n in maildrop.numbers())
            return _one_or_all(maildrop, number, sizes)
        case UniqueIdsRequested(number=number):
            uids = ((n, maildrop.uid(n)) for n in maildrop.numbers())
            return _one_or_all(maildrop, number, uids, unique=True)
        case MessageRequested(number=number, lines=lines):
            return _missing(maildrop, number) or _message(maildrop, number, lines)
        case DeletionRequested(number=number):
            return _missing(maildrop, number) or _deleted(maildrop, number)
        case ResetReceived():
            maildrop.unmark_all()
            return replies.summary(maildrop.count, maildrop.octets)
        case NoopReceived():
            return replies.NOTHING_DONE
        case _:
            raise AssertionError(f"not of this state: {event!r}")


def _missing(maildrop: Maildrop, number: int) -> Reply | None:
    """Why the number names no message, or None."""
    if not 1 <= number <= maildrop.highest:
        return replies.NO_SUCH_MESSAGE
    return replies.MESSAGE_DELETED if maildrop.is_marked(number) else None


def _one_or_all(
    maildrop: Maildrop,
    number: int | None,
    every: Iterable[tuple[int, int | str]],
    *,
    unique: bool = False,
) -> Reply | LongAnswer:
    if number is None:
        opening = replies.summary(maildrop.count, maildrop.octets)
        return LongAnswer(opening, content.listing(every))
    if missing := _missing(maildrop, number):
        return missing
    value = maildrop.uid(number) if unique else maildrop.size(number)
    return replies.ok(f"{number} {value}")


def _message(maildrop: Maildrop, number: int, lines: int | None) -> LongAnswer | Message:
    octets = maildrop.ready(number)
    if lines is not None:
        if octets is not None:
            return Message(replies.ok(), b"".join(content.top((with_crlf(octets),), lines)))
        blocks = content.top(maildrop.read(number), lines)
        return LongAnswer(replies.ok(), blocks, reads_files=True, is_message=True)
    opening = replies.content_follows(maildrop.size(number))
    if octets is not None:
        return Message(opening, octets)
    ahead = partial(maildrop.read_ahead, number)
    blocks = maildrop.read(number)
    return LongAnswer(opening, blocks, reads_files=True, is_message=True, ahead=ahead)


def _deleted(maildrop: Maildrop, number: int) -> Reply:
    maildrop.mark(number)
    return replies.MARKED


class Gathered(Struct, frozen=True):
    """Some blocks of a message."""

    octets: bytes
    is_last: bool


def gather(answer: LongAnswer) -> Gathered | MaildirError:
    """Take blocks until they are enough for one write, or the answer ends. Blocks, if it reads."""
    gathered: list[bytes] = []
    size = 0
    try:
        for block in answer.blocks:
            gathered.append(block)
            size += len(block)
            if size >= READ_OCTETS:
                return Gathered(b"".join(gathered), is_last=False)
    except MaildirError as error:
        return error
    if answer.ahead is not None and not answer.has_begun:  # a short one
        answer.ahead()
    return Gathered(b"".join(gathered), is_last=True)


def remove_and_close(maildrop: Maildrop) -> int:
    """Remove what was marked and unlock; return how many could not be removed. Blocks."""
    try:
        return maildrop.remove_marked()
    finally:
        maildrop.close()


def languages() -> bytes:
    """Return what LANG lists (RFC 6856 section 3)."""
    lines = (f"{language.value} {name}\r\n" for language, name in LANGUAGE_NAMES.items())
    return "".join(lines).encode()
