"""In which language a sender is told what became of a message."""

import re
from collections.abc import Callable
from typing import Final

from posthouse.doctor.translation import LANGUAGES, language_of
from posthouse.mail.envelope import Envelope
from posthouse.mail.message import HeaderSection

_TAG: Final = re.compile(rb"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*|\*")
_QUALITY: Final = re.compile(rb"\s*;[^,]*")
_FIELDS: Final = ("Accept-Language", "Content-Language")


class SenderLanguages:
    """Knows what an account has chosen, reads what a message says, or takes the site's own.

    Attributes:
        default: Of the site; a reload may change it.
    """

    def __init__(self, chosen: Callable[[str], str], default: str = "en") -> None:
        """Take `chosen`: the language that an account or address has chosen; "" for none."""
        self._chosen = chosen
        self.default = default

    def of(self, envelope: Envelope, header: HeaderSection) -> str:
        """Return one of `translation.LANGUAGES`."""
        mailbox = envelope.reverse_path.mailbox
        account = envelope.account or (str(mailbox.folded) if mailbox else "")
        chosen = self._chosen(account) if account else ""
        return chosen or language_in(header) or self.default


def language_in(header: HeaderSection) -> str:
    """Return the first language a header names that we speak; "" if there is none.

    Accept-Language is what the sender wants to read (RFC 8255 §4.3, RFC 3282), Content-Language
    what the message is written in (RFC 3282).
    """
    for name in _FIELDS:
        for value in header.fields(name):
            for tag in _TAG.findall(_QUALITY.sub(b"", value)):
                text = tag.decode("ascii")
                language = language_of(text)
                if language != "en" or text.lower().split("-")[0] in LANGUAGES:
                    return language
    return ""
