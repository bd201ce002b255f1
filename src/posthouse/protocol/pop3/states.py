"""The order of POP3 commands (RFC 1939 section 3), all of it, as one table.

Rule 1: what may follow what is decided here and nowhere else.
Rule 2: this file knows verbs and phases only; no octets, no replies, no mailboxes.
"""

from enum import Enum
from typing import Final


class Phase(Enum):
    """How far the session has come."""

    AUTHORIZATION = "authorization"  # greeted, nobody signed in
    NAMED = "named"  # USER was accepted, PASS may come
    EXCHANGE = "exchange"  # a SASL exchange is under way (RFC 5034)
    HANDSHAKE = "handshake"  # STLS was accepted, the TLS handshake runs (RFC 2595)
    TRANSACTION = "transaction"  # signed in, the maildrop is open
    CLOSED = "closed"


class Verb(Enum):
    """What takes part in the order; all of them are commands but the line of an exchange."""

    USER = "USER"
    PASS = "PASS"  # noqa: S105 - the command, no password
    APOP = "APOP"
    AUTH = "AUTH"
    EXCHANGE_LINE = "="
    STLS = "STLS"
    CAPA = "CAPA"
    UTF8 = "UTF8"
    LANG = "LANG"
    STAT = "STAT"
    LIST = "LIST"
    UIDL = "UIDL"
    RETR = "RETR"
    TOP = "TOP"
    DELE = "DELE"
    RSET = "RSET"
    NOOP = "NOOP"
    QUIT = "QUIT"


# Where a command leads once it was answered positively. What is absent is refused.
AFTER: Final[dict[Phase, dict[Verb, Phase]]] = {
    Phase.AUTHORIZATION: {
        Verb.USER: Phase.NAMED,
        Verb.APOP: Phase.TRANSACTION,
        Verb.AUTH: Phase.TRANSACTION,  # or EXCHANGE, if it is answered by a challenge
        Verb.STLS: Phase.HANDSHAKE,
        Verb.CAPA: Phase.AUTHORIZATION,
        Verb.UTF8: Phase.AUTHORIZATION,
        Verb.LANG: Phase.AUTHORIZATION,
        Verb.QUIT: Phase.CLOSED,
    },
    Phase.NAMED: {
        Verb.USER: Phase.NAMED,
        Verb.PASS: Phase.TRANSACTION,
        Verb.APOP: Phase.TRANSACTION,
        Verb.AUTH: Phase.TRANSACTION,
        Verb.STLS: Phase.HANDSHAKE,
        Verb.CAPA: Phase.NAMED,
        Verb.UTF8: Phase.NAMED,
        Verb.LANG: Phase.NAMED,
        Verb.QUIT: Phase.CLOSED,
    },
    Phase.EXCHANGE: {
        Verb.EXCHANGE_LINE: Phase.TRANSACTION,
    },
    Phase.HANDSHAKE: {},
    Phase.TRANSACTION: {
        Verb.CAPA: Phase.TRANSACTION,
        Verb.LANG: Phase.TRANSACTION,
        Verb.STAT: Phase.TRANSACTION,
        Verb.LIST: Phase.TRANSACTION,
        Verb.UIDL: Phase.TRANSACTION,
        Verb.RETR: Phase.TRANSACTION,
        Verb.TOP: Phase.TRANSACTION,
        Verb.DELE: Phase.TRANSACTION,
        Verb.RSET: Phase.TRANSACTION,
        Verb.NOOP: Phase.TRANSACTION,
        Verb.QUIT: Phase.CLOSED,
    },
    Phase.CLOSED: {},
}

# Where a negative answer leads, if not back to where the command came.
AFTER_FAILURE: Final[dict[Verb, Phase]] = {
    Verb.USER: Phase.AUTHORIZATION,
    Verb.PASS: Phase.AUTHORIZATION,  # PASS comes right after USER or not at all
    Verb.APOP: Phase.AUTHORIZATION,
    Verb.AUTH: Phase.AUTHORIZATION,
    Verb.EXCHANGE_LINE: Phase.AUTHORIZATION,
    Verb.QUIT: Phase.CLOSED,
}
