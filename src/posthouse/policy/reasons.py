"""Why Posthouse accepted, deferred, held or refused: the complete list.

A reason is public vocabulary. Its name appears in replies, logs, the API and the help pages, so a
name is never changed and never reused; tests/policy/test_reasons.py keeps the list.
"""

from enum import Enum, StrEnum
from typing import Final

from msgspec import Struct


class Fixer(Enum):
    """Who can make the mail go through."""

    SENDER = "sender"  # the person with the mail program
    OPERATOR = "operator"  # who runs this server
    RECIPIENT = "recipient"  # the other side
    NOBODY = "nobody"  # nothing is wrong, or only time helps


class Reason(StrEnum):
    """Stable identifiers."""

    # accepted
    WELCOME = "welcome"  # a connection, or a sender nobody has to recognise
    LOCAL_RECIPIENT = "local-recipient"
    SIGNED_IN = "signed-in"
    POP_WINDOW_OPEN = "pop-window-open"
    NETWORK_MAY_RELAY = "network-may-relay"
    HOST_NAME_MAY_RELAY = "host-name-may-relay"
    CERTIFICATE_MAY_RELAY = "certificate-may-relay"
    CONTENT_FINE = "content-fine"
    # not recognised
    NOT_RECOGNISED = "not-recognised"
    SIGN_IN_FIRST = "sign-in-first"
    POP_WINDOW_ENDED = "pop-window-ended"
    POP_WINDOW_OTHER_SENDER = "pop-window-other-sender"
    DOOR_ENDED = "door-ended"
    ADDRESS_LOST = "address-lost"
    RECOGNITION_UNREADABLE = "recognition-unreadable"
    RECIPIENT_NOT_IN_DOOR = "recipient-not-in-door"
    # who may write as whom
    SENDER_NOT_OWN = "sender-not-own"
    FROM_NOT_OWN = "from-not-own"
    SENDER_FIELD_NOT_OWN = "sender-field-not-own"
    REPLY_TO_NOT_OWN = "reply-to-not-own"
    FROM_UNREADABLE = "from-unreadable"
    FROM_AMBIGUOUS = "from-ambiguous"
    # recipients
    RECIPIENT_UNKNOWN = "recipient-unknown"
    RECIPIENT_UNREADABLE = "recipient-unreadable"
    ROUTED_RECIPIENT = "routed-recipient"
    # limits
    TOO_MANY_SESSIONS = "too-many-sessions"
    TOO_MANY_SESSIONS_FROM_ADDRESS = "too-many-sessions-from-address"
    TOO_MANY_RECIPIENTS = "too-many-recipients"
    ACCOUNT_RECIPIENT_BUDGET = "account-recipient-budget"
    ACCOUNT_NEW_RECIPIENT_BUDGET = "account-new-recipient-budget"
    ADDRESS_RECIPIENT_BUDGET = "address-recipient-budget"
    ADDRESS_CONNECTION_BUDGET = "address-connection-budget"
    MESSAGE_TOO_BIG = "message-too-big"
    MAIL_LOOP = "mail-loop"
    # sign-in
    SIGN_IN_FAILED = "sign-in-failed"
    SIGN_IN_LOCKED = "sign-in-locked"
    SIGN_IN_UNREADABLE = "sign-in-unreadable"
    # content
    LOOKS_LIKE_SPAM = "looks-like-spam"
    SCREENING_SILENT = "screening-silent"
    BREAKS_FORMAT = "breaks-format"
    AUTHOR_NOT_CONFIRMED = "author-not-confirmed"
    # ours
    STORAGE_FULL = "storage-full"
    STORAGE_FAILED = "storage-failed"
    SHUTTING_DOWN = "shutting-down"


class Wording(Struct, frozen=True):
    """How a reason is told on the wire.

    Attributes:
        code: Basic status code (RFC 5321 §4.2).
        status: Enhanced status code (RFC 3463).
        fixer: Who can make the mail go through.
        text: One ASCII sentence; may use the fields of `wording.FIELDS`, such as ``{recipient}``.
        meaning: The reason in one sentence, for manual, explain and help pages.
    """

    code: int
    status: str
    fixer: Fixer
    text: str
    meaning: str


