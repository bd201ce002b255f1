"""What a delivery report tells a person, in the person's language.

What happened, who can fix it, what to do; below that what administrators need. What a next hop said
is understood with the doctor's own knowledge, so that a report and the doctor never disagree.
"""

import re
import tomllib
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec
from msgspec import Struct

from posthouse.doctor.advice import Answer, advise
from posthouse.doctor.causes import Cause
from posthouse.doctor.diagnosis import CONFIDENT, Context, diagnose
from posthouse.mail.delivery_status import Action, DeliveryStatus, RecipientStatus, is_reply
from posthouse.mail.message import date_time
from posthouse.mail.report import Words

TOLD_RECIPIENTS_MAX: Final = 20
_WIDTH: Final = 74
_MOMENTS: Final = {"zh_Hans": "{:%Y年%m月%d日 %H:%M:%S (%z)}"}  # else as in header fields
_TOKENS: Final = re.compile(
    "[\x21-\x7e]+|\\s+|.[\u3001\u3002\uff01\uff09\uff0c\uff1a\uff1b\uff1f]?"
)

# What the enhanced status says by itself (RFC 3463 §3); the first two numbers are left out.
_BY_STATUS: Final = {
    "1.1": "no-mailbox", "1.2": "no-domain", "1.3": "bad-address", "1.6": "moved",
    "1.10": "null-mx", "2.1": "switched-off", "2.2": "mailbox-full", "2.3": "too-big",
    "3.4": "too-big", "4.1": "no-answer", "4.4": "no-server", "4.6": "loop", "4.7": "expired",
    "6.7": "not-international", "7.4": "not-secure", "7.5": "not-secure", "7.10": "not-secure",
    "7.30": "not-secure",
}  # fmt: skip
_BY_CAUSE: Final = {
    Cause.MAILBOX_UNAVAILABLE: "no-mailbox",
    Cause.MAILBOX_FULL: "mailbox-full",
    Cause.MESSAGE_TOO_BIG: "too-big",
    Cause.RECIPIENT_DOMAIN_INVALID: "no-domain",
    Cause.ADDRESS_SYNTAX: "bad-address",
    Cause.LOOP: "loop",
    Cause.SMTPUTF8_REQUIRED: "not-international",
}
# Said to a server that delivers, these mean that server and not the person.
_OUR_SERVER: Final = frozenset(
    {
        Cause.IP_BLOCKED, Cause.DYNAMIC_IP, Cause.RDNS_MISSING, Cause.HELO_REJECTED,
        Cause.DOMAIN_AUTH_FAILED, Cause.RATE_LIMITED, Cause.IP_NOT_LISTED,
    }
)  # fmt: skip
_NOT_SAID_TO_SERVERS: Final = frozenset(
    {
        Cause.UNKNOWN, Cause.AUTH_FAILED, Cause.AUTH_TEMPORARY, Cause.AUTH_THROTTLED,
        Cause.AUTH_NOT_OFFERED, Cause.APP_PASSWORD_REQUIRED, Cause.WRONG_SERVER_OR_PORT,
        Cause.SILENT_DROP, Cause.TLS_REQUIRED, Cause.TLS_FAILED, Cause.PORT_BLOCKED,
        Cause.SERVER_NOT_FOUND, Cause.CONNECTION_LOST, Cause.PROTOCOL_ERROR, Cause.POLICY_REJECT,
        Cause.EXPIRED,
    }
)  # fmt: skip
_SUBJECTS: Final = {
    Action.FAILED: "not-delivered",
    Action.DELAYED: "delayed",
    Action.DELIVERED: "delivered",
    Action.RELAYED: "passed-on",
    Action.EXPANDED: "passed-on",
}
_SUCCESSES: Final = {
    Action.DELIVERED: "put-in",
    Action.RELAYED: "relayed",
    Action.EXPANDED: "expanded",
}


