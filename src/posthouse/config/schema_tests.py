"""Questions with the answers they must have, beside the rules they watch over."""

from typing import Annotated, Final

from msgspec import Struct
from pydantic import Field, PlainSerializer, PlainValidator
from pydantic.json_schema import WithJsonSchema

from posthouse.config.section import Section, meaning
from posthouse.config.values import (
    Address,
    ClientAddress,
    Duration,
    FilePath,
    Flag,
    Moment,
    Name,
    Text,
    fault,
    read_address,
    text_of,
)
from posthouse.config.words import nearest, quoted
from posthouse.mail.address import Mailbox
from posthouse.policy.decision import Verdict
from posthouse.policy.reasons import Reason

_HELP: Final = (
    'write "accept", "refuse", "defer" or "hold", and the reason: "refuse not-recognised"'
)


class Expectation(Struct, frozen=True):
    """The verdict, and the reason unless any will do."""

    verdict: Verdict
    reason: Reason | None = None

    def __str__(self) -> str:
        return f"{self.verdict.value} {self.reason.value}" if self.reason else self.verdict.value


def read_expectation(value: object) -> Expectation:
    """Return what ``refuse not-recognised`` or ``accept`` expects."""
    verdict, _, reason = text_of(value).strip().partition(" ")
    try:
        expected = Verdict(verdict)
    except ValueError:
        raise fault("expect", f"{quoted(verdict)} is no verdict", _HELP) from None
    try:
        return Expectation(expected, Reason(reason.strip()) if reason.strip() else None)
    except ValueError:
        near = nearest(reason.strip(), [each.value for each in Reason])
        words = f'did you mean "{verdict} {near}"?' if near else _HELP
        message = f"there is no reason {quoted(reason.strip())}"
        raise fault("expect", message, words) from None


def read_sender(value: object) -> Mailbox | None:
    """Return a reverse-path; "" or <> is the null one."""
    if value in ("", "<>"):
        return None
    return read_address(value)


Expected = Annotated[
    Expectation,
    PlainValidator(read_expectation),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["refuse not-recognised"]}),
]
Sender = Annotated[
    Mailbox | None,
    PlainValidator(read_sender),
    PlainSerializer(lambda value: str(value or ""), return_type=str),
    WithJsonSchema({"type": "string", "examples": ["ann@example.com"]}),
]


class PolicyTest(Section):
    """One question, and the answer it must have."""

    name: Annotated[Text, meaning("What it shows.")] = ""
    client: Annotated[ClientAddress, meaning("Address of the client.")]
    listener: Annotated[
        Name | None, meaning("Where it comes to. Default: mx, or submission when signed in.")
    ] = None
    signed_in: Annotated[Address | None, meaning("Account that signed in.")] = None
    fetched_ago: Annotated[
        Duration | None, meaning("Time since the sender's account fetched mail from there.")
    ] = None
    tls: Annotated[Flag, meaning("Whether the session is encrypted.")] = True
    from_: Annotated[Sender, meaning("Reverse-path; empty for the null one.")] = Field(alias="from")
    header_from: Annotated[Address | None, meaning("From field. Default: as `from`.")] = None
    to: Annotated[Address, meaning("Recipient.")]
    time: Annotated[Moment | None, meaning("When. Default: now.")] = None
    expect: Annotated[Expected, meaning("Verdict, and reason if it matters.")]


class Shadow(Section):
    """A second configuration, asked beside this one: what would change, before it does."""

    file: Annotated[
        FilePath | None,
        meaning(
            "Its rules see every request too. Nothing is done by them; where they would decide"
            " otherwise, that is logged and counted. Default: none."
        ),
    ] = None