_NOBODY, _SENDER, _OPERATOR = Fixer.NOBODY, Fixer.SENDER, Fixer.OPERATOR
_RECIPIENT_OK: Final = "Recipient ok"

# 550 is the code for a declined relay (RFC 5321 §3.6.2), 5.7.1 for "not authorized" (RFC 3463
# §3.8). Not 4xx: a mail program would try for days and its user would hear nothing.
WORDINGS: Final[dict[Reason, Wording]] = {
    Reason.WELCOME: Wording(
        250, "2.1.0", _NOBODY, "Sender ok", "Anybody may connect and bring mail for our domains."
    ),
    Reason.LOCAL_RECIPIENT: Wording(
        250, "2.1.5", _NOBODY, _RECIPIENT_OK, "The recipient's domain is served here."
    ),
    Reason.SIGNED_IN: Wording(250, "2.1.5", _NOBODY, _RECIPIENT_OK, "The client signed in."),
    Reason.POP_WINDOW_OPEN: Wording(
        250,
        "2.1.5",
        _NOBODY,
        _RECIPIENT_OK,
        "The sender fetched mail from the same address a moment ago.",
    ),
    Reason.NETWORK_MAY_RELAY: Wording(
        250, "2.1.5", _NOBODY, _RECIPIENT_OK, "The client's address is in a network that may relay."
    ),
    Reason.HOST_NAME_MAY_RELAY: Wording(
        250, "2.1.5", _NOBODY, _RECIPIENT_OK, "A listed host name points at the client's address."
    ),
    Reason.CERTIFICATE_MAY_RELAY: Wording(
        250, "2.1.5", _NOBODY, _RECIPIENT_OK, "The client showed a certificate that may relay."
    ),
    Reason.CONTENT_FINE: Wording(
        250,
        "2.6.0",
        _NOBODY,
        "Message accepted as {message}",
        "Nothing speaks against the content.",
    ),
    Reason.NOT_RECOGNISED: Wording(
        550,
        "5.7.1",
        _SENDER,
        "Please sign in before sending to {domain}: it is not served here",
        "The recipient's domain is not ours, and the client came through no door: it is not"
        " signed in, fetched no mail lately, and its address is not listed.",
    ),
    Reason.SIGN_IN_FIRST: Wording(
        530,
        "5.7.0",
        _SENDER,
        "Please sign in first: {how_to_sign_in}",
        "This listener takes mail only from people it knows.",
    ),
    Reason.POP_WINDOW_ENDED: Wording(
        550,
        "5.7.1",
        _SENDER,
        "Mail was last fetched from your address {minutes_ago} min ago: fetch mail, then send",
        "The sender fetched mail from this address, but too long ago.",
    ),
    Reason.POP_WINDOW_OTHER_SENDER: Wording(
        550,
        "5.7.1",
        _SENDER,
        "Mail was fetched from your address, but {sender} is no address of who fetched it",
        "A POP window is open for this address, but it belongs to another account.",
    ),
    Reason.DOOR_ENDED: Wording(
        550,
        "5.7.1",
        _OPERATOR,
        "The permission for your address ended: please sign in, or ask for a new one",
        "The entry that let this client relay has passed its last day.",
    ),
    Reason.ADDRESS_LOST: Wording(
        550,
        "5.7.1",
        _OPERATOR,
        "Clients cannot be told apart by their address now: please sign in before sending",
        "The client's address may relay, but many clients seem to share it: a gateway or proxy in"
        " front of this server hides where they come from. Host networking or the PROXY protocol"
        " (proxied_from on the listener) brings the real addresses.",
    ),
    Reason.RECOGNITION_UNREADABLE: Wording(
        451,
        "4.7.0",
        _OPERATOR,
        "I cannot look up now whether you may send: please try again in a few minutes",
        "A fact that might open a door (POP windows, a watched host name) cannot be read now.",
    ),
    Reason.RECIPIENT_NOT_IN_DOOR: Wording(
        550,
        "5.7.1",
        _OPERATOR,
        "From here you may send to {allowed} only",
        "The client is known, but its entry is limited to other recipients.",
    ),
    Reason.SENDER_NOT_OWN: Wording(
        550,
        "5.7.1",
        _SENDER,
        "You may not send as {sender}; you may use {allowed}",
        "The reverse-path is not an address of the account or network that sends.",
    ),
    Reason.FROM_NOT_OWN: Wording(
        550,
        "5.7.1",
        _SENDER,
        "You may not write as {address} in the From field; you may use {allowed}",
        "An author in the From field is not an address of the account or network that sends.",
    ),
    Reason.SENDER_FIELD_NOT_OWN: Wording(
        550,
        "5.7.1",
        _SENDER,
        "You may not write as {address} in the Sender field; you may use {allowed}",
        "The Sender field is not an address of the account or network that sends.",
    ),
    Reason.REPLY_TO_NOT_OWN: Wording(
        550,
        "5.7.1",
        _SENDER,
        "Replies may not go to {address} (Reply-To field); you may use {allowed}",
        "The Reply-To field is outside what the account or network may use.",
    ),
    Reason.FROM_UNREADABLE: Wording(
        550,
        "5.6.0",
        _SENDER,
        "The {field} field holds no address that can be read: please correct it",
        "The author cannot be read from the message, so it cannot be checked.",
    ),
    Reason.FROM_AMBIGUOUS: Wording(
        550,
        "5.6.0",
        _SENDER,
        "The message names several authors without saying who sent it: use one From field",
        "There is more than one From field, or several authors and no Sender field.",
    ),
    Reason.RECIPIENT_UNKNOWN: Wording(
        550,
        "5.1.1",
        _SENDER,
        "There is no mailbox {recipient} here: please check the address",
        "The domain is ours, but nobody has this address.",
    ),
    Reason.RECIPIENT_UNREADABLE: Wording(
        451,
        "4.3.0",
        _OPERATOR,
        "I cannot look up {recipient} now: please try again in a few minutes",
        "The list of accounts cannot be read now.",
    ),
    Reason.ROUTED_RECIPIENT: Wording(
        550,
        "5.1.3",
        _SENDER,
        "An address with a route inside (%, !, @) is not passed on: use the plain address",
        "The next server might read the local-part as a route and become a relay.",
    ),
    Reason.TOO_MANY_SESSIONS: Wording(
        421,
        "4.3.2",
        _NOBODY,
        "{hostname} is busy: please try again in a few minutes",
        "The server carries as many sessions as it may.",
    ),
    Reason.TOO_MANY_SESSIONS_FROM_ADDRESS: Wording(
        421,
        "4.7.0",
        _SENDER,
        "Too many sessions from your address at once: please close some",
        "One client address has as many sessions as it may.",
    ),
    Reason.TOO_MANY_RECIPIENTS: Wording(
        452,
        "4.5.3",
        _SENDER,
        "Too many recipients for one message: send the rest in a further one",
        "One message has as many recipients as it may.",
    ),
    Reason.ADDRESS_CONNECTION_BUDGET: Wording(
        421,
        "4.7.0",
        _SENDER,
        "Your address connects too often: please try again in a few minutes",
        "One client address has made as many connections as it may for now.",
    ),
    Reason.ACCOUNT_RECIPIENT_BUDGET: Wording(
        450,
        "4.7.1",
        _SENDER,
        "You have written to as many recipients as you may for now: please try again later",
        "The account's budget of recipients is used up.",
    ),
    Reason.ACCOUNT_NEW_RECIPIENT_BUDGET: Wording(
        450,
        "4.7.1",
        _SENDER,
        "You have written to as many new recipients as you may for now: please try again later",
        "The account's budget of recipients it never wrote to before is used up.",
    ),
    Reason.ADDRESS_RECIPIENT_BUDGET: Wording(
        450,
        "4.7.1",
        _SENDER,
        "As many recipients as allowed were written to from your address: try again later",
        "The budget of recipients of this client address is used up.",
    ),
    Reason.MESSAGE_TOO_BIG: Wording(
        552,
        "5.3.4",
        _SENDER,
        "The message is too big: at most {megabytes} MB are taken here",
        "The message is larger than the limit.",
    ),
    Reason.MAIL_LOOP: Wording(
        554,
        "5.4.6",
        _OPERATOR,
        "The message has been through too many servers: it seems to go in a loop",
        "The message has too many Received fields.",
    ),
    Reason.SIGN_IN_FAILED: Wording(
        535,
        "5.7.8",
        _SENDER,
        "Name or password is wrong",
        "The name, the password, or both did not match.",
    ),
    Reason.SIGN_IN_LOCKED: Wording(
        454,
        "4.7.0",
        _SENDER,
        "Too many failed sign-ins: please wait a few minutes, then check the password",
        "Sign-ins to this account from this address are paused after many failures.",
    ),
    Reason.SIGN_IN_UNREADABLE: Wording(
        454,
        "4.7.0",
        _OPERATOR,
        "I cannot check passwords now: please try again in a few minutes",
        "The list of accounts cannot be read now.",
    ),
    Reason.LOOKS_LIKE_SPAM: Wording(
        550,
        "5.7.1",
        _SENDER,
        "The message looks like spam ({check}): please write it differently",
        "A screening check found what it looks for.",
    ),
    Reason.SCREENING_SILENT: Wording(
        451,
        "4.7.1",
        _OPERATOR,
        "The message cannot be screened now: please try again in a few minutes",
        "A screening check gave no answer.",
    ),
    Reason.BREAKS_FORMAT: Wording(
        550,
        "5.6.0",
        _SENDER,
        "The message breaks the format: {detail}",
        "Lines must end with CR LF; bare CR, bare LF and NUL are not taken.",
    ),
    Reason.AUTHOR_NOT_CONFIRMED: Wording(
        550,
        "5.7.26",
        _SENDER,
        "The domain in the From field asks to refuse mail that it does not confirm (DMARC)",
        "The author's domain publishes p=reject (DMARC), and neither SPF nor DKIM confirms it.",
    ),
    Reason.STORAGE_FULL: Wording(
        452,
        "4.3.1",
        _OPERATOR,
        "No room to store the message now: please try again later",
        "The disk is full; nothing accepted is lost.",
    ),
    Reason.STORAGE_FAILED: Wording(
        451,
        "4.3.0",
        _OPERATOR,
        "The message could not be stored safely: please try again later",
        "The disk failed; the message was not accepted.",
    ),
    Reason.SHUTTING_DOWN: Wording(
        421,
        "4.3.2",
        _NOBODY,
        "{hostname} is stopping: please try again in a few minutes",
        "The server is being stopped or restarted.",
    ),
}

# The reasons that say "you may not relay": ready-made wordings replace them all.
RELAY_REFUSALS: Final = frozenset(
    {
        Reason.NOT_RECOGNISED,
        Reason.POP_WINDOW_ENDED,
        Reason.POP_WINDOW_OTHER_SENDER,
        Reason.DOOR_ENDED,
        Reason.ADDRESS_LOST,
    }
)


class Words(Struct, frozen=True):
    """What a ready-made word set says for one reason; `status` may be empty."""

    code: int
    status: str
    text: str


def _relay_words(words: Words) -> dict[Reason, Words]:
    return dict.fromkeys(RELAY_REFUSALS, words)


# Texts that people and help desks have known for decades, by the name of their program.
WORD_SETS: Final[dict[str, dict[Reason, Words]]] = {
    "plain": {},
    "sendmail": _relay_words(Words(550, "5.7.1", "<{recipient}>... Relaying denied")),
    "qmail": _relay_words(
        Words(553, "", "sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)")
    ),
}
