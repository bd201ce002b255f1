"""A POP3 session: between a stream, the protocol core, the passwords and a maildrop."""

import asyncio
import itertools
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypeVar

from posthouse.mailbox.maildir import MaildirError, MessageGoneError
from posthouse.mailbox.maildrop import Maildrop
from posthouse.protocol.pop3 import replies
from posthouse.protocol.pop3.events import (
    ApopGiven,
    AuthRequested,
    CapabilitiesRequested,
    CommandRefused,
    ConnectionAbused,
    Event,
    LanguageRequested,
    MechanismsRequested,
    PasswordGiven,
    QuitReceived,
    SaslResponse,
    TlsRequested,
    UserNamed,
    Utf8Requested,
)
from posthouse.protocol.pop3.replies import Reply
from posthouse.protocol.pop3.server import Offer, ServerConnection
from posthouse.sessions import pop3_transaction
from posthouse.sessions.pop3_service import Pop3Service, TlsRule
from posthouse.sessions.pop3_sign_in import Opened, Result, SignInWork
from posthouse.sessions.pop3_transaction import (
    READ_OCTETS,
    Gathered,
    LongAnswer,
    Message,
    gather,
    remove_and_close,
)
from posthouse.telemetry import events as log_events
from posthouse.wire.stream import ENOUGH_OCTETS, StreamProtocol
from posthouse.wire.tls import TlsError

NOTED_AGAIN: Final = timedelta(seconds=1)  # commands of a session in between change nothing
COMMANDS_IN_TURN: Final = 100  # of one session, then others have theirs
T = TypeVar("T")
_numbers = itertools.count(1)


