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
    CONTENT_FINE = "content-fine"
    # not recognised
    NOT_RECOGNISED = "not-recognised"
    SIGN_IN_FIRST = "sign-in-first"
    POP_WINDOW_ENDED = "pop-window-ended"
    POP_WINDOW_OTHER_SENDER = "pop-window-other-sender"
    DOOR_ENDED = "door-ended"
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
    MESSAGE_TOO_BIG = "message-too-big"
    MAIL_LOOP = "mail-loop"
    # sign-in
    SIGN_IN_FAILED = "sign-in-failed"
    SIGN_IN_LOCKED = "sign-in-locked"
    SIGN_IN_UNREADABLE = "sign-in-unreadable"
    # content
    LOOKS_LIKE_SPAM = "looks-like-spam"
    BREAKS_FORMAT = "breaks-format"
    # ours
    STORAGE_FULL = "storage-full"
    STORAGE_FAILED = "storage-failed"
    SHUTTING_DOWN = "shutting-down"


class Wording(Struct, frozen=True):
    """How a reason is told on the wire.

    `text` is ASCII and may use the fields in `wording.FIELDS` (sessions), such as ``{recipient}``.
    """

    code: int
    status: str
    fixer: Fixer
    text: str
    meaning: str  # one sentence for manual, explain and help pages