class Kind(Struct, frozen=True, forbid_unknown_fields=True):
    """The plain words for one kind of failure."""

    what: str
    fixer: str
    steps: tuple[str, ...]


class HeldKind(Struct, frozen=True, forbid_unknown_fields=True):
    """The plain words for one reason to hold a message."""

    what: str
    steps: tuple[str, ...]


class Texts(Struct, frozen=True, forbid_unknown_fields=True):
    """All that reports say in one language."""

    words: dict[str, str]
    kind: dict[str, Kind]
    held: dict[str, HeldKind]


class Hold(Struct, frozen=True):
    """Why a message is held.

    Attributes:
        reason: Name of the reason (policy/reasons.py).
        case: Id of the decision to hold it.
        subject: What it is about: an address, or the name of a check; "" if nothing.
    """

    reason: str
    case: str
    subject: str = ""


class Circumstances(Struct, frozen=True):
    """What the words tell beside the outcomes.

    Attributes:
        subject: Of the original message, decoded; "" if it has none.
        queue_id: Our id for the original message.
        contact: How people reach this site's administrators; "" if not configured.
        held: Why the message is held; None if it is not.
        nobodys: It has no return address, and its postmaster reads the report in place of a sender.
    """

    subject: str
    queue_id: str
    contact: str = ""
    held: Hold | None = None
    nobodys: bool = False


@cache
def texts_by_language() -> dict[str, Texts]:
    """Return data/reports.toml."""
    source = files("posthouse.doctor") / "data" / "reports.toml"
    return msgspec.convert(tomllib.loads(source.read_text("utf-8")), dict[str, Texts])


def tell(status: DeliveryStatus, circumstances: Circumstances, language: str = "en") -> Words:
    """Return subject and text of a report; lines of the text end in LF.

    Args:
        status: What became of the message, for whom.
        circumstances: What else is told.
        language: One of `translation.LANGUAGES`.
    """
    return _Teller(language).tell(status, circumstances)


