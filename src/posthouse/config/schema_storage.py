"""How much, where things are kept, what is said and what is logged."""

import re
from typing import Annotated, Final, Literal

from annotated_types import MinLen
from pydantic import Field, PlainValidator
from pydantic.json_schema import WithJsonSchema

from posthouse.config.section import Section, meaning
from posthouse.config.units import parse_duration, parse_rate, parse_size
from posthouse.config.values import Count, Duration, FilePath, Rate, Size, Text, fault, text_of
from posthouse.config.words import nearest, quoted
from posthouse.policy.reasons import Reason

# What a wording may say; sessions.wording fills them, each may be empty.
WORDING_FIELDS: Final = frozenset({
    "recipient", "domain", "sender", "address", "field", "allowed", "minutes_ago", "client",
    "hostname", "port", "how_to_sign_in", "megabytes", "check", "detail", "message", "case",
    "contact", "account", "hello", "link", "listener", "reason", "subject", "window",
})  # fmt: skip
_FIELD: Final = re.compile(r"\{([^{}]*)\}")
_WORDING_OCTETS_MAX: Final = 400  # leaves room for code, status and filled fields in 512


def fields_of(template: str, allowed: frozenset[str], kind: str) -> str:
    """Return `template` if its ``{fields}`` are all `allowed`.

    Raises:
        PydanticCustomError: If one is unknown, or a bracket stands alone.
    """
    used = _FIELD.findall(template)
    lone = _FIELD.sub("", template)
    known = ", ".join(f"{{{each}}}" for each in sorted(allowed))
    if "{" in lone or "}" in lone:
        raise fault(kind, "a { or } stands alone", f"fields are {known}")
    for field in used:
        if field not in allowed:
            raise fault(kind, f"there is no field {{{field}}}", f"fields are {known}")
    return template


def read_wording(value: object) -> str:
    """Return the words of a refusal: ASCII, one line, known fields."""
    text = text_of(value)
    if not text.isascii():
        raise fault(
            "wording",
            "an SMTP reply is plain ASCII",
            "write it without accents; the help pages speak every language",
        )
    if not text.strip() or len(text) > _WORDING_OCTETS_MAX:
        raise fault("wording", f"a wording has 1 to {_WORDING_OCTETS_MAX} characters")
    return fields_of(text, WORDING_FIELDS, "wording")


def read_help(value: object) -> str:
    """Return the address of the help page, with ``{case}`` in it."""
    text = text_of(value)
    if not text.isascii() or not re.fullmatch(r"https?://[^\s]+", text):
        raise fault(
            "help-link", "this is no web address", 'write "https://help.example.com/{case}"'
        )
    fields_of(text, frozenset({"case"}), "help-link")
    if "{case}" not in text:
        raise fault(
            "help-link", "the link does not say which case", f'write "{text}?case={{case}}"'
        )
    return text


def read_mailboxes(value: object) -> str:
    """Return the template of Maildir paths."""
    text = text_of(value)
    fields_of(text, frozenset({"domain", "local_part"}), "mailboxes")
    if "{local_part}" not in text or "{domain}" not in text:
        raise fault(
            "mailboxes",
            "two accounts would share a mailbox: {domain} or {local_part} is missing",
            'write "/srv/mail/{domain}/{local_part}"',
        )
    return text


def read_reason(value: object) -> Reason:
    """Return a reason by its name."""
    text = text_of(value)
    try:
        return Reason(text)
    except ValueError:
        near = nearest(text, [each.value for each in Reason])
        words = f'did you mean "{near}"?' if near else "see `posthouse reasons`"
        raise fault("reason", f"there is no reason {quoted(text)}", words) from None


WordingText = Annotated[str, PlainValidator(read_wording), WithJsonSchema({"type": "string"})]
HelpLink = Annotated[str, PlainValidator(read_help), WithJsonSchema({"type": "string"})]
Mailboxes = Annotated[str, PlainValidator(read_mailboxes), WithJsonSchema({"type": "string"})]
ReasonName = Annotated[
    Reason, PlainValidator(read_reason), WithJsonSchema({"enum": [each.value for each in Reason]})
]


class Refusals(Section):
    """What we say when we refuse."""

    words: Annotated[
        Literal["plain", "sendmail", "qmail"],
        meaning(
            "Ready-made sets of words. sendmail: <a@b>... Relaying denied."
            " qmail: sorry, that domain isn't in my list of allowed rcpthosts."
        ),
    ] = "plain"
    help: Annotated[
        HelpLink | None,
        meaning("Page that explains a case; without it replies carry no link. Holds {case}."),
    ] = None
    contact: Annotated[Text, meaning("Whom to ask: telephone, mail address.")] = ""
    languages: Annotated[
        tuple[Text, ...], MinLen(1), meaning("Of help pages and reports; SMTP replies are ASCII.")
    ] = ("en",)
    wording: Annotated[
        dict[ReasonName, WordingText],
        meaning("Your own words, by reason; may hold fields such as {domain} and {minutes_ago}."),
    ] = Field(default_factory=dict)


