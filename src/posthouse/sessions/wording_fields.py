"""What the text of a reason may mention, ours or a site's (``[refusals.wording]``), and its values.

A value is made when a text asks for it: most texts name one or two.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec import Struct

from posthouse.policy.decision import Decision
from posthouse.policy.facts import Request
from posthouse.policy.networks import address_text
from posthouse.policy.rules import Rules
from posthouse.sessions.offering import (
    how_to_sign_in,
    sign_in_port,
    takes_pop_windows,
    takes_sign_ins,
)
from posthouse.telemetry.escaping import escaped_to_ascii

LIST_OCTETS_MAX: Final = 200  # of the addresses one may use; the rest is counted
FIELD_OCTETS_MAX: Final = 330  # the longest address of RFC 5321 §4.5.3.1 fits


class SiteWords(Struct, frozen=True):
    """How this site speaks.

    Attributes:
        word_set: Name of a ready-made set: ``plain``, ``sendmail`` or ``qmail``.
        texts: The site's own sentence for a reason, by its id.
        help_link: With ``{case}`` in it; "" puts no link into replies.
        contact: Whom to ask.
    """

    word_set: str = "plain"
    texts: Mapping[str, str] = {}
    help_link: str = ""
    contact: str = ""

    def link_to(self, case: str) -> str:
        """Return the address of the page about a case; "" where there is none."""
        return self.help_link.replace("{case}", case) if case else ""


class Particulars(Struct, frozen=True):
    """What a reply may mention that the request does not hold.

    Attributes:
        case: Short id of the recorded decision.
        message: Id of the accepted message.
        detail: What is wrong with the content.
        account: The name that was given at a sign-in.
        header_id: The Message-ID field of the accepted message, for its case.
    """

    case: str = ""
    message: str = ""
    detail: str = ""
    account: str = ""
    header_id: str = ""


class Told(Struct, frozen=True):
    """All that a text may draw on.

    Attributes:
        decision: What was decided.
        request: About what.
        rules: By which rules.
        site: How the site speaks.
        particulars: What else is known.
    """

    decision: Decision
    request: Request
    rules: Rules
    site: SiteWords
    particulars: Particulars


def _domain(told: Told) -> str:
    recipient = told.request.forward_path
    return recipient.domain if recipient is not None else "other domains"


def _sender(told: Told) -> str:
    path = told.request.reverse_path
    return str(path.mailbox) if path is not None and path.mailbox is not None else "<>"


def _account(told: Told) -> str:
    sign_in = told.request.client.signed_in
    return told.particulars.account or (sign_in.account.name if sign_in is not None else "")


def _window(told: Told) -> str:
    windows = [door.window for door in told.rules.pop_window_doors]
    return str(int(max(windows).total_seconds() // 60)) if windows else ""


def _minutes_ago(told: Told) -> str:
    minutes = told.decision.minutes_ago
    return "" if minutes is None else str(minutes)


def _how_to_be_known(told: Told) -> str:
    """Return half a sentence: how to come through a door of this listener, or elsewhere."""
    client, rules, at = told.request.client, told.rules, told.request.at
    listener = rules.listeners.get(client.listener)
    if listener is None:
        return ""
    how = how_to_sign_in(rules, listener, at, tls=client.tls)
    if not takes_sign_ins(rules, listener, at) and takes_pop_windows(rules, listener, at):
        how = "fetch your mail by POP3 from the same address, then send"
    return how or "the postmaster can tell you how to send from here"


def enumeration(addresses: Iterable[str]) -> str:
    """Return ``a, b and 12 more``, cut so that the line can be sent."""
    every = [escaped_to_ascii(address) for address in addresses]
    if not every:
        return "no address"
    told: list[str] = []
    room = LIST_OCTETS_MAX
    for address in every:
        room -= len(address) + 2
        if room < 0 and told:
            break
        told.append(address[:FIELD_OCTETS_MAX])
    rest = len(every) - len(told)
    if rest:
        return f"{', '.join(told)} and {rest} more"
    return " or ".join((", ".join(told[:-1]), told[-1])) if len(told) > 1 else told[0]


FIELDS: Final[Mapping[str, Callable[[Told], str]]] = {
    "recipient": lambda it: str(it.request.forward_path or ""),
    "domain": _domain,
    "sender": _sender,
    "address": lambda it: it.decision.subject,
    "field": lambda it: it.decision.field,
    "allowed": lambda it: enumeration(it.decision.allowed),
    "minutes_ago": _minutes_ago,
    "client": lambda it: address_text(it.request.client.address),
    "hostname": lambda it: it.rules.hostname,
    "port": lambda it: str(sign_in_port(it.rules, it.request.at) or ""),
    "how_to_sign_in": _how_to_be_known,
    "megabytes": lambda it: f"{it.rules.limits.message_octets / 1_000_000:.6g}",
    "check": lambda it: it.decision.subject,
    "detail": lambda it: it.particulars.detail,
    "message": lambda it: it.particulars.message,
    "case": lambda it: it.particulars.case,
    "contact": lambda it: it.site.contact or f"postmaster@{it.rules.hostname}",
    "account": _account,
    "hello": lambda it: it.request.client.hello,
    "link": lambda it: it.site.link_to(it.particulars.case),
    "listener": lambda it: it.request.client.listener,
    "reason": lambda it: str(it.decision.reason),
    "subject": lambda it: it.decision.subject,
    "window": _window,
}
"""The value of each field, before it is escaped."""
