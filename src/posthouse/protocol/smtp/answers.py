"""Reading what a server answers: replies and the list of extensions (RFC 5321 §4.2, §4.1.1.1)."""

import re
from functools import lru_cache
from typing import Final

from posthouse.mail.reply import Reply
from posthouse.protocol.smtp.client_events import Extensions

LINE_OCTETS_MAX: Final = 4096  # RFC 5321 §4.5.3.1.5 has 512; some servers say more
REPLY_OCTETS_MAX: Final = 65536
COMMON_MAX: Final = 1000  # replies that are remembered, and how long each may be
COMMON_OCTETS_MAX: Final = 120

_LINE: Final = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
_STATUS: Final = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: |$)")  # RFC 2034 §4
_UNFIT: Final = re.compile(r"[^\t -~]")


class PeerError(Exception):
    """The server broke the protocol: what it says cannot be trusted any more."""


class ReplyReader:
    """Cuts a stream into replies. A line may end with LF alone; nothing is decided by it."""

    def __init__(self) -> None:
        self._unread = b""
        self._at = 0  # what is before it was read
        self._searched = 0
        self._code = 0
        self._lines: list[str] = []
        self._octets = 0

    @property
    def has_more(self) -> bool:
        """Whether octets, or lines of an unfinished reply, are there."""
        return bool(self.unread_octets or self._lines)

    @property
    def unread_octets(self) -> int:
        """How much was fed and not read."""
        return len(self._unread) - self._at

    def feed(self, octets: bytes) -> None:
        """Take octets of the stream."""
        if self._at == len(self._unread):
            self._unread = octets
            self._at = self._searched = 0
        else:
            self._unread = self._unread[self._at :] + octets
            self._searched -= self._at
            self._at = 0

    def next_reply(self) -> Reply | None:
        """Return the next reply, or None while none is whole.

        Raises:
            PeerError: If a line is no reply line, a reply has two codes, or it does not end.
        """
        if self._at == len(self._unread):
            return None
        end = self._unread.find(b"\n", self._searched)
        if self._at <= end < self._at + COMMON_OCTETS_MAX and not self._lines:
            common = _whole_reply(self._unread[self._at : end])
            if common is not None:
                self._at = self._searched = end + 1
                return common
        return self._next_of_lines()

    def _next_of_lines(self) -> Reply | None:
        while (line := self._next_line()) is not None:
            found = _LINE.fullmatch(line)
            if found is None:
                raise PeerError(f"not an SMTP reply: {_printable(line[:60])}")
            code = int(found[1])
            if self._lines and code != self._code:
                raise PeerError(f"a reply with two codes, {self._code} and {code}")
            self._code = code
            self._lines.append(_text(found[3]))
            self._octets += len(line)
            if self._octets > REPLY_OCTETS_MAX:
                raise PeerError(f"a reply of more than {REPLY_OCTETS_MAX} octets")
            if found[2] != b"-":
                reply = _reply(code, self._lines)
                self._lines, self._octets = [], 0
                return reply
        return None

    def _next_line(self) -> bytes | None:
        at, end = self._at, self._unread.find(b"\n", self._searched)
        if (end if end >= 0 else len(self._unread)) - at > LINE_OCTETS_MAX:
            raise PeerError(f"a reply line of more than {LINE_OCTETS_MAX} octets")
        if end < 0:
            self._searched = len(self._unread)
            return None
        self._at = self._searched = end + 1
        return self._unread[at:end].removesuffix(b"\r")


@lru_cache(maxsize=COMMON_MAX)
def _whole_reply(line: bytes) -> Reply | None:
    """The reply of one line: most say the same all day. None: it is none, or has further lines."""
    found = _LINE.fullmatch(line.removesuffix(b"\r"))
    return _reply(int(found[1]), [_text(found[3])]) if found and found[2] != b"-" else None


def _text(octets: bytes | None) -> str:
    return _UNFIT.sub("?", (octets or b"").decode("utf-8", "replace"))


def extensions_in(reply: Reply) -> Extensions:
    """Return what an answer to EHLO offers. Unknown keywords, and bad values, offer nothing."""
    offered: dict[str, list[str]] = {}
    for line in reply.text.split("\n")[1:]:
        # "AUTH=LOGIN" is how AUTH was offered before RFC 2554; some still do.
        words = line.upper().replace("AUTH=", "AUTH ", 1).split()
        if words:
            offered.setdefault(words[0], []).extend(words[1:])
    sizes = offered.get("SIZE")
    size = sizes[0] if sizes else "0"
    return Extensions(
        pipelining="PIPELINING" in offered,
        size_octets_max=int(size) if sizes is not None and _is_number(size) else None,
        starttls="STARTTLS" in offered,
        mechanisms=tuple(dict.fromkeys(offered.get("AUTH", ()))),
        eightbitmime="8BITMIME" in offered,
        smtputf8="SMTPUTF8" in offered,
        dsn="DSN" in offered,
        chunking="CHUNKING" in offered,
        binarymime="BINARYMIME" in offered and "CHUNKING" in offered,
        requiretls="REQUIRETLS" in offered,
        deliver_by_seconds_min=_least_by(offered.get("DELIVERBY")),
    )


def _least_by(words: list[str] | None) -> int | None:
    if words is None:
        return None
    least = words[0].partition(",")[0] if words else "0"
    return int(least) if _is_number(least) else 0


def _printable(octets: bytes) -> str:
    """As a person can read it in one line; what is no sign of ASCII is shown as a question mark."""
    return "".join(chr(it) if 32 <= it < 127 else "?" for it in octets)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 20


def _reply(code: int, lines: list[str]) -> Reply:
    found = _STATUS.match(lines[0])
    if found is None or found[1][0] != str(code)[0]:
        return Reply(code, "", "\n".join(lines))
    status = found[1]
    texts = [line.removeprefix(status).removeprefix(" ") for line in lines]
    return Reply(code, status, "\n".join(texts))