class Pop3Session(StreamProtocol):
    """One connection of a mail program that fetches mail.

    No task is made for a command: what is in memory is answered at once, what blocks runs in the
    executor of the service, and while it runs no further command is taken.

    Attributes:
        client: Address of the client, once connected.
    """

    def __init__(self, service: Pop3Service) -> None:
        from_start = service.tls_rule is TlsRule.FROM_START
        assert service.tls is not None or not from_start, "no certificate for TLS from the start"
        super().__init__(
            idle_time=min(service.limits.wait_before_sign_in, service.limits.idle_time),
            tls=service.tls if from_start else None,
            proxied_from=service.proxied_from,
        )
        self._service = service
        self._offer = Offer()
        self._core = ServerConnection(self._offer, service.limits.core)
        self._id = f"p{next(_numbers)}"
        self._sign_in = SignInWork(service, self._id)
        self._account = ""
        self._failures = 0
        self._maildrop: Maildrop | None = None
        self._long_answer: LongAnswer | None = None
        self._work: object | None = None  # what the running command waits for
        self._retrieved = 0
        self._noted: datetime | None = None
        self._is_full = self._stopping = self._peer_is_done = self._has_ended = False
        self._why = "lost"

    def stop(self) -> None:
        """End the session as soon as the running command is answered; nothing is removed."""
        self._stopping = True
        if not self.is_ending:
            self._advance()

    # ---------------------------------------------------------------- hooks of the stream

    def stream_opened(self) -> None:
        """Count the session before anything else happens."""
        service = self._service
        self.client = self._sign_in.client = self.peer_address
        service.sessions.add(self)
        self._is_full = service.is_full(service.census.enter(self.client))
        service.log(log_events.Connected(self._id, str(self.client), service.listener))
        if self._is_full and service.tls_rule is TlsRule.FROM_START:
            self.abort()  # a handshake only to say no would be dear

    def stream_started(self) -> None:
        """Greet, or say that there are too many already."""
        if self.tls is not None:
            self._log_tls()
        if self._is_full:
            self._why = "refused"
            self._core.greet(replies.TOO_BUSY)
        else:
            self._make_offer()
            stamp = f" {self._sign_in.stamp_greeting()}" if self._offer.apop else ""
            self._core.greet(replies.ok(f"{self._service.hostname} Posthouse POP3 ready{stamp}"))
        self._flush()

    def octets_received(self, octets: bytes) -> None:
        """Take what the client sent."""
        self._core.receive(octets)
        self._advance()

    def tls_started(self) -> None:
        """Go on after STLS; all that was said before does not count."""
        self._log_tls()
        self._sign_in.forget()
        self._core.tls_started()
        self._make_offer()

    def tls_failed(self, error: TlsError) -> None:
        """Note why the handshake failed."""
        self._service.log(log_events.TlsFailed(self._id, str(self.client), str(error)))

    def writing_resumed(self) -> None:
        """Go on with a long answer, or with the next command."""
        self._pump()
        self._advance()

    def idle_too_long(self) -> None:
        """Give up; messages are kept and nothing is said (RFC 1939 section 3)."""
        if self._work is not None:
            return  # it is we who are slow
        self._why = "timeout"
        if self.can_write:
            self._core.end()
            self.close()
        else:
            self.abort()

    def peer_finished(self) -> None:
        """Answer what was asked, then close."""
        self._peer_is_done = True
        self._advance()

    def stream_ended(self) -> None:
        """Let go of everything; messages marked as deleted are kept (RFC 1939 section 6)."""
        self._has_ended = True
        self._core.end()
        self._service.sessions.discard(self)
        self._service.census.leave(self.client)
        if self._work is None:
            self._release()
        self._service.log(log_events.Disconnected(self._id, str(self.client), self._why))

    # ---------------------------------------------------------------- commands

    @property
    def _is_busy(self) -> bool:
        return self._work is not None or self._long_answer is not None

    def _advance(self) -> None:
        """Answer all commands that can be answered now, in one write; others have their turn."""
        left = COMMANDS_IN_TURN
        while not (self._is_busy or self._stopping or self.is_ending) and self.can_write:
            event = self._core.next_event()
            if event is None:
                break
            self.restart_idle_timer()
            self._handle(event)
            left -= 1
            if not left or self._core.unsent_octets >= READ_OCTETS:
                asyncio.get_running_loop().call_soon(self._advance)
                self._flush()
                return
        self._flush()
        if self.is_ending or self._is_busy:
            return
        if self._stopping:
            self._why = "shutdown"
            self._core.say_last(replies.SHUTTING_DOWN)
            self._flush()
        elif self._peer_is_done and self.can_write:
            self.close()

    def _flush(self) -> None:
        """Send what the core has to say; read on unless too much waits already."""
        self.write(self._core.bytes_to_send())
        if self._core.wants_close:
            self.close()
        elif self._core.pending_octets > ENOUGH_OCTETS:
            self.pause_reading()
        else:
            self.resume_reading()

    def _handle(self, event: Event) -> None:
        if self._account:
            self._note_presence()
        match event:
            case ConnectionAbused(reply=reply):
                self._why = "abused"
                self._core.answer(reply)
            case CommandRefused(reply=reply):
                self._sign_in.forget()
                self._core.answer(reply)
            case Utf8Requested():
                self._core.answer(replies.UTF8_ON)
            case LanguageRequested(tag=tag):
                self._speak(tag)
            case CapabilitiesRequested():
                self._core.answer_capabilities()
            case TlsRequested():
                self._begin_tls()
            case QuitReceived():
                self._quit()
            case _ if self._maildrop is not None:
                self._answer(pop3_transaction.answer(self._maildrop, event))
            case _:
                self._handle_sign_in(event)

    def _note_presence(self) -> None:
        """Whoever fetches mail is there: the POP window counts from its last command."""
        now = self._service.now()
        if self._noted is None or abs(now - self._noted) >= NOTED_AGAIN:
            self._noted = now
            self._service.note_sign_in(self._account, self.client, now)

    def _speak(self, wanted: str | None) -> None:
        """List our languages, or change to one of them (RFC 6856 section 3)."""
        language = None if wanted is None else replies.language_for(wanted)
        if wanted is None:
            self._answer(LongAnswer(replies.LANGUAGES, iter([pop3_transaction.languages()])))
        elif language is None:
            self._core.answer(replies.NO_SUCH_LANGUAGE)
        else:
            self._core.language = language
            self._core.answer(replies.LANGUAGE_TAKEN[language])

    def _begin_tls(self) -> None:
        context = self._service.tls
        if context is None:  # it went away since the session began
            self._core.answer(replies.TLS_NOT_OFFERED)
            return
        self._core.answer(replies.BEGIN_TLS)
        self._flush()
        self.start_tls(context)

    def _answer(self, answer: Reply | Message | LongAnswer) -> None:
        if isinstance(answer, Message):
            self._core.answer_whole(answer.opening, answer.octets)
            self._retrieved += 1
        elif isinstance(answer, Reply):
            self._core.answer(answer)
        else:
            self._long_answer = answer
            self._pump()

    # ---------------------------------------------------------------- signing in

    def _handle_sign_in(self, event: Event) -> None:
        match event:
            case UserNamed():
                self._core.answer(replies.NAME_TAKEN)
            case MechanismsRequested():
                names = "".join(f"{name}\r\n" for name in self._offer.mechanisms).encode("ascii")
                self._answer(LongAnswer(replies.MECHANISMS, iter([names])))
            case PasswordGiven() | ApopGiven() | AuthRequested() | SaslResponse():
                turn = self._sign_in.take(event, self._offer.mechanisms)
                if isinstance(turn, Reply | replies.Challenge):
                    self._core.answer(turn)
                else:
                    task = asyncio.get_running_loop().create_task(turn)
                    self._wait_for(task, self._signed_in)
            case _:
                raise AssertionError(f"not of this state: {event!r}")

    def _signed_in(self, result: Result) -> None:
        if isinstance(result, Opened):
            self._maildrop = result.maildrop
            if self.is_ending:
                return
            self._account = result.account
            self.set_idle_time(self._service.limits.idle_time)
            count, octets = result.maildrop.count, result.maildrop.octets
            self._core.answer(replies.summary(count, octets))
        elif self.is_ending:
            return
        elif isinstance(result, replies.Challenge):
            self._core.answer(result)
        else:
            self._failures += result.is_guess
            if self._failures < self._service.limits.failures_max:
                self._core.answer(result.reply)
            else:
                self._why = "abused"
                self._core.answer(replies.TOO_MANY_FAILURES)
                self._core.end()

    def _make_offer(self) -> None:
        """Offer what may be done now; again where it may have changed."""
        self._offer = self._service.offer(
            is_encrypted=self.is_encrypted, can_bind=bool(self._sign_in.bindings)
        )
        self._core.set_offer(self._offer)

    # ---------------------------------------------------------------- long answers

    def _pump(self) -> None:
        """Send blocks of the long answer as long as the client takes them."""
        while (answer := self._long_answer) and self._work is None and self.can_write:
            if answer.reads_files:
                self._run(partial(gather, answer), self._gathered)
            else:
                self._take(gather(answer))

    def _gathered(self, gathered: Gathered | MaildirError) -> None:
        self._take(gathered)
        self._pump()

    def _take(self, gathered: Gathered | MaildirError) -> None:
        answer = self._long_answer
        if answer is None or self.is_ending:
            return
        if not isinstance(gathered, MaildirError):
            self._send(answer, gathered.octets, is_last=gathered.is_last)
            return
        if answer.has_begun:  # too late for -ERR, and half a message must not look whole
            self._note_trouble(gathered)
            self.abort()
            return
        self._long_answer = None
        if isinstance(gathered, MessageGoneError):
            self._core.answer(replies.MESSAGE_GONE)
        else:
            self._note_trouble(gathered)
            self._core.answer(replies.MESSAGE_UNREADABLE)

    def _send(self, answer: LongAnswer, octets: bytes, *, is_last: bool) -> None:
        if not answer.has_begun:
            answer.has_begun = True
            self._core.begin_content(answer.opening)
        self._core.send_content(octets)
        if is_last:
            self._core.end_content()
            self._long_answer = None
            self._retrieved += answer.is_message
        self.write(self._core.bytes_to_send())

    # ---------------------------------------------------------------- the end

    def _quit(self) -> None:
        """Remove what was marked, let the next session in, and say so (RFC 1939 section 6)."""
        self._why = "quit"
        if self._maildrop is None:
            self._core.answer(replies.BYE)
        elif self._maildrop.ends_at_once:
            self._quitted(remove_and_close(self._maildrop))
        else:
            self._run(partial(remove_and_close, self._maildrop), self._quitted)

    def _quitted(self, kept: int) -> None:
        maildrop = self._maildrop
        assert maildrop is not None, "only a session with a maildrop removes messages"
        if self.is_ending:
            return
        deleted = maildrop.highest - maildrop.count - kept
        fetched = log_events.MailFetched(
            self._id, self._account, str(self.client), self._retrieved, deleted
        )
        self._service.log(fetched)
        if kept:
            self._note_trouble(MaildirError(f"{kept} messages of {self._account} not removed"))
        self._core.answer(replies.NOT_ALL_REMOVED if kept else replies.BYE)

    def _release(self) -> None:
        """Close the files; nothing may be running in the executor."""
        if self._long_answer is not None:
            self._long_answer.close()
            self._long_answer = None
        if self._maildrop is not None:
            self._maildrop.close()

    # ---------------------------------------------------------------- work off the loop

    def _run(self, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """Let a thread do `work`, then go on with its result; no command is taken meanwhile."""
        loop = asyncio.get_running_loop()
        self._wait_for(loop.run_in_executor(self._service.executor, work), then)

    def _wait_for(self, future: "asyncio.Future[T]", then: Callable[[T], None]) -> None:
        self._work = future
        future.add_done_callback(partial(self._work_done, then))

    def _work_done(self, then: Callable[[T], None], future: "asyncio.Future[T]") -> None:
        self._work = None
        try:
            if not future.cancelled():
                then(future.result())
        except BaseException:
            self.abort()  # a bug of ours: the loop's handler tells of it
            raise
        finally:
            if self._has_ended:
                self._release()
        self._advance()

    def _log_tls(self) -> None:
        assert self.tls is not None, "called after a handshake"
        self._sign_in.bindings = self.tls.bindings
        version, cipher = self.tls.version or "", self.tls.cipher or ""
        self._service.log(log_events.TlsStarted(self._id, str(self.client), version, cipher))

    def _note_trouble(self, error: MaildirError) -> None:
        self._service.log(log_events.StoreFailed("mailbox", str(error)))
