"""An SMTP session: between a stream, the protocol core, the policy and the spool.

No task is made for a session or a command. What takes time (a password, a commit) leaves the
session waiting: the core gives no further event until the answer is there.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from posthouse.mail.reply import Reply
from posthouse.policy.networks import address_text, fold
from posthouse.policy.rules import ListenerRule
from posthouse.protocol.mechanisms import Circumstances
from posthouse.protocol.smtp import events, replies
from posthouse.protocol.smtp.server import ServerConnection
from posthouse.sessions.bugs import place_of
from posthouse.sessions.client_certificates import certificate_of
from posthouse.sessions.exchange import fresh_nonce
from posthouse.sessions.peer import Peer
from posthouse.sessions.sign_in import SignInWork
from posthouse.sessions.smtp_mail import MailWork
from posthouse.sessions.smtp_service import SmtpService
from posthouse.telemetry.case import fresh_id
from posthouse.telemetry.events import BugMet, Connected, Disconnected, Noted, TlsFailed, TlsStarted
from posthouse.wire.stream import ENOUGH_OCTETS, StreamProtocol
from posthouse.wire.tls import TlsError

OUR_FAULT: Final = Reply(421, "4.3.0", "An error in this server: please try again later")
SLOW_OCTETS: Final = 16 * 1024  # of content that must come within `content_wait`


def _constant(reply: Reply) -> Callable[[object, object], Reply]:
    return lambda _, __: reply


class SmtpSession(StreamProtocol):
    """One client at one of our SMTP or submission listeners."""

    __slots__ = (
        "_core",
        "_counted_as",
        "_greeting",
        "_mail",
        "_peer",
        "_peer_left",
        "_refusal",
        "_refusals",
        "_service",
        "_sign_in",
        "_slow_octets",
        "_waiting",
        "_why_ended",
        "id",
    )

    def __init__(self, service: SmtpService, listener: ListenerRule) -> None:
        from_start = service.context(listener) if listener.tls_from_start else None
        super().__init__(
            idle_time=service.limits.command_wait,
            tls=from_start,
            proxied_from=listener.proxied_from,
        )
        self.id = fresh_id()
        self._service = service
        self._peer = Peer(service, listener, self)
        offer = service.offer(listener, tls=listener.tls_from_start, signed_in=False)
        self._core = ServerConnection(offer, service.limits.core)
        self._mail = MailWork(service, self._answer_later)
        self._sign_in = SignInWork(service, self.id, self._answer_later)
        self._refusal: Reply | None = None
        self._waiting = False  # for a commit or a password
        self._peer_left = False
        self._refusals = 0  # since the last accepted message
        self._greeting: asyncio.TimerHandle | None = None  # where it waits for early talkers
        self._slow_octets = 0  # of content since the idle timer was restarted
        self._why_ended = "lost"

    # ---------------------------------------------------------------- what the stream tells

    def stream_opened(self) -> None:
        """Count the session, before any handshake costs us something."""
        address = self._counted_as = self.peer_address
        self._peer.connected(address)
        load = self._service.census.load(address)
        self._service.census.enter(address)
        self._service.sessions.add(self)
        self._service.log(Connected(self.id, address_text(address), self._peer.listener.name))
        self._refusal = self._peer.refusal(load)
        if self._refusal is not None:
            self._why_ended = "refused"
            if self._peer.listener.tls_from_start:
                self.abort()  # a handshake only to say no would cost us more than it tells

    def stream_started(self) -> None:
        """Greet, or say why not."""
        self._peer.becomes(tls=self.is_encrypted, certificate=certificate_of(self))
        self._renew_offer()
        pause = self._peer.listener.greeting_pause.total_seconds()
        if pause > 0 and self._refusal is None:
            self._greeting = asyncio.get_running_loop().call_later(pause, self._greet)
        else:
            self._greet()

    def _greet(self) -> None:
        """Say the first word; who could not wait for it gets a refusal (RFC 5321 §4.3.1)."""
        if self.is_ending:
            return
        if self._greeting is not None and self._core.spoke_early and self._refusal is None:
            self._refusal = replies.SPOKE_EARLY
            self._why_ended = "abused: spoke before the greeting"
        self._core.greet(self._refusal or replies.ready(self._service.rules.hostname))
        self._pump()

    def octets_received(self, octets: bytes) -> None:
        """Take what the client sent."""
        self._core.receive(octets)
        self._pump()

    def tls_started(self) -> None:
        """The handshake after STARTTLS is done: what was said before does not count any more."""
        assert self.tls is not None
        version, cipher = self.tls.version or "", self.tls.cipher or ""
        client = self._peer.becomes(tls=True, hello="", certificate=certificate_of(self))
        self._peer.signed_in = None
        self._core.tls_started()
        self._renew_offer()
        self._service.log(TlsStarted(self.id, address_text(client.address), version, cipher))

    def tls_failed(self, error: TlsError) -> None:
        """Somebody who does not trust our certificate, or no TLS at all."""
        self._why_ended = "tls failed"
        address = address_text(self._peer.client.address) if self._peer.is_there else ""
        self._service.log(TlsFailed(self.id, address, str(error)))

    def writing_resumed(self) -> None:
        """The client takes our replies again."""
        self._pump()

    def idle_too_long(self) -> None:
        """Say goodbye; where it is we who are late for so long, something of ours broke."""
        if self._waiting:
            self.hang_up(replies.ANSWER_LATE, "our answer was late")
        else:
            self.hang_up(replies.IDLE_TOO_LONG, "timeout")

    def peer_finished(self) -> None:
        """Half closed: an answer that is under way is still sent."""
        self._peer_left = True
        if not self._waiting:
            self.close()

    def stream_ended(self) -> None:
        """Forget what was not promised."""
        if self._greeting is not None:
            self._greeting.cancel()
        self._mail.abandon()
        self._sign_in.cancel()
        if not self._peer.is_there:
            return
        self._service.census.leave(self._counted_as)
        self._service.sessions.discard(self)
        self._service.log(
            Disconnected(
                self.id,
                address_text(self._peer.client.address),
                self._why_ended,
                self._mail.accepted,
            )
        )

    # ---------------------------------------------------------------- what the server tells

    @property
    def is_waiting(self) -> bool:
        """Whether an answer is being made elsewhere: a commit, a password."""
        return self._waiting

    @property
    def is_busy(self) -> bool:
        """Whether a mail transaction or a sign-in is in progress."""
        return self._waiting or self._mail.transaction is not None

    def hang_up(self, reply: Reply, why: str) -> None:
        """Say 421 and close (RFC 5321 §3.8)."""
        self._why_ended = why
        self._core.hang_up(reply)
        self._flush()

    def stop(self) -> None:
        """End the session now if nothing is under way; else its running transaction is the last."""
        if not self.is_busy:
            self.hang_up(replies.SHUTTING_DOWN, "shutdown")

    # ---------------------------------------------------------------- the flow

    def _pump(self) -> None:
        """Deal with all that can be dealt with now; all replies of it leave in one write.

        A bug of ours costs one session, and is told.
        """
        try:
            self._deal_with_events()
        except Exception as problem:  # noqa: BLE001 - the top of a session
            self._service.log(BugMet("an SMTP session", place_of(problem)))
            self._mail.abandon()
            self.hang_up(OUR_FAULT, "bug")

    def _deal_with_events(self) -> None:
        core = self._core
        while self.can_write and not self._waiting and not self.is_ending:
            event = core.next_event()
            if event is None:
                break
            if type(event) is events.ContentArrived:
                self._take_content(event)
                continue
            kind = type(event)
            reply = self._HANDLERS[kind](self, event)
            if reply is None:
                self.restart_idle_timer()
                break
            core.answer(reply)
            if kind in self._AFTER_ANSWER:
                self._AFTER_ANSWER[kind](self, reply)
        self._flush()
        if self._service.census.shutting_down:
            self.stop()

    def _content_begins(self, reply: Reply) -> None:
        if reply.code == 354:
            self._slow_octets = 0
            self.set_idle_time(self._service.limits.content_wait)

    def _content_refused(self, _: Reply) -> None:
        """What is accepted is answered later."""
        self.set_idle_time(self._service.limits.command_wait)

    def _sign_in_answered(self, reply: Reply) -> None:
        if reply.code == 235:
            self._note_sign_in()

    def _tls_promised(self, reply: Reply) -> None:
        if reply.code == 220:
            self._flush()
            if context := self._service.context(self._peer.listener):
                self.start_tls(context)

    # What else is to be done once an event is answered.
    _AFTER_ANSWER: ClassVar[Mapping[type, Callable[[Any, Reply], None]]] = {
        events.DataRequested: _content_begins,
        events.ContentEnded: _content_refused,
        events.SaslResponse: _sign_in_answered,
        events.TlsRequested: _tls_promised,
    }

    def _answer_later(self, reply: Reply) -> None:
        """The answer that the session waited for is there."""
        if self.is_ending and not self._peer_left:
            return
        self._waiting = False
        self._refusals = 0 if reply.is_positive else self._refusals
        self._core.answer(reply)
        self.set_idle_time(self._service.limits.command_wait)
        if self._sign_in.signed_in is not self._peer.signed_in:
            self._note_sign_in()
        self._pump()
        if self._peer_left and not self._waiting:
            self.close()

    def _note_sign_in(self) -> None:
        self._peer.signed_in = self._sign_in.signed_in
        self._renew_offer()

    def _renew_offer(self) -> None:
        self._core.set_offer(self._peer.offer())

    def _flush(self) -> None:
        """Send what there is to send, and read no more than can be dealt with."""
        core = self._core
        if octets := core.bytes_to_send():
            self.restart_idle_timer()  # a chunk of BDAT is no event, and is answered
            self.write(octets)
        if core.wants_close:
            self.close()
        elif not self.can_write or core.pending_octets > ENOUGH_OCTETS:
            self.pause_reading()
        else:
            self.resume_reading()

    # ---------------------------------------------------------------- one handler an event

    def _greeted(self, event: events.HelloReceived) -> Reply:
        self._mail.abandon()
        self._peer.becomes(hello=event.client_name)
        self._renew_offer()
        return self._core.hello_reply()

    def _mail_received(self, event: events.MailReceived) -> Reply:
        if 0 < self._service.limits.messages_max <= self._mail.begun:
            return replies.TOO_MANY_MESSAGES
        reply = self._mail.begin(event, self._peer.client, self._peer.signed_in)
        if self._mail.sign_in_is_gone:
            self._peer.signed_in = self._sign_in.signed_in = None
            self._core.signed_in = False
            self._renew_offer()
        return self._counted(reply)

    def _recipient_received(self, event: events.RecipientReceived) -> Reply | None:
        self._waiting = self._mail.asks_first(event, self._recipient_asked)
        return None if self._waiting else self._counted(self._mail.add_recipient(event))

    def _recipient_asked(self, event: events.RecipientReceived) -> None:
        self._answer_later(self._counted(self._mail.add_recipient(event)))

    def _counted(self, reply: Reply) -> Reply:
        """Count refusals: who asks for one recipient after another is looking for addresses."""
        if reply.code >= 500:
            self._refusals += 1
            if self._refusals > self._service.limits.refusals_max:
                self._why_ended = "abused: too many refusals"
                return replies.TOO_MANY_ERRORS
        return reply

    def _data_requested(self, _: events.DataRequested) -> Reply:
        return self._mail.begin_content()

    def _take_content(self, event: events.ContentArrived) -> None:
        self._mail.take_content(event.octets)
        self._slow_octets += len(event.octets)
        if self._slow_octets >= SLOW_OCTETS:
            self._slow_octets = 0
            self.restart_idle_timer()

    def _content_ended(self, event: events.ContentEnded) -> Reply | None:
        tls = self.tls_in_words
        reply = self._mail.end_content(event, extended=self._core.extended, tls=tls)
        self._waiting = reply is None
        return reply

    def _tls_requested(self, _: events.TlsRequested) -> Reply:
        self._mail.abandon()
        return replies.START_TLS

    def _auth_requested(self, event: events.AuthRequested) -> Reply | None:
        hostname, offered = self._service.rules.hostname, self._peer.offer().mechanisms
        at = Circumstances(fresh_nonce(), hostname, self.bindings, offered)
        return self._wait_for(self._sign_in.begin(event, self._peer.client, at))

    def _sasl_response(self, event: events.SaslResponse) -> Reply | None:
        return self._wait_for(self._sign_in.respond(event.octets))

    def _wait_for(self, reply: Reply | None) -> Reply | None:
        self._waiting = reply is None
        return reply

    def _sign_in_broken(self, event: events.SignInBroken) -> Reply:
        self._sign_in.cancel()
        return event.reply

    def _client_told(self, event: events.ClientTold) -> Reply:
        """Speak with the client that is told from now on, as if it had just connected."""
        self._mail.abandon()
        self._sign_in.cancel()
        self._peer.signed_in = self._sign_in.signed_in = None
        before, told = self._peer.client, event.told
        address = fold(told.address) if told.address is not None else before.address
        self._peer.becomes(address=address, hello=told.hello, certificate=None)
        self._service.log(Connected(self.id, address_text(address), self._peer.listener.name))
        refusal = self._peer.refusal(self._service.census.load(address))
        if refusal is not None:
            self._why_ended = "refused"
            return Reply(421, "4.7.0", refusal.text)
        self._renew_offer()
        return replies.ready(self._service.rules.hostname)

    def _origin_told(self, event: events.OriginTold) -> Reply:
        told = event.told
        words = f"{told.name or '?'} [{told.address or '?'}] {told.hello} {told.identity}".strip()
        self._service.log(Noted(f"session {self.id}: mail came from {words}"))
        return replies.NOOP_OK

    def _reset(self, _: events.ResetReceived) -> Reply:
        self._mail.abandon()
        return replies.RESET_OK

    def _help_asked(self, _: events.HelpReceived) -> Reply:
        return self._core.offer.help_reply()

    def _quit(self, _: events.QuitReceived) -> Reply:
        self._mail.abandon()
        self._why_ended = "quit"
        return replies.BYE

    def _abused(self, event: events.ConnectionAbused) -> Reply:
        self._mail.abandon()
        self._why_ended = f"abused: {event.why}"
        return event.reply

    _HANDLERS: ClassVar[Mapping[type, Callable[[Any, Any], Reply | None]]] = {
        events.HelloReceived: _greeted,
        events.MailReceived: _mail_received,
        events.RecipientReceived: _recipient_received,
        events.DataRequested: _data_requested,
        events.ContentEnded: _content_ended,
        events.TlsRequested: _tls_requested,
        events.AuthRequested: _auth_requested,
        events.SaslResponse: _sasl_response,
        events.SignInBroken: _sign_in_broken,
        events.ClientTold: _client_told,
        events.OriginTold: _origin_told,
        events.ResetReceived: _reset,
        events.NoopReceived: _constant(replies.NOOP_OK),
        events.HelpReceived: _help_asked,
        events.VerifyReceived: _constant(replies.CANNOT_VERIFY),
        events.ExpandReceived: _constant(replies.NOT_IMPLEMENTED),
        events.QuitReceived: _quit,
        events.CommandRefused: lambda _, event: event.reply,
        events.ConnectionAbused: _abused,
    }
