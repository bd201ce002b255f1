"""AUTH in an SMTP session (RFC 4954): from the exchange to who is there, or why not."""

import asyncio
import base64
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from posthouse.accounts.verifier import Answer, Failed, Locked, Purpose, Unreadable, Verified
from posthouse.mail.reply import Reply
from posthouse.policy.decision import Decision, Stage, Step, Verdict
from posthouse.policy.facts import Address, Client, Request
from posthouse.policy.reasons import Reason
from posthouse.policy.rules import Rules
from posthouse.protocol.sasl import SERVER_SIDE, Challenge, Credentials, Mechanism, SaslError
from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.events import AuthRequested
from posthouse.sessions.gathering import SignedIn
from posthouse.sessions.recording import Recorder
from posthouse.sessions.wording import Particulars
from posthouse.telemetry import events
from posthouse.telemetry.events import LogEvent


class Verifier(Protocol):
    """Checks passwords off the loop."""

    async def verify(
        self, name: str, password: str, *, address: Address, purpose: Purpose
    ) -> Answer:
        """Return whose password it is, or why it is not taken; never raises."""
        ...


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

    def __init__(
        self, place: SignInPlace, session_id: str, answer: Callable[[Reply], None]
    ) -> None:
        self._place = place
        self._session_id = session_id
        self._answer = answer
        self._client: Client | None = None
        self._mechanism: Mechanism | None = None
        self._mechanism_name = ""
        self._failures = 0
        self._task: asyncio.Task[None] | None = None
        self.signed_in: SignedIn | None = None

    def begin(self, event: AuthRequested, client: Client) -> Reply | None:
        """Answer AUTH; None while the password is checked."""
        self._client = client
        self._mechanism_name = event.mechanism
        self._mechanism = SERVER_SIDE[event.mechanism]()
        return self.respond(event.initial_response)

    def respond(self, response: bytes | None) -> Reply | None:
        """Answer the client's next word; None while the password is checked."""
        assert self._mechanism is not None, "AUTH came first"
        try:
            word = self._mechanism.respond(response)
        except SaslError as problem:
            self.cancel()
            return Reply(501, "5.5.2", f"Sign-in failed: {problem}")
        if isinstance(word, Challenge):
            return Reply(334, "", base64.b64encode(word.octets).decode("ascii"))
        self._mechanism = None
        self._task = asyncio.get_running_loop().create_task(self._verify(word))
        return None

    def cancel(self) -> None:
        """Forget an exchange that is under way."""
        self._mechanism = None
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _verify(self, claimed: Credentials) -> None:
        client = self._known_client()
        answer = await self._place.verifier.verify(
            claimed.name, claimed.password, address=client.address, purpose=Purpose.SEND
        )
        self._task = None
        if isinstance(answer, Verified) and _acts_for_itself(claimed, answer):
            self._answer(self._welcome(answer))
        else:
            self._answer(self._refuse(claimed, answer))

    def _welcome(self, verified: Verified) -> Reply:
        client, credential = self._known_client(), verified.credential
        self.signed_in = SignedIn(
            account=verified.account.name,
            credential=credential.id,
            mechanism=self._mechanism_name,
            submission_password=verified.submission_password,
        )
        self._place.log(
            events.SignedIn(
                session=self._session_id,
                client=str(client.address),
                listener=client.listener,
                account=verified.account.name,
                mechanism=self._mechanism_name,
                password=credential.name or "account",
            )
        )
        return replies.SIGNED_IN

    def _refuse(self, claimed: Credentials, answer: Answer) -> Reply:
        place, client = self._place, self._known_client()
        decision = _refusal(answer)
        request = Request(place.now(), client)
        recorded = place.recorder.record(
            decision, request, place.rules, Particulars(account=claimed.name)
        )
        place.log(
            events.SignInFailed(
                session=self._session_id,
                client=str(client.address),
                listener=client.listener,
                account=claimed.name,
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


def _acts_for_itself(claimed: Credentials, verified: Verified) -> bool:
    """Whether the authorisation identity is empty or the same account (RFC 4616 §2)."""
    wanted = claimed.authorization.casefold()
    return wanted in ("", claimed.name.casefold(), verified.account.name.casefold())


def _refusal(answer: Answer) -> Decision:
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
