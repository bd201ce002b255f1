"""What a delivery report tells a person: what happened, who can fix it, what to do."""

import textwrap
from typing import Final

from msgspec import Struct

from posthouse.mail.delivery_status import Action, DeliveryStatus, RecipientStatus
from posthouse.mail.message import date_time

TOLD_RECIPIENTS_MAX: Final = 20
_WIDTH: Final = 74


class Advice(Struct, frozen=True):
    """The plain words for one kind of failure.

    Attributes:
        what: What happened; `{domain}` is the recipient's.
        fixer: Who can mend it.
        steps: What to do, in order.
    """

    what: str
    fixer: str
    steps: tuple[str, ...]


class Circumstances(Struct, frozen=True):
    """What the human part tells beside the outcomes.

    Attributes:
        subject: Of the original message, decoded; "" if it has none.
        queue_id: Our id for the original message.
        contact: How people reach this site's administrators; "" if not configured.
        because: Why a held message is held, one sentence; "" otherwise.
    """

    subject: str
    queue_id: str
    contact: str = ""
    because: str = ""


_SPELLING: Final = (
    "Check the part of the address before and after the @ for a typing error.",
    "If it is right, ask the recipient in another way for the current address.",
)
_THEIR_SIDE: Final = (
    "Tell the recipient in another way.",
    "Pass on the diagnostic information below: the administrators of {domain} need it.",
)
_OUR_SIDE: Final = ("Pass the diagnostic information below to the administrators of this server.",)

ADVICE: Final = {
    "1.1": Advice("{domain} has no mailbox of this name.", "You, the sender.", _SPELLING),
    "1.2": Advice("There is no domain {domain} that takes mail.", "You, the sender.", _SPELLING),
    "1.3": Advice("The address is not written correctly.", "You, the sender.", _SPELLING),
    "1.6": Advice("The recipient has moved away from this address.", "You, the sender.", _SPELLING),
    "1.10": Advice("{domain} says that it takes no mail at all.", "You, the sender.", _SPELLING),
    "2.1": Advice("The mailbox is switched off.", "The recipient.", _SPELLING[1:]),
    "2.2": Advice(
        "The recipient's mailbox is full.",
        "The recipient, by deleting or fetching mail.",
        ("Tell the recipient in another way.", "Send the message again later."),
    ),
    "2.3": Advice(
        "The message is larger than the recipient's mailbox may take.",
        "You, the sender.",
        ("Send a smaller message, or a link instead of the attachment.",),
    ),
    "3.4": Advice(
        "The message is larger than {domain} accepts.",
        "You, the sender.",
        ("Send a smaller message, or a link instead of the attachment.",),
    ),
    "4.1": Advice(
        "No mail server of {domain} answers.", "The people who run {domain}.", _THEIR_SIDE
    ),
    "4.4": Advice("No mail server for {domain} could be found.", "You, or {domain}.", _SPELLING),
    "4.6": Advice(
        "The message was going round in a circle between servers.",
        "The administrators of the servers in the circle.",
        _OUR_SIDE,
    ),
    "4.7": Advice(
        "We tried for as long as we may, and {domain} did not take it.",
        "The people who run {domain}.",
        (*_THEIR_SIDE, "Send the message again when {domain} works."),
    ),
    "6.7": Advice(
        "The address contains letters that the mail server of {domain} does not support.",
        "The people who run {domain}.",
        ("Ask the recipient for an address in plain ASCII letters.",),
    ),
    "7.1": Advice(
        "The mail server of {domain} refused the message by its rules.",
        "The people who run {domain}; read what their server said.",
        (
            "Read the server's words above: they may say what it wants.",
            *_THEIR_SIDE,
        ),
    ),
    "7.10": Advice(
        "A secure connection to {domain} was demanded and could not be made.",
        "The people who run {domain}, or the administrators of this server.",
        _OUR_SIDE,
    ),
}
_REFUSED: Final = Advice(
    "{domain} did not take the message.",
    "The people who run {domain}; read what their server said.",
    (*_THEIR_SIDE, "If the words name something you can change, change it and send again."),
)
_RETURNED: Final = Advice(
    "The administrators of this server returned the message to you.",
    "You, with what they say; or they themselves.",
    ("Read the reason given above.", *_OUR_SIDE),
)
_ALIASES: Final = {"7.26": "7.1", "7.0": "7.1", "7.4": "7.10", "7.5": "7.10", "7.30": "7.10"}


def subject_line(status: DeliveryStatus, *, held: bool) -> str:
    """Return the subject: what happened, and to mail for whom. ASCII."""
    first = status.recipients[0]
    word = "Held" if held else _SUBJECTS[first.action]
    to = str(first.recipient)
    shown = to if to.isascii() and len(to) <= 80 else "a recipient"
    more = len(status.recipients) - 1
    return f"{word}: your message to {shown}" + (f" and {more} more" if more else "")


