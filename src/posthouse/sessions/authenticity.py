"""Whether mail that strangers bring is from whom it says: told in a field and in the case.

Nothing is refused here: `policy.confirmation` decides. DNS is asked while the client waits for the
answer to its final dot; what cannot be found out in time is told as a temporary error.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from msgspec import Struct

from posthouse.authentication.authentication_results import Finding, results_field
from posthouse.authentication.dmarc import Dmarc, evaluate
from posthouse.authentication.lookups import LookUp, LookUpError, Records, RecordType, texts_by
from posthouse.authentication.results import Check, Result
from posthouse.authentication.signatures.arc_verification import NOBODY, Arc, verify_chain
from posthouse.authentication.signatures.arriving import ArrivingMessage
from posthouse.authentication.signatures.verification import Verified, verify_message
from posthouse.authentication.spf import Sender, Spf, check_sender
from posthouse.mail.message import HeaderSection, authorship
from posthouse.policy.confirmation import Confirmation
from posthouse.policy.decision import Step
from posthouse.telemetry.events import BugMet, LogEvent

SECONDS_MAX: Final = 10.0  # of each method; clients wait for minutes (RFC 5321 §4.5.3.2.6)
SLOW_SECONDS: Final = 1.0  # a failure that took so long was silence
SLOW_FAILURES_MAX: Final = 5  # one after another: then DNS is not asked for a while
SILENT_SECONDS: Final = 30.0
STEPS_MAX: Final = 100
TOO_SLOW: Final = "DNS did not answer in time"
Found = TypeVar("Found")


class Authenticity(Struct, frozen=True):
    """What was found about one message.

    Attributes:
        field: An Authentication-Results field, CRLF included.
        steps: All questions with their answers, for the case.
        confirmation: What the policy must know of it; None if nothing was found out.
    """

    field: bytes = b""
    steps: tuple[Step, ...] = ()
    confirmation: Confirmation | None = None


class Asked(Struct, frozen=True):
    """What is known besides the message.

    Attributes:
        sender: Who hands it in.
        hostname: Our name.
        at: The time.
    """

    sender: Sender
    hostname: str
    at: datetime


class Patience:
    """A look-up that does not wait for a DNS that has been silent for a while.

    Without DNS mail must still come in as quickly as ever, if without results.
    """

    def __init__(self, look_up: LookUp, clock: Callable[[], float] = time.monotonic) -> None:
        self._look_up = look_up
        self._clock = clock
        self._failures = 0  # one after another
        self._silent_until = 0.0

    async def look_up(self, name: str, kind: RecordType) -> Records:
        """Ask, or fail at once."""
        begun = self._clock()
        if begun < self._silent_until:
            raise LookUpError("DNS has been silent for a while")
        try:
            found = await self._look_up(name, kind)
        except (LookUpError, asyncio.CancelledError):
            now = self._clock()
            if now - begun >= SLOW_SECONDS:
                self._failures += 1
            if self._failures >= SLOW_FAILURES_MAX:
                self._silent_until = now + SILENT_SECONDS
            raise
        self._failures, self._silent_until = 0, 0.0
        return found


class Examiner:
    """Examines messages of strangers, many at the same time."""

    def __init__(self, look_up: LookUp, log: Callable[[LogEvent], None]) -> None:
        self._look_up = Patience(look_up).look_up
        self._log = log
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self) -> ArrivingMessage:
        """Return what takes the next message while it comes."""
        return ArrivingMessage()

    def examine(
        self, message: ArrivingMessage, asked: Asked, done: Callable[[Authenticity], None]
    ) -> None:
        """Find out about a message that has come, and call `done` in a later turn of the loop."""
        task = asyncio.create_task(self._examine(message, asked, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop what is under way; nobody is told."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _examine(
        self, message: ArrivingMessage, asked: Asked, done: Callable[[Authenticity], None]
    ) -> None:
        try:
            found = await authenticity_of(message, asked, self._look_up)
        except Exception as error:  # noqa: BLE001 - a bug here must not cost the message
            self._log(BugMet("examining a message", repr(error)))
            found = Authenticity()
        done(found)


async def authenticity_of(message: ArrivingMessage, asked: Asked, look_up: LookUp) -> Authenticity:
    """Return what SPF, DKIM, ARC and DMARC say of a message that has come."""
    ask_spf = _in_time(
        partial(check_sender, asked.sender, look_up, asked.hostname),
        Spf(Result.TEMPERROR, TOO_SLOW),
    )
    signatures: tuple[Verified, ...] = ()
    if message.signatures or message.chain:
        spf, (signatures, arc) = await asyncio.gather(ask_spf, _signatures(message, asked, look_up))
    else:
        spf, arc = await ask_spf, Arc(Result.NONE, NOBODY)
    author = author_domain(message.header)
    dmarc = await _in_time(
        partial(evaluate, author, spf, signatures, look_up),
        Dmarc(Result.TEMPERROR, TOO_SLOW, author_domain=author),
    )
    findings = tuple(_findings(asked.sender, spf, signatures, arc, dmarc))
    field = results_field(asked.hostname, findings)
    steps = tuple(_steps(spf, signatures, arc, dmarc))[:STEPS_MAX]
    return Authenticity(field, steps, confirmation_of(spf, arc, dmarc))


def confirmation_of(spf: Spf, arc: Arc, dmarc: Dmarc) -> Confirmation:
    """Return what the policy must know."""
    vouchers = [spf.domain] if spf.result is Result.PASS and spf.domain else []
    if arc.result is Result.PASS and arc.domain:
        vouchers.append(arc.domain)
    failed = dmarc.result is Result.FAIL
    return Confirmation(dmarc.author_domain, failed, str(dmarc.policy or ""), tuple(vouchers))


async def _signatures(
    message: ArrivingMessage, asked: Asked, look_up: LookUp
) -> tuple[tuple[Verified, ...], Arc]:
    texts = texts_by(look_up)
    late = tuple(Verified(Result.TEMPERROR, TOO_SLOW) for _ in message.signatures[:1])
    signatures = await _in_time(partial(verify_message, message, texts, asked.at), late)
    chain = partial(verify_chain, message, texts)
    return signatures, await _in_time(chain, Arc(Result.TEMPERROR, TOO_SLOW))


def author_domain(header: HeaderSection) -> str:
    """Return the domain of all authors; "" if there are several, or none (RFC 9989 §5.3.1)."""
    writers = authorship(header)
    domains = {mailbox.domain for mailbox in writers.authors or ()}
    return domains.pop() if len(domains) == 1 and writers.from_fields == 1 else ""


async def _in_time(finding: Callable[[], Awaitable[Found]], late: Found) -> Found:
    try:
        async with asyncio.timeout(SECONDS_MAX):
            return await finding()
    except TimeoutError:
        return late


def _findings(
    sender: Sender, spf: Spf, signatures: Sequence[Verified], arc: Arc, dmarc: Dmarc
) -> Iterator[Finding]:
    mailbox = sender.reverse_path.mailbox
    of_whom = ("smtp.mailfrom", str(mailbox)) if mailbox else ("smtp.helo", sender.hello)
    yield Finding("spf", spf.result, (of_whom,), _reason(spf.result, spf.because))
    for one in signatures:
        yield Finding(
            "dkim",
            one.result,
            (
                ("header.d", one.domain),
                ("header.s", one.selector),
                ("header.a", one.algorithm),
                ("header.b", one.begins),
            ),
            _reason(one.result, one.because),
        )
    if not signatures:
        yield Finding("dkim", Result.NONE)
    asks = f"; p={dmarc.policy}" if dmarc.result is Result.FAIL and dmarc.policy else ""
    from_whom = (("header.from", dmarc.author_domain),)
    yield Finding("dmarc", dmarc.result, from_whom, _reason(dmarc.result, dmarc.because) + asks)
    yield Finding("arc", arc.result, (), _reason(arc.result, arc.because))


def _reason(result: Result, because: str) -> str:
    return "" if result in (Result.PASS, Result.NONE) else because


def _steps(spf: Spf, signatures: Sequence[Verified], arc: Arc, dmarc: Dmarc) -> Iterator[Step]:
    """Each method's questions, then what they come to."""
    yield from _of_method("SPF", spf.checks, spf.result, spf.because)
    for number, one in enumerate(signatures, 1):
        name = f"DKIM {number}" if len(signatures) > 1 else "DKIM"
        yield from _of_method(name, one.checks, one.result, one.because)
    if arc.result is not Result.NONE:
        yield from _of_method("ARC", arc.checks, arc.result, arc.because)
    yield from _of_method("DMARC", dmarc.checks, dmarc.result, dmarc.because)


def _of_method(name: str, checks: Iterable[Check], result: Result, because: str) -> Iterator[Step]:
    for check in checks:
        yield Step(f"{name}: {check.question}", check.answer, check.because)
    words = f"{result}: {because}" if because else str(result)
    yield Step(f"{name} passes", result is Result.PASS, words)