class _Teller:
    def __init__(self, language: str) -> None:
        self._language = language
        self._texts = texts_by_language()[language]

    def tell(self, status: DeliveryStatus, circumstances: Circumstances) -> Words:
        told = status.recipients[:TOLD_RECIPIENTS_MAX]
        parts = [self._the_message(status, circumstances)]
        if circumstances.held is not None:
            parts.append(self._held(told, circumstances, circumstances.held))
        else:
            parts += [self._story(recipient, circumstances) for recipient in told]
        if more := len(status.recipients) - len(told):
            parts.append(self._say("more-recipients", more=more))
        heading = self._say("administrators")
        parts.append(_for_administrators(status, told, circumstances, heading))
        subject = self._subject(status, circumstances)
        return Words(subject, "\n\n".join(parts) + "\n", self._language.replace("_", "-"))

    def _say(self, key: str, **fields: object) -> str:
        return self._texts.words[key].format(**fields)

    def _moment(self, at: datetime) -> str:
        """An instant as the reader writes it."""
        written = _MOMENTS.get(self._language)
        return written.format(at) if written else date_time(at)

    def _subject(self, status: DeliveryStatus, circumstances: Circumstances) -> str:
        first, all_ = status.recipients[0], len(status.recipients)
        word = self._say("held" if circumstances.held else _SUBJECTS[first.action])
        to = str(first.recipient)
        shown = to if to.isascii() and len(to) <= 80 else self._say("a-recipient")
        key = "subject-more" if all_ > 1 else "subject"
        if circumstances.nobodys:
            key = "subject-postmaster"
        return self._say(key, word=word, to=shown, more=all_ - 1, all=all_)

    def _the_message(self, status: DeliveryStatus, circumstances: Circumstances) -> str:
        key = "about-postmaster" if circumstances.nobodys else "about"
        lines = [_wrapped(self._say(key, host=status.reporting_host), "")]
        if circumstances.subject:
            lines.append("  " + self._say("about-subject", subject=circumstances.subject[:200]))
        if status.arrived:
            lines.append("  " + self._say("about-received", when=self._moment(status.arrived)))
        return "\n".join(lines)

    def _story(self, recipient: RecipientStatus, circumstances: Circumstances) -> str:
        action = recipient.action
        word = self._say(_SUBJECTS[action]).lower()
        heading = self._say("heading", recipient=recipient.recipient, word=word)
        if action is Action.FAILED:
            nobodys = circumstances.queue_id if circumstances.nobodys else ""
            return "\n\n".join([heading, *self._failure(recipient, nobodys)])
        if action is Action.DELAYED:
            return "\n\n".join([heading, *self._delay(recipient)])
        return f"{heading}\n\n{_wrapped(self._say(_SUCCESSES[action]))}"

    def _failure(self, recipient: RecipientStatus, nobodys: str) -> list[str]:
        """What failed; `nobodys`: our id of a message whose postmaster reads this."""
        domain, understood = recipient.recipient.domain, _understood(recipient, self._language)
        name = _kind(recipient, understood)
        sentence = understood.sentence if understood else ""
        if name:
            kind = self._texts.kind[name]
        else:
            assert understood is not None
            steps = tuple(way.text for way in understood.ways[:3])
            kind = Kind(sentence, self._say("sentence", text=understood.fixer_text), steps)
        if nobodys:
            steps = (self._say("postmaster-step", id=nobodys),)
            kind = Kind(kind.what, self._say("postmaster-fixer"), steps)
        fields = {"domain": domain, "sentence": sentence}
        told = _filled(kind.what, fields)
        steps_told = _numbered([_filled(step, fields) for step in kind.steps])
        meaning = ""
        if name == "expired" and understood:
            meaning = "\n" + _wrapped(self._say("meaning", sentence=sentence))
        return [
            self._say("what-happened") + "\n" + _wrapped(told) + self._words(recipient) + meaning,
            self._say("who") + "\n" + _wrapped(_filled(kind.fixer, fields)),
            self._say("what-to-do") + "\n" + steps_told,
        ]

    def _delay(self, recipient: RecipientStatus) -> list[str]:
        until = recipient.retry_until
        happened = (
            self._say("not-yet-until", until=self._moment(until)) if until else self._say("not-yet")
        )
        return [
            self._say("what-happened") + "\n" + _wrapped(happened) + self._words(recipient),
            self._say("who")
            + "\n"
            + _wrapped(self._say("wait-fixer", domain=recipient.recipient.domain)),
            self._say("what-to-do") + "\n" + _wrapped(self._say("wait")),
        ]

    def _held(
        self, told: tuple[RecipientStatus, ...], circumstances: Circumstances, hold: Hold
    ) -> str:
        names = "\n".join(f"  {recipient.recipient}" for recipient in told)
        contact = circumstances.contact
        fixer = self._say("held-contact", contact=contact) if contact else self._say("held-fixer")
        known = self._texts.held
        kind = known.get(hold.reason) or known["otherwise"]
        fields = {"subject": hold.subject or "-", "reason": hold.reason}
        case = self._say("held-case", reason=hold.reason, case=hold.case)
        steps = [_filled(step, fields) for step in kind.steps]
        if not hold.reason.endswith("-budget"):  # its own steps say so already
            steps.append(self._say("held-not-you"))
        steps.append(self._say("held-urgent", id=circumstances.queue_id))
        return "\n\n".join(
            [
                f"{self._say('held-to')}\n{names}\n\n{self._say('held-kept')}",
                self._say("what-happened") + f"\n{_wrapped(_filled(kind.what, fields))}\n  {case}",
                self._say("who") + "\n" + _wrapped(fixer),
                self._say("what-to-do") + "\n" + _numbered(steps),
            ]
        )

    def _words(self, recipient: RecipientStatus) -> str:
        """The next hop's own words: the only thing that is not our guess; or ours, translated."""
        if not recipient.diagnostic:
            return ""
        if remote := recipient.remote:
            said, words = is_reply(recipient.diagnostic), recipient.diagnostic
            who = self._say("server-said" if said else "server-met", remote=remote)
            words = words if said else self._own(words)
        else:
            who, words = self._say("reason-given"), self._own(recipient.diagnostic)
        return f"\n{_wrapped(who)}\n{_wrapped(words, '    ')}"

    def _own(self, words: str) -> str:
        """What this server itself says, in the reader's language if it is one of its phrases."""
        english = texts_by_language()["en"].words
        earlier = english["not-now"].format(words="")
        if words.startswith(earlier):
            return self._say("not-now", words=self._own(words.removeprefix(earlier)))
        own = (key for key, it in english.items() if key.startswith("own-") and it == words)
        key = next(own, "")
        return self._say(key) if key else words