def human_part(status: DeliveryStatus, circumstances: Circumstances) -> str:
    """Return the words for people and below them those for administrators; lines end in LF."""
    told = status.recipients[:TOLD_RECIPIENTS_MAX]
    parts = [_the_message(status, circumstances)]
    if circumstances.because:
        parts += [_held(told, circumstances)]
    else:
        parts += [_story(recipient) for recipient in told]
    if more := len(status.recipients) - len(told):
        parts.append(f"and {more} more recipients, listed in the attached report.")
    parts.append(_for_administrators(status, told, circumstances))
    return "\n\n".join(parts) + "\n"


_SUBJECTS: Final = {
    Action.FAILED: "Not delivered",
    Action.DELAYED: "Delayed",
    Action.DELIVERED: "Delivered",
    Action.RELAYED: "Passed on",
    Action.EXPANDED: "Passed on",
}
_SUCCESSES: Final = {
    Action.DELIVERED: "It was put into the mailbox.",
    Action.RELAYED: (
        "It was handed to the next mail server, which does not report deliveries. You will hear "
        "from that server only if it fails."
    ),
    Action.EXPANDED: (
        "The address stands for several recipients. It was sent on to each of them; no further "
        "report of success will come."
    ),
}


def _the_message(status: DeliveryStatus, circumstances: Circumstances) -> str:
    lines = ["This is the mail server of " + status.reporting_host + ", about your message"]
    if circumstances.subject:
        lines.append(f"  Subject:  {circumstances.subject[:200]}")
    if status.arrived:
        lines.append(f"  Received: {date_time(status.arrived)}")
    return "\n".join(lines)


def _story(recipient: RecipientStatus) -> str:
    action = recipient.action
    heading = f"To {recipient.recipient}: {_SUBJECTS[action].lower()}"
    if action is Action.FAILED:
        return "\n\n".join([heading, *_failure(recipient)])
    if action is Action.DELAYED:
        return "\n\n".join([heading, *_delay(recipient)])
    return f"{heading}\n\n{_wrapped(_SUCCESSES[action])}"


def _failure(recipient: RecipientStatus) -> list[str]:
    advice = _advice(recipient)
    domain = recipient.recipient.domain
    steps = [
        textwrap.fill(
            step.format(domain=domain), _WIDTH, initial_indent=f"  {number}. ",
            subsequent_indent="     ", break_long_words=False, break_on_hyphens=False,
        )
        for number, step in enumerate(advice.steps, 1)
    ]  # fmt: skip
    return [
        "What happened\n" + _wrapped(advice.what.format(domain=domain)) + _words(recipient),
        "Who can fix it\n" + _wrapped(advice.fixer.format(domain=domain)),
        "What to do\n" + "\n".join(steps),
    ]


def _delay(recipient: RecipientStatus) -> list[str]:
    until = recipient.retry_until
    when = f" until {date_time(until)}" if until else ""
    return [
        "What happened\n"
        + _wrapped("It could not be delivered yet. We keep it safe and go on trying" + when + ".")
        + _words(recipient),
        "What to do\n"
        + _wrapped(
            "Nothing: please do not send it again. If it cannot be delivered in that time, "
            "you will get another message. If it is urgent, reach the recipient in another way."
        ),
    ]


def _held(told: tuple[RecipientStatus, ...], circumstances: Circumstances) -> str:
    names = "\n".join(f"  {recipient.recipient}" for recipient in told)
    contact = f" You can reach them here: {circumstances.contact}" if circumstances.contact else ""
    return "\n\n".join(
        [
            f"To\n{names}\n\nIt was not sent on yet. It is kept for a person to look at.",
            "What happened\n" + _wrapped(circumstances.because),
            "Who can fix it\n"
            + _wrapped("The administrators of this server, who can release it." + contact),
            "What to do\n"
            + _wrapped(
                "Please do not send it again. If you did not send it, change your password: "
                "someone may be using your account. If it is urgent, name the number "
                f"{circumstances.queue_id} to the administrators."
            ),
        ]
    )


def _words(recipient: RecipientStatus) -> str:
    """The next hop's own words: the only thing that is not our guess."""
    if not recipient.diagnostic:
        return ""
    who = f"The mail server {recipient.remote} said:" if recipient.remote else "The reason given:"
    return f"\n{_wrapped(who)}\n{_wrapped(recipient.diagnostic, '    ')}"


def _for_administrators(
    status: DeliveryStatus, told: tuple[RecipientStatus, ...], circumstances: Circumstances
) -> str:
    lines = ["-" * 66, "Diagnostic information for administrators", ""]
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


def _advice(recipient: RecipientStatus) -> Advice:
    _, _, kind = recipient.status.partition(".")
    if kind == "7.0" and not recipient.remote:
        return _RETURNED
    return ADVICE.get(_ALIASES.get(kind, kind), _REFUSED)


def _wrapped(text: str, indent: str = "  ") -> str:
    return textwrap.fill(
        text, _WIDTH, initial_indent=indent, subsequent_indent=indent,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
