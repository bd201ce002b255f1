"""An SMTP reply: three digits, an enhanced status code and text (RFC 5321 §4.2, RFC 3463)."""

import re
from typing import Final

from msgspec import Struct

LINE_OCTETS_MAX: Final = 512  # RFC 5321 §4.5.3.1.5, CRLF included
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class Reply(Struct, frozen=True):
    """One reply, before it is cut into lines.

    Attributes:
        code: Basic status code, 211-556.
        status: Enhanced status code such as ``5.7.1``; "" for the greeting, EHLO and 3xx.
        text: ASCII. A newline starts a further line of a multiline reply.
    """

    code: int
    status: str
    text: str

    @property
    def is_positive(self) -> bool:
        """2xx or 3xx."""
        return self.code < 400

    @property
    def is_transient(self) -> bool:
        """4xx: the same may succeed later."""
        return 400 <= self.code < 500

    def encode(self) -> bytes:
        """Return the reply as it goes on the wire, each line ended by CRLF.

        Raises:
            ValueError: If a line holds a control character or exceeds 512 octets. A reply is
                written by us, so this is a bug and never the peer's doing.
        """
        status = f"{self.status} " if self.status else ""
        *others, last = self.text.split("\n")
        wire = [f"{self.code}-{status}{line}" for line in others]
        wire.append(f"{self.code} {status}{last}")
        for line in wire:
            if _CONTROL.search(line) or len(line) > LINE_OCTETS_MAX - 2:
                raise ValueError(f"unsendable reply line: {line!r}")
        wire.append("")
        return "\r\n".join(wire).encode("ascii")

    def __str__(self) -> str:
        """The reply in one line, as logs and reports quote it."""
        text = self.text.replace("\n", "; ")
        if self.status and text:
            return f"{self.code} {self.status} {text}"
        return " ".join(part for part in (str(self.code), self.status, text) if part)
