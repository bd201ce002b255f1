"""The order of commands (RFC 5321 §4.1.4), all of it, as one table.

Rule 1: what may follow what is decided here and nowhere else.
Rule 2: this file knows verbs and phases only; no bytes, no replies, no policy.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final


class Phase(Enum):
    """How far the session has come."""

    __hash__ = object.__hash__  # by identity; the one of Enum is written in Python

    SILENT = "silent"  # nobody has greeted yet
    CONNECTED = "connected"  # greeted, no EHLO yet
    READY = "ready"  # EHLO accepted, no mail transaction
    SIGNING_IN = "signing in"  # 334 sent
    HANDSHAKE = "handshake"  # 220 to STARTTLS sent
    SENDER = "sender"  # MAIL accepted
    RECIPIENTS = "recipients"  # one RCPT accepted, or more
    CONTENT = "content"  # 354 sent, mail data flows
    CHUNK = "chunk"  # BDAT, its octets flow
    CHUNKS = "chunks"  # a chunk has come, more will follow
    CLOSED = "closed"


class Verb(Enum):
    """What takes part in the order; NOOP, HELP, VRFY and EXPN may come between any commands."""

    __hash__ = object.__hash__

    GREETING = "greeting"
    HELLO = "EHLO"
    TLS = "STARTTLS"
    TLS_DONE = "handshake done"
    AUTH = "AUTH"
    AUTH_END = "235 or 5xx"
    MAIL = "MAIL"
    RECIPIENT = "RCPT"
    DATA = "DATA"
    CHUNK = "BDAT"
    CHUNK_END = "octets of the chunk are here"
    CONTENT_END = "final dot, or octets of the last chunk"
    RESET = "RSET"
    CLIENT_TOLD = "XCLIENT"
    ORIGIN_TOLD = "XFORWARD"
    QUIT = "QUIT"


_LEAVING: Final = {Verb.QUIT: Phase.CLOSED}
_BETWEEN: Final = {Verb.HELLO: Phase.READY, Verb.RESET: Phase.READY, **_LEAVING}

# Where a command leads once it was answered positively. What is absent is answered 503.
AFTER: Final[Mapping[Phase, Mapping[Verb, Phase]]] = {
    Phase.SILENT: {Verb.GREETING: Phase.CONNECTED},
    Phase.CONNECTED: {
        Verb.HELLO: Phase.READY,
        Verb.RESET: Phase.CONNECTED,
        Verb.CLIENT_TOLD: Phase.CONNECTED,
        **_LEAVING,
    },
    Phase.READY: {
        **_BETWEEN,
        Verb.TLS: Phase.HANDSHAKE,
        Verb.AUTH: Phase.SIGNING_IN,
        Verb.MAIL: Phase.SENDER,
        Verb.CLIENT_TOLD: Phase.CONNECTED,  # another client: it begins anew
        Verb.ORIGIN_TOLD: Phase.READY,
    },
    Phase.SIGNING_IN: {Verb.AUTH: Phase.SIGNING_IN, Verb.AUTH_END: Phase.READY},
    Phase.HANDSHAKE: {Verb.TLS_DONE: Phase.CONNECTED},  # RFC 3207 §4.2: all is forgotten
    Phase.SENDER: {**_BETWEEN, Verb.RECIPIENT: Phase.RECIPIENTS},
    Phase.RECIPIENTS: {
        **_BETWEEN,  # a second EHLO ends the transaction
        Verb.RECIPIENT: Phase.RECIPIENTS,
        Verb.DATA: Phase.CONTENT,
        Verb.CHUNK: Phase.CHUNK,
    },
    Phase.CONTENT: {Verb.CONTENT_END: Phase.READY},  # accepted or refused, it is over
    Phase.CHUNK: {Verb.CHUNK_END: Phase.CHUNKS, Verb.CONTENT_END: Phase.READY},
    Phase.CHUNKS: {**_BETWEEN, Verb.CHUNK: Phase.CHUNK},
    Phase.CLOSED: {},
}
