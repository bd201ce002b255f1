"""Signing in to POP3: USER and PASS, APOP, AUTH; then an open maildrop, or why there is none."""

import asyncio
from collections.abc import Coroutine
from functools import partial

from msgspec import Struct

from posthouse.accounts.answers import (
    Answer,
    Failed,
    Locked,
    Purpose,
    Unreadable,
    Verified,
)
from posthouse.mailbox.maildir import MaildirError
from posthouse.mailbox.maildrop import Maildrop, MaildropInUseError
from posthouse.policy.facts import Client
from posthouse.protocol.mechanisms import Circumstances, machine
from posthouse.protocol.pop3 import apop, replies
from posthouse.protocol.pop3.events import ApopGiven, AuthRequested, PasswordGiven, SaslResponse
from posthouse.protocol.pop3.replies import Challenge, Reply
from posthouse.protocol.sasl import SaslError
from posthouse.sessions.exchange import Asker, Exchange, Question, Settled, fresh_nonce
from posthouse.sessions.pop3_service import Address, Pop3Service
from posthouse.telemetry.events import SignedIn, SignInFailed, StoreFailed


class Opened(Struct, frozen=True):
    """The password was right and the maildrop is locked for this session."""

    account: str
    maildrop: Maildrop


class Refusal(Struct, frozen=True):
    """No maildrop was opened.

    Attributes:
        reply: What to answer.
        is_guess: The password was wrong: a connection may not try for ever.
    """

    reply: Reply
    is_guess: bool = False


Result = Opened | Refusal | Challenge
SignInEvent = PasswordGiven | ApopGiven | AuthRequested | SaslResponse


class SignInWork:
    """The sign-ins of one session.

    Attributes:
        client: Address of the client.
        bindings: Channel bindings of the connection by type; none without TLS.
        stamp: What the greeting ends with, for APOP; "" where that is not offered.
    """

    def __init__(self, service: Pop3Service, session: str) -> None:
        self._service = service
        self._session = session
        self._exchange: Exchange | None = None
        self.client: Address
        self.bindings: dict[str, bytes] = {}
        self.stamp = ""

    def stamp_greeting(self) -> str:
        """Return the timestamp that the greeting must end with, making it."""
        self.stamp = apop.timestamp(fresh_nonce(), self._service.hostname)
        return self.stamp

    def forget(self) -> None:
        """Forget an exchange that is under way."""
        self._exchange = None

    def take(
        self, event: SignInEvent, offered: tuple[str, ...]
    ) -> Reply | Challenge | Coroutine[object, object, Result]:
        """Answer what the client says, or return the work that gives an answer.

        Args:
            event: What it says.
            offered: Mechanisms it was offered.
        """
        match event:
            case PasswordGiven(name=name, password=password):
                ask = partial(
                    self._service.verifier.verify,
                    name,
                    password,
                    address=self.client,
                    purpose=Purpose.FETCH,
                )
                return self._settle("USER", Question(name, "", ask))
            case ApopGiven(name=name, digest=digest):
                return self._settle("APOP", Question(name, "", lambda: self._apop(name, digest)))
            case AuthRequested(mechanism=mechanism, initial_response=response):
                at = Circumstances(fresh_nonce(), self._service.hostname, self.bindings, offered)
                asker = Asker(self._service.verifier, self.client, Purpose.FETCH)
                self._exchange = Exchange(mechanism, machine(mechanism, at), asker)
                return self._respond(self._exchange, response)
            case SaslResponse(octets=response):
                assert self._exchange is not None, "AUTH came first"
                return self._respond(self._exchange, response)

    def _respond(
        self, exchange: Exchange, response: bytes | None
    ) -> Reply | Challenge | Coroutine[object, object, Result]:
        try:
            turn = exchange.respond(response)
        except SaslError as problem:
            self._exchange = None
            return replies.sign_in_broken(str(problem))
        match turn:
            case Settled():
                return self._finish(exchange.mechanism, turn)
            case Question():
                return self._settle(exchange.mechanism, turn, exchange)
            case _:
                return Challenge(turn.octets)

    async def _settle(
        self, mechanism: str, question: Question, exchange: Exchange | None = None
    ) -> Result:
        """Ask the accounts, and finish unless the mechanism has a last word."""
        answer = await question.ask()
        if exchange is None:
            settled = Settled(question.name, question.authorization, answer)
        else:
            turn = exchange.judged(question, answer)
            if not isinstance(turn, Settled):
                return Challenge(turn.octets)
            settled = turn
        return await self._finish(mechanism, settled)

    async def _apop(self, name: str, digest: str) -> Answer:
        verifier = self._service.verifier
        challenged = verifier.challenge("APOP", name, purpose=Purpose.FETCH)
        if isinstance(challenged, Unreadable):
            return challenged
        known = apop.matched(self.stamp, digest, challenged.secrets)  # type: ignore[arg-type]
        return await verifier.prove(challenged, known, address=self.client)

    async def _finish(self, mechanism: str, settled: Settled) -> Opened | Refusal:
        """Tell of the sign-in, and open the maildrop in a thread."""
        self._exchange = None
        service = self._service
        if (verified := settled.verified) is not None:
            return await self._open(verified.account.name, mechanism)
        match settled.answer:
            case Verified() | Failed():
                self._log_failure(settled, "sign-in-failed")
                await asyncio.sleep(service.limits.failure_pause.total_seconds())
                return Refusal(replies.SIGN_IN_FAILED, is_guess=True)
            case Locked(minutes=minutes):
                self._log_failure(settled, "sign-in-locked")
                await asyncio.sleep(service.limits.failure_pause.total_seconds())
                return Refusal(replies.locked_out(minutes), is_guess=True)
            case Unreadable(problem=problem):
                self._log_failure(settled, "sign-in-unreadable")
                service.log(StoreFailed("accounts", problem))
                return Refusal(replies.SIGN_IN_UNAVAILABLE)

    async def _open(self, account: str, mechanism: str) -> Opened | Refusal:
        service = self._service
        now = service.now()
        if not service.may_come_again(account, now):
            return Refusal(replies.SIGNED_IN_LATELY)
        service.note_sign_in(account, self.client, now)
        client = str(self.client)
        service.log(SignedIn(self._session, client, service.listener, account, mechanism))
        loop = asyncio.get_running_loop()
        try:
            maildrop = service.open_listed(account)
            if maildrop is None:
                maildrop = await loop.run_in_executor(
                    service.executor, service.open_maildrop, account
                )
        except MaildropInUseError:
            return Refusal(replies.MAILDROP_IN_USE)
        except MaildirError as error:
            service.log(StoreFailed("mailbox", str(error)))
            return Refusal(replies.MAILDROP_UNREADABLE)
        return Opened(account, maildrop)

    def _log_failure(self, settled: Settled, why: str) -> None:
        service, name = self._service, settled.name
        client = Client(self.client, service.listener, tls=bool(self.bindings))
        case = service.note_failure(name, client, settled.answer)
        service.log(
            SignInFailed(self._session, str(self.client), service.listener, name, why, case)
        )
