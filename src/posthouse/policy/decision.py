"""The answer of the policy, and how it came about."""

from enum import StrEnum

from msgspec import Struct

from posthouse.policy.reasons import Reason


class Verdict(StrEnum):
    """What happens to what was asked for."""

    ACCEPT = "accept"
    REFUSE = "refuse"  # 5xx: the same request will fail again
    DEFER = "defer"  # 4xx: the same request may succeed later
    HOLD = "hold"  # accepted, kept for a person to look at


class Stage(StrEnum):
    """What was decided."""

    CONNECTION = "connection"
    SIGN_IN = "sign-in"
    MAIL = "mail"
    RECIPIENT = "recipient"
    CONTENT = "content"
    RELEASE = "release"


class Step(Struct, frozen=True):
    """One question that was put, and its answer. Steps are told in the order they were put.

    Attributes:
        question: Such as ``recipient is local``.
        answer: Yes or no.
        because: The fact that decided, such as ``domain adatum.example``.
        where: The configuration line that decided, ``posthouse.toml:12``; "" where none did.
    """

    question: str
    answer: bool
    because: str
    where: str = ""


class Decision(Struct, frozen=True):
    """A verdict with its one reason and its whole trace.

    Attributes:
        stage: What was decided.
        verdict: What happens.
        reason: Why, as a stable identifier.
        trace: Every question asked, in order.
        allowed: Addresses that may be used instead, for identity refusals: ``ann@a``, ``@a``.
        minutes_ago: Minutes since the POP window's last command, where that is the matter.
        field: Header field that an identity refusal is about, ``From``; else "".
        subject: The address, door or check the reason is about; "" where there is none.
        recognitions: How the client is known: what the doors said at this moment.
    """

    stage: Stage
    verdict: Verdict
    reason: Reason
    trace: tuple[Step, ...] = ()
    allowed: tuple[str, ...] = ()
    minutes_ago: int | None = None
    field: str = ""
    subject: str = ""
    recognitions: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether the mail goes on its way, if only to be held."""
        return self.verdict in (Verdict.ACCEPT, Verdict.HOLD)
