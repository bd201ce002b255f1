"""From a decision to the reply on the wire: one plain sentence, then reason, case and link.

Wire text is ASCII and bounded. What a client sent appears in it only escaped, and never an
address, network or door that the client did not name itself; the addresses it may use are told
to those who proved who they are.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from msgspec import Struct

from posthouse.mail.reply import LINE_OCTETS_MAX, Reply
from posthouse.policy.decision import Decision, Stage, Verdict
from posthouse.policy.facts import Request
from posthouse.policy.reasons import RELAY_REFUSALS, WORD_SETS, WORDINGS, Reason, Words
from posthouse.policy.rules import Rules, Service
from posthouse.sessions.offering import (
    how_to_sign_in,
    sign_in_port,
    takes_pop_windows,
    takes_sign_ins,
)
from posthouse.telemetry.escaping import escaped_to_ascii

# What the text of a reason may mention, ours or a site's (``[refusals.wording]``).
FIELDS: Final = (
    "recipient", "domain", "sender", "address", "field", "allowed", "minutes_ago", "client",
    "hostname", "port", "how_to_sign_in", "megabytes", "check", "detail", "message", "case",
    "contact", "account", "hello", "link", "listener", "reason", "subject", "window",
)  # fmt: skip

LIST_OCTETS_MAX: Final = 200  # of the addresses one may use; the rest is counted
FIELD_OCTETS_MAX: Final = 330  # the longest address of RFC 5321 §4.5.3.1 fits
TEXT_OCTETS_MAX: Final = LINE_OCTETS_MAX - len("550-5.7.100 \r\n")
LINES_MAX: Final = 4  # of a sentence; a site's text is cut there

_FIELD: Final = re.compile(r"\{([a-z_]+)\}")


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


def reply_to(
    decision: Decision,
    request: Request,
    rules: Rules,
    site: SiteWords,
    particulars: Particulars,
) -> Reply:
    """Return what the client hears of a decision."""
    if decision.verdict is Verdict.ACCEPT:
        if decision.reason is not Reason.CONTENT_FINE:
            return welcome(decision)
        if decision.reason not in site.texts:
            return _taken_as(particulars.message)
    words = _words_for(decision, request, rules, site)
    sentence = _filled(words.text, _fields(decision, request, rules, site, particulars))
    lines = _wrapped(sentence)
    if decision.verdict is not Verdict.ACCEPT:
        lines.append(_reference(decision.reason, site, particulars.case))
    return Reply(words.code, words.status, "\n".join(lines))


def welcome(decision: Decision) -> Reply:
    """Return the answer to a MAIL or RCPT that is accepted."""
    return _accepted(decision.stage, decision.reason)


def _taken_as(message_id: str) -> Reply:
    wording = WORDINGS[Reason.CONTENT_FINE]
    return Reply(wording.code, wording.status, wording.text.replace("{message}", message_id))


@lru_cache(maxsize=64)
def _accepted(stage: Stage, reason: Reason) -> Reply:
    if stage is Stage.MAIL:
        reason = Reason.WELCOME
    wording = WORDINGS[reason]
    return Reply(wording.code, wording.status, wording.text)


def _words_for(decision: Decision, request: Request, rules: Rules, site: SiteWords) -> Words:
    """Choose the text, the most particular first, and codes that agree with the verdict."""
    wording = WORDINGS[decision.reason]
    if decision.verdict is Verdict.HOLD:
        return Words(250, "2.6.0", "Message kept as {message}: a person looks at it first")
    if _must_sign_in_here(decision, request, rules):
        return Words(530, "5.7.0", _sign_in_text(decision, site))
    ready_made = WORD_SETS[site.word_set].get(decision.reason)
    text = site.texts.get(decision.reason)
    if ready_made is not None and text is None and decision.stage is Stage.RECIPIENT:
        return ready_made
    code, status = wording.code, wording.status
    if decision.verdict is Verdict.DEFER and code >= 500:
        code, status = 451, f"4{status[1:]}"
    elif decision.verdict is Verdict.REFUSE and code < 400:
        code, status = 550, "5.7.1"
    return Words(code, status, text or wording.text)


def _must_sign_in_here(decision: Decision, request: Request, rules: Rules) -> bool:
    """RFC 6409 §4.3: a submission server answers 530 to whom it does not know."""
    listener = rules.listeners.get(request.client.listener)
    return (
        decision.stage is Stage.MAIL
        and decision.verdict is Verdict.REFUSE
        and listener is not None
        and listener.service is Service.SUBMISSION
        and (decision.reason in RELAY_REFUSALS or decision.reason is Reason.SIGN_IN_FIRST)
    )


def _sign_in_text(decision: Decision, site: SiteWords) -> str:
    sign_in = site.texts.get(Reason.SIGN_IN_FIRST) or WORDINGS[Reason.SIGN_IN_FIRST].text
    if decision.reason in (Reason.NOT_RECOGNISED, Reason.SIGN_IN_FIRST):
        return sign_in
    own = site.texts.get(decision.reason) or WORDINGS[decision.reason].text
    return f"{own}\n{sign_in}"


def _fields(
    decision: Decision,
    request: Request,
    rules: Rules,
    site: SiteWords,
    particulars: Particulars,
) -> dict[str, str]:
    values = {
        **_fields_of_request(request, rules),
        "address": decision.subject,
        "subject": decision.subject,
        "check": decision.subject,
        "field": decision.field,
        "reason": str(decision.reason),
        "minutes_ago": "" if decision.minutes_ago is None else str(decision.minutes_ago),
        "detail": particulars.detail,
        "message": particulars.message,
        "case": particulars.case,
        "link": site.link_to(particulars.case),
        "contact": site.contact or f"postmaster@{rules.hostname}",
    }
    if particulars.account:
        values["account"] = particulars.account
    values["allowed"] = enumeration(decision.allowed)
    return values


def _fields_of_request(request: Request, rules: Rules) -> dict[str, str]:
    client, recipient, reverse = request.client, request.forward_path, request.reverse_path
    sender = reverse.mailbox if reverse is not None else None
    windows = [door.window for door in rules.pop_window_doors]
    return {
        "recipient": str(recipient or ""),
        "domain": recipient.domain if recipient is not None else "other domains",
        "sender": str(sender) if sender is not None else "<>",
        "client": str(client.address),
        "account": client.signed_in.account.name if client.signed_in else "",
        "hello": client.hello,
        "listener": client.listener,
        "hostname": rules.hostname,
        "port": str(sign_in_port(rules, request.at) or ""),
        "how_to_sign_in": _how_to_be_known(request, rules),
        "megabytes": f"{rules.limits.message_octets / 1_000_000:.6g}",
        "window": str(int(max(windows).total_seconds() // 60)) if windows else "",
    }


def _how_to_be_known(request: Request, rules: Rules) -> str:
    """Return half a sentence: how to come through a door of this listener, or elsewhere."""
    client = request.client
    listener = rules.listeners.get(client.listener)
    if listener is None:
        return ""
    how = how_to_sign_in(rules, listener, request.at, tls=client.tls)
    if not takes_sign_ins(rules, listener, request.at) and takes_pop_windows(
        rules, listener, request.at
    ):
        how = "fetch your mail by POP3 from the same address, then send"
    return how or "the postmaster can tell you how to send from here"


def _filled(text: str, fields: Mapping[str, str]) -> str:
    """Put the fields in, escaped. No other syntax of `str.format` is known, so texts are safe."""

    def shown(found: re.Match[str]) -> str:
        value = fields.get(found[1])
        return found[0] if value is None else escaped_to_ascii(value)[:FIELD_OCTETS_MAX]

    return _FIELD.sub(shown, text)


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


def _wrapped(sentence: str) -> list[str]:
    """Cut at spaces into lines that can be sent; a word longer than a line is cut as well."""
    lines: list[str] = []
    for paragraph in sentence.split("\n"):
        rest = escaped_to_ascii(paragraph)
        while len(rest) > TEXT_OCTETS_MAX:
            at = rest.rfind(" ", 0, TEXT_OCTETS_MAX)
            at = at if at > 0 else TEXT_OCTETS_MAX
            lines.append(rest[:at])
            rest = rest[at:].lstrip()
        lines.append(rest)
    return lines[:LINES_MAX]


def _reference(reason: Reason, site: SiteWords, case: str) -> str:
    """``[pop-window-ended] case 7Q4KX2MB https://help...``: all that a help desk needs."""
    link = site.link_to(case)
    known = f"[{reason}] case {case}" if case else f"[{reason}]"
    return escaped_to_ascii(f"{known} {link}" if link else known)[:TEXT_OCTETS_MAX]
