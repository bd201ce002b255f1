"""How one attempt ended for one recipient. Failures of the mail are values, not exceptions."""

import re
from typing import Final, TypeAlias, assert_never

from msgspec import Struct

from posthouse.mail.address import Mailbox
from posthouse.mail.delivery_status import Action, one_line
from posthouse.mail.reply import Reply

# Not taking mail now, congested, policy, too much mail (RFC 3463 §3.4, §3.5, §3.8; RFC 7372).
_BUSY: Final = ("4.3.2", "4.4.5", "4.7.0", "4.7.28")
_STATUS: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")


class Delivered(Struct, frozen=True):
    """The next hop took responsibility, or the message is in the mailbox.

    Attributes:
        words: What the next hop said, one line.
        host: Who said it, ``name [address]``; "" for our own mailboxes.
        reports: The next hop was asked to report success itself (RFC 3461 §5.2.1).
        tls: How the way was protected, in words; "" for our own mailboxes.
        final: The next hop has put it into the mailbox (LMTP), not only promised to pass it on.
        forgets_deadline: The next hop may be late without a word: it does not offer DELIVERBY.
    """

    words: str
    host: str = ""
    reports: bool = False
    tls: str = ""
    final: bool = False
    forgets_deadline: bool = False


class Expanded(Struct, frozen=True):
    """The address stands for others; copies go on to `forwards`, besides any mailboxes here."""

    forwards: tuple[Mailbox, ...]
    words: str


class Deferred(Struct, frozen=True):
    """Try again: a 4xx reply, or no usable reply at all.

    Attributes:
        status: Enhanced status code, 4.x.x.
        words: What the next hop said, or what went wrong, one line.
        host: Who said it; "" if the words are ours.
        unreachable: No host of the next hop could be talked to: it may be down for all mail.
        forwarded: Copies that could be sent on although the rest must wait.
        tls: How the way was protected, in words; "" if nothing was said on it.
        slow_down: The next hop says that it is busy, or has had enough of us for now.
    """

    status: str
    words: str
    host: str = ""
    unreachable: bool = False
    forwarded: tuple[Mailbox, ...] = ()
    tls: str = ""
    slow_down: bool = False


class Failed(Struct, frozen=True):
    """Never try again: a 5xx reply, or a domain that takes no mail (RFC 7505).

    Attributes:
        status: Enhanced status code, 5.x.x.
        words: What the next hop said, or what is wrong, one line.
        host: Who said it; "" if the words are ours.
        tls: How the way was protected, in words; "" if nothing was said on it.
    """

    status: str
    words: str
    host: str = ""
    tls: str = ""


Outcome: TypeAlias = Delivered | Expanded | Deferred | Failed


class Speaker(Struct, frozen=True):
    """Who gives a reply.

    Attributes:
        host: ``name [address]``.
        tls: How the way there is protected, in words.
        reports: It was asked to report success itself.
        final: It puts mail into mailboxes.
        forgets_deadlines: It does not offer DELIVERBY (RFC 2852).
    """

    host: str
    tls: str = ""
    reports: bool = False
    final: bool = False
    forgets_deadlines: bool = False


def outcome_of(reply: Reply, speaker: Speaker) -> Outcome:
    """Return what a next hop's final reply means for a recipient (RFC 5321 §4.2.1).

    A basic code outside 2xx, 4xx and 5xx is a broken peer: it may be mended, so we try again. An
    enhanced status code whose class contradicts the basic code is not believed (RFC 3463 §2).
    """
    words, host, tls = one_line(str(reply)), speaker.host, speaker.tls
    match reply.code // 100:
        case 2:
            return Delivered(
                words, host, speaker.reports, tls, speaker.final, speaker.forgets_deadlines
            )
        case 5:
            return Failed(_status(reply, "5"), words, host, tls)
        case _:
            status = _status(reply, "4")
            busy = reply.code == 421 or status.startswith(_BUSY)
            return Deferred(status, words, host, tls=tls, slow_down=busy)


def report_action(outcome: Outcome) -> Action:
    """Name the outcome as the Action field of a delivery report does (RFC 3464 §2.3.3)."""
    match outcome:
        case Delivered():
            passed_on = outcome.host and not outcome.final
            return Action.RELAYED if passed_on else Action.DELIVERED
        case Expanded():
            return Action.EXPANDED
        case Deferred():
            return Action.DELAYED
        case Failed():
            return Action.FAILED
        case _:
            assert_never(outcome)


def _status(reply: Reply, kind: str) -> str:
    if _STATUS.fullmatch(reply.status) and reply.status[0] == kind:
        return reply.status
    return f"{kind}.0.0"
