"""AUTH in an SMTP session (RFC 4954): from the exchange to who is there, or why not."""

import asyncio
import base64
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from posthouse.accounts.answers import Answer, Failed, Locked, Purpose, Unreadable, Verified
from posthouse.mail.reply import Reply
from posthouse.policy.decision import Decision, Stage, Step, Verdict
from posthouse.policy.facts import Client, Request
from posthouse.policy.reasons import Reason
from posthouse.policy.rules import Rules
from posthouse.protocol.mechanisms import Circumstances, machine
from posthouse.protocol.sasl import Challenge, SaslError
from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.events import AuthRequested
from posthouse.sessions.exchange import Asker, Exchange, Question, Settled, Verifier
from posthouse.sessions.gathering import SignedIn
from posthouse.sessions.recording import Recorder
from posthouse.sessions.wording_fields import Particulars
from posthouse.telemetry import events
from posthouse.telemetry.events import LogEvent


class SignInPlace(Protocol):
    """The part of the service that signing in needs."""

    @property
    def rules(self) -> Rules:
        """What the operator allows."""

    @property
    def recorder(self) -> Recorder:
        """Puts failures into words."""

    @property
    def verifier(self) -> Verifier:
        """Checks passwords."""

    @property
    def sign_in_failures_max(self) -> int:
        """Failed sign-ins on one connection; then 421."""

    @property
    def now(self) -> Callable[[], datetime]:
        """The clock."""

    @property
    def log(self) -> Callable[[LogEvent], None]:
        """Takes events."""


class SignInWork:
    """The sign-ins of one session.

    Attributes:
        signed_in: Who is there; None as long as nobody is.
    """

    __slots__ = (
        "_answer",
        "_client",
        "_exchange",
        "_failures",
        "_place",
        "_session_id",
        "_task",
        "signed_in",
    )

    def __init__(
        self, place: SignInPlace, session_id: str, answer: Callable[[Reply], None]
    ) -> None:
        self._place = place
        self._session_id = session_id
        self._answer = answer
        self._client: Client | None = None
        self._exchange: Exchange | None = None
        self._failures = 0
        self._task: asyncio.Task[None] | None = None
        self.signed_in: SignedIn | None = None

    def begin(self, event: AuthRequested, client: Client, at: Circumstances) -> Reply | None:
        """Answer AUTH; None while the accounts are asked."""
        self._client = client
        asker = Asker(self._place.verifier, client.address, Purpose.SEND)
        self._exchange = Exchange(event.mechanism, machine(event.mechanism, at), asker)
        return self.respond(event.initial_response)

    def respond(self, response: bytes | None) -> Reply | None:
        """Answer the client's next word; None while the accounts are asked."""
        exchange = self._exchange
        assert exchange is not None, "AUTH came first"
        try:
            turn = exchange.respond(response)
        except SaslError as problem:
            self.cancel()
            return Reply(501, "5.5.2", f"Sign-in failed: {problem}")
        match turn:
            case Challenge():
                return _challenge(turn)
            case Settled():
                return self._settled(turn)
            case Question():
                loop = asyncio.get_running_loop()
                self._task = loop.create_task(self._ask(exchange, turn))
                return None

    def cancel(self) -> None:
        """Forget an exchange that is under way."""
        self._exchange = None
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _ask(self, exchange: Exchange, question: Question) -> None:
        turn = exchange.judged(question, await question.ask())
        self._task = None
        self._answer(_challenge(turn) if isinstance(turn, Challenge) else self._settled(turn))

    def _settled(self, settled: Settled) -> Reply:
        assert self._exchange is not None, "AUTH came first"
        mechanism, self._exchange = self._exchange.mechanism, None
        if (verified := settled.verified) is not None:
            return self._welcome(verified, mechanism)
        return self._refuse(settled)

    def _welcome(self, verified: Verified, mechanism: str) -> Reply:
        client, credential = self._known_client(), verified.credential
        self.signed_in = SignedIn(
            account=verified.account.name,
            credential=credential.id,
            mechanism=mechanism,
            submission_password=verified.submission_password,
        )
        self._place.log(
            events.SignedIn(
                session=self._session_id,
                client=str(client.address),
                listener=client.listener,
                account=verified.account.name,
                mechanism=mechanism,
                password=credential.name or "account",
            )
        )
        return replies.SIGNED_IN

    def _refuse(self, settled: Settled) -> Reply:
        place, client = self._place, self._known_client()
        decision = refusal_of(settled.answer)
        request = Request(place.now(), client)
        recorded = place.recorder.record(
            decision, request, place.rules, Particulars(account=settled.name)
        )
        place.log(
            events.SignInFailed(
                session=self._session_id,
                client=str(client.address),
                listener=client.listener,
                account=settled.name,
                why=decision.reason,
                case=recorded.case,
            )
        )
        self._failures += decision.reason is Reason.SIGN_IN_FAILED
        if self._failures >= place.sign_in_failures_max:
            return Reply(421, "4.7.0", recorded.reply.text)
        return recorded.reply

    def _known_client(self) -> Client:
        assert self._client is not None, "AUTH came first"
        return self._client


def _challenge(challenge: Challenge) -> Reply:
    return Reply(334, "", base64.b64encode(challenge.octets).decode("ascii"))


def refusal_of(answer: Answer) -> Decision:
    """Name, password and disabled account are not told apart: nobody learns who has an account."""
    verdict, reason, because = Verdict.REFUSE, Reason.SIGN_IN_FAILED, "they do not match"
    match answer:
        case Verified():
            because = "the account asked for is another one"
        case Failed():
            pass
        case Locked(minutes=minutes):
            verdict, reason = Verdict.DEFER, Reason.SIGN_IN_LOCKED
            because = f"too many failures lately, for {minutes} min more"
        case Unreadable(problem=problem):
            verdict, reason, because = Verdict.DEFER, Reason.SIGN_IN_UNREADABLE, problem
    step = Step("name and password match", answer=False, because=because)
    return Decision(Stage.SIGN_IN, verdict, reason, (step,))
