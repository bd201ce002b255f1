"""One recorded decision, its id, and its form in the file."""

import os
import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from posthouse.policy.decision import Decision, Stage, Step, Verdict
from posthouse.policy.facts import Request
from posthouse.policy.networks import address_text
from posthouse.policy.reasons import Reason
from posthouse.telemetry.asked import Asked, Told, asked_of, request_again
from posthouse.telemetry.escaping import escaped

ID_CHARACTERS: Final = 8
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's: no I, L, O, U
_PAIRS: Final = tuple(one + other for one in _ALPHABET for other in _ALPHABET)
_FETCHED_AT_ONCE: Final = 256  # random numbers from the system: asking it costs more than using
_random: list[int] = []
os.register_at_fork(after_in_child=_random.clear)  # two workers would give the same ids
_AS_MEANT: Final = str.maketrans("OIL", "011", "- ")


class Case(Struct, frozen=True):
    """A decision as it was made, with what it was about.

    Attributes:
        id: What stands in the reply: eight characters.
        at: When.
        stage: What was decided.
        verdict: What happened.
        reason: Why.
        reply: As it was sent; "" where nothing was.
        client: Address of the client as text.
        listener: The listener it came to.
        tls: The connection was encrypted.
        hello: The name given by EHLO; hostile text.
        account: Name of the account that was recognised; at a sign-in, the name that was given.
        reverse_path: ``a@b``; ``<>`` for the null one; "" before MAIL.
        forward_path: ``a@b``; "" before RCPT.
        message_id: Id of the message in the spool, where there is one.
        header_id: Its Message-ID field; hostile text.
        trace: Every question asked, in order.
        would_help: Smallest changes that would let the mail through, smallest first.
        field: Header field that the reason is about.
        subject: Address, door or check that the reason is about.
        allowed: Addresses that may be used instead.
        minutes_ago: Since the POP window's last command, where that is the matter.
        recognitions: What the doors said.
        repeats: How many more of this kind came from this client soon after, only counted.
        last_at: When the last of those came.
        asked: What else the decision depended on; None in cases of older versions.
    """

    id: str
    at: datetime
    stage: Stage
    verdict: Verdict
    reason: Reason
    reply: str = ""
    client: str = ""
    listener: str = ""
    tls: bool = False
    hello: str = ""
    account: str = ""
    reverse_path: str = ""
    forward_path: str = ""
    message_id: str = ""
    trace: tuple[Step, ...] = ()
    would_help: tuple[str, ...] = ()
    field: str = ""
    subject: str = ""
    allowed: tuple[str, ...] = ()
    minutes_ago: int | None = None
    recognitions: tuple[str, ...] = ()
    repeats: int = 0
    last_at: datetime | None = None
    header_id: str = ""
    asked: Asked | None = None

    def request(self) -> Request | None:
        """Return the request that was decided, to be decided again; None if it was not kept."""
        if self.asked is None:
            return None
        told = Told(
            self.at, self.client, self.listener, self.tls, self.hello,
            self.reverse_path, self.forward_path,
        )  # fmt: skip
        try:
            return request_again(told, self.asked)
        except ValueError:
            return None


def case_of(  # noqa: PLR0913 - each is a thing of its own, and named
    case_id: str,
    request: Request,
    decision: Decision,
    *,
    reply: str = "",
    would_help: Iterable[str] = (),
    message_id: str = "",
    header_id: str = "",
    account: str = "",
    further: tuple[Step, ...] = (),
) -> Case:
    """Return the case of a decision; the id comes from `CaseStore.new_id`.

    `account` is the name that was given at a sign-in (else that of who signed in), `further` are
    the questions of a later decision about the same mail. All others are as in `Case`.
    """
    client, path = request.client, request.reverse_path
    reverse_path = "" if path is None else str(path.mailbox) if path.mailbox else "<>"
    return Case(
        case_id,
        request.at,
        decision.stage,
        decision.verdict,
        decision.reason,
        reply=reply,
        client=address_text(client.address),
        listener=client.listener,
        tls=client.tls,
        hello=client.hello,
        account=account or (client.signed_in.account.name if client.signed_in else ""),
        reverse_path=reverse_path,
        forward_path=str(request.forward_path) if request.forward_path else "",
        message_id=message_id,
        trace=decision.trace + further,
        would_help=tuple(would_help),
        field=decision.field,
        subject=decision.subject,
        allowed=decision.allowed,
        minutes_ago=decision.minutes_ago,
        recognitions=decision.recognitions,
        header_id=header_id,
        asked=asked_of(request),
    )


def fresh_id() -> str:
    """Return a new id, 40 random bits: it stands in links, so nobody may guess the next."""
    try:
        number = _random.pop()
    except IndexError:
        octets = secrets.token_bytes(5 * _FETCHED_AT_ONCE)
        numbers = (int.from_bytes(octets[at : at + 5]) for at in range(0, len(octets), 5))
        _random.extend(numbers)
        number = secrets.randbits(5 * ID_CHARACTERS)
    return (
        _PAIRS[number >> 30]
        + _PAIRS[number >> 20 & 1023]
        + _PAIRS[number >> 10 & 1023]
        + _PAIRS[number & 1023]
    )


def id_as_meant(text: str) -> str:
    """Return the id that a person meant: any case, O for 0, I or L for 1, with hyphens."""
    return escaped(text).strip().upper().translate(_AS_MEANT)


def encode(case: Case) -> bytes:
    """Return the case as JSON; unpaired surrogates in hostile text become escapes."""
    try:
        return msgspec.json.encode(case)
    except UnicodeEncodeError:
        return msgspec.json.encode(_paired(msgspec.to_builtins(case)))


def decode(octets: bytes) -> Case:
    """Return the case that `encode` wrote."""
    return msgspec.json.decode(octets, type=Case)


def _paired(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {key: _paired(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_paired(inner) for inner in value]
    return value