def _understood(recipient: RecipientStatus, language: str) -> Answer | None:
    """What the doctor makes of a next hop's words; None: nothing that helps the sender."""
    if not (recipient.remote and recipient.diagnostic):
        return None
    diagnosis = diagnose(recipient.diagnostic, Context(where="bounce"))
    first = diagnosis.findings[0]
    if first.cause in _NOT_SAID_TO_SERVERS or first.confidence < CONFIDENT:
        return None
    return advise(diagnosis, language)


def _kind(recipient: RecipientStatus, understood: Answer | None) -> str:
    """Name the kind of a failure; "" where the doctor's own words say it better."""
    _, _, detail = recipient.status.partition(".")
    if detail == "7.0" and not recipient.remote:
        return "returned"
    if detail == "4.4" and recipient.recipient.domain.startswith("["):
        return "number-address"
    cause = understood.cause if understood else Cause.UNKNOWN
    if cause in _OUR_SERVER and detail != "4.7":
        return "our-server"
    known = _BY_STATUS.get(detail) or _BY_CAUSE.get(cause, "")
    if known:
        return known
    if understood is not None:
        return ""
    return "by-its-rules" if detail in {"7.1", "7.0", "7.26"} else "refused"


def _filled(text: str, fields: dict[str, str]) -> str:
    """Put fields in; a text of the doctor's may hold brackets of its own."""
    for name, value in fields.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _numbered(steps: Sequence[str]) -> str:
    return "\n".join(
        _wrapped(f"{number}. {step}", "  ", "     ") for number, step in enumerate(steps, 1)
    )


def _for_administrators(
    status: DeliveryStatus,
    told: tuple[RecipientStatus, ...],
    circumstances: Circumstances,
    heading: str,
) -> str:
    """In English in every language: it is passed on to administrators anywhere."""
    lines = ["-" * 66, heading, ""]
    lines += [f"  reporting host: {status.reporting_host}", f"  id: {circumstances.queue_id}"]
    for recipient in told:
        lines.append(f"  <{recipient.recipient}>: {recipient.action} {recipient.status}")
        if recipient.last_attempt:
            lines.append(f"    last attempt: {date_time(recipient.last_attempt)}")
        if recipient.remote:
            lines.append(f"    next hop: {recipient.remote}")
        if recipient.diagnostic:
            lines.append(_wrapped("reply: " + recipient.diagnostic, "    "))
    return "\n".join(lines)


def _wrapped(text: str, indent: str = "  ", further: str = "") -> str:
    """Break lines by the width that signs have on a screen: Chinese ones are two columns wide."""
    lines, line, width = [], indent, len(indent)
    for token in _TOKENS.findall(" ".join(text.split())):
        columns = sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in token)
        if width + columns > _WIDTH and line.strip():
            lines.append(line.rstrip())
            line = further or indent
            width = len(line)
            if token.isspace():
                continue
        line, width = line + token, width + columns
    return "\n".join([*lines, line.rstrip()])
