"""From a decision to the reply on the wire: one plain sentence, then reason, case and link.

Wire text is ASCII and bounded. What a client sent appears in it only escaped, and never an
address, network or door that the client did not name itself; the addresses it may use are told
to those who proved who they are.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import zip_longest
from typing import Final

from posthouse.mail.reply import LINE_OCTETS_MAX, Reply
from posthouse.policy.decision import Decision, Stage, Verdict
from posthouse.policy.facts import Request
from posthouse.policy.reasons import RELAY_REFUSALS, WORD_SETS, WORDINGS, Reason, Words
from posthouse.policy.rules import Rules, Service
from posthouse.sessions.wording_fields import (
    FIELD_OCTETS_MAX,
    FIELDS,
    Particulars,
    SiteWords,
    Told,
)
from posthouse.telemetry.escaping import escaped_to_ascii

TEXT_OCTETS_MAX: Final = LINE_OCTETS_MAX - len("550-5.7.100 \r\n")
LINES_MAX: Final = 4  # of a sentence; a site's text is cut there

_FIELD: Final = re.compile(r"\{([a-z_]+)\}")


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
    told = Told(decision, request, rules, site, particulars)
    lines = _wrapped(_filled(words.text, told))
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


def _filled(text: str, told: Told) -> str:
    """Put the fields in, escaped. No other syntax of `str.format` is known, so texts are safe."""
    return "".join(
        [
            piece if isinstance(piece, str) else escaped_to_ascii(piece(told))[:FIELD_OCTETS_MAX]
            for piece in _pieces(text)
        ]
    )


@lru_cache(maxsize=256)
def _pieces(text: str) -> tuple[str | Callable[[Told], str], ...]:
    """Cut a text at its fields; what has the form of one and is none stays as it is."""
    words = _FIELD.split(text)
    names = words[1::2]
    fields = (FIELDS.get(name, f"{{{name}}}") for name in names)
    return tuple(it for pair in zip_longest(words[::2], fields, fillvalue="") for it in pair if it)


def _wrapped(sentence: str) -> list[str]:
    """Cut at spaces into lines that can be sent; a word longer than a line is cut as well."""
    if len(sentence) <= TEXT_OCTETS_MAX and sentence.isascii() and sentence.isprintable():
        return [sentence]
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