class AccountBudgets(Section):
    """How much one account may send."""

    recipients: Annotated[Rate | None, meaning("Recipients. Default: no limit.")] = None
    new_recipients: Annotated[
        Rate | None, meaning("Recipients it never wrote to before. Default: no limit.")
    ] = None


class AddressBudgets(Section):
    """How much one address may do."""

    recipients: Annotated[
        Rate | None, meaning("Recipients, where it relays without an account. Default: no limit.")
    ] = None
    connections: Annotated[
        Rate | None,
        meaning("Connections, to all listeners together, whoever it is. Default: no limit."),
    ] = None


class Limits(Section):
    """How much."""

    message_size: Annotated[Size, meaning("Largest message.")] = parse_size("25 MB")
    recipients_per_message: Annotated[
        Count, meaning("Recipients in one mail transaction; RFC 5321 wants 100 or more.")
    ] = 100
    messages_per_session: Annotated[
        Count | None,
        meaning("Mail transactions in one session; EHLO tells it (LIMITS). Default: no limit."),
    ] = None
    arriving_messages: Annotated[
        Count,
        meaning(
            "Messages that may arrive at the same moment, in all sessions together; each may take"
            " 256 KiB of memory before it goes to a file. Others hear 452."
        ),
    ] = 1000
    future_release: Annotated[
        Duration,
        meaning(
            "Longest that mail handed in may be asked to wait here before it leaves"
            " (FUTURERELEASE)."
        ),
    ] = parse_duration("30 days")
    deliver_by_at_least: Annotated[
        Duration,
        meaning(
            "Shortest deadline after which mail handed in is returned as too late (DELIVERBY)."
        ),
    ] = parse_duration("1 min")
    sessions: Annotated[Count, meaning("Sessions at a time, all listeners together.")] = 5000
    sessions_per_address: Annotated[Count, meaning("Of those, from one client address.")] = 20
    failed_sign_ins: Annotated[
        Rate, meaning("Then the account is locked for that address; never a whole network.")
    ] = parse_rate("10 per 10 min")
    command_wait: Annotated[Duration, meaning("Wait for a command.")] = parse_duration("5 min")
    content_wait: Annotated[Duration, meaning("Wait for a piece of a message.")] = parse_duration(
        "10 min"
    )
    pop3_wait: Annotated[
        Duration, meaning("Wait for a POP3 command; RFC 1939 section 3 wants 10 min or more.")
    ] = parse_duration("10 min")
    pop3_login_delay: Annotated[
        Duration | None,
        meaning("Least time between POP3 sign-ins of an account (RFC 2449). Default: none."),
    ] = None
    stop_wait: Annotated[
        Duration, meaning("How long running transactions may end when the server stops.")
    ] = parse_duration("30 s")
    hops: Annotated[
        Count, meaning("Received fields after which mail runs in circles (RFC 5321 section 6.3).")
    ] = 30
    each_account: Annotated[AccountBudgets, meaning("Budgets of each account.")] = AccountBudgets()
    each_address: Annotated[AddressBudgets, meaning("Budgets of each client address.")] = (
        AddressBudgets()
    )


class Keep(Section):
    """How long things are kept."""

    held_mail: Annotated[Duration, meaning("Held mail; then it is returned to its sender.")] = (
        parse_duration("14 days")
    )
    decisions: Annotated[Duration, meaning("What `posthouse explain CASE` can still tell.")] = (
        parse_duration("90 days")
    )
    fetched_mail: Annotated[
        Duration | None,
        meaning(
            "After how long your own jobs remove mail from mailboxes; POP3 tells mail programs"
            " (EXPIRE). Posthouse removes none. Default: never."
        ),
    ] = None


class Storage(Section):
    """Where things are kept."""

    directory: Annotated[FilePath, meaning("Accounts, spool, cases; use a local disk.")] = (
        "/var/lib/posthouse"
    )
    mailboxes: Annotated[
        Mailboxes | None,
        meaning(
            "Maildir of each account, with {domain} and {local_part}."
            " Default: mail/{domain}/{local_part} in the directory."
        ),
    ] = None
    keep: Annotated[Keep, meaning("How long things are kept.")] = Keep()

    @property
    def mailbox_template(self) -> str:
        """The template that holds: as written, or the default below the directory."""
        return self.mailboxes or self.directory.rstrip("/") + "/mail/{domain}/{local_part}"


class Log(Section):
    """What the log looks like."""

    format: Annotated[
        Literal["auto", "json", "text"],
        meaning("One JSON object a line, or text; auto: text on a terminal, else JSON."),
    ] = "auto"
    level: Annotated[
        Literal["debug", "info", "warning", "error"], meaning("The least that is logged.")
    ] = "info"
