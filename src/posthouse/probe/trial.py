"""Trying, with consent, what a person wants to do: sign in, write elsewhere, write as an address.

MAIL, RCPT and RSET are said; DATA never is, so no mail can come of it.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct

from posthouse.doctor.causes import Cause
from posthouse.doctor.diagnosis import CONFIDENT, Context, diagnose
from posthouse.mail.reply import Reply
from posthouse.policy.reasons import Reason
from posthouse.probe.consent import Consent
from posthouse.probe.doors import Service, Visit
from posthouse.probe.talk import Line, TalkError
from posthouse.probe.visiting import Manner, Opened, leave, open_door
from posthouse.protocol.signing_in import SignIn, choose_sign_in

MECHANISMS: Final = ("PLAIN", "LOGIN", "CRAM-MD5")
_REASON: Final = re.compile(r"\[([a-z][a-z-]{2,40})\]")
_MAIL_SERVICES: Final = (Service.SUBMISSIONS, Service.SUBMISSION, Service.SMTP)


class Ending(StrEnum):
    """How an attempt ended."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    DEFERRED = "deferred"
    FAILED = "failed"  # the conversation broke
    SKIPPED = "skipped"  # not tried, `detail` says why


class Kind(StrEnum):
    """What was tried."""

    RELAY_UNSIGNED = "relay-unsigned"
    SIGN_IN = "sign-in"
    RELAY_SIGNED = "relay-signed"
    SENDER = "sender"
    POP_SIGN_IN = "pop-sign-in"
    RELAY_AFTER_POP = "relay-after-pop"


class Tried(Struct, frozen=True, kw_only=True):
    """One thing that was tried.

    Attributes:
        what: Recipient, user or sender.
        reply: The server's words.
        detail: Key of a reason for SKIPPED, or what broke.
        cause: What the doctor makes of a refusal.
        reason: The reason id in the reply of a Posthouse server.
    """

    kind: Kind
    host: str
    port: int
    what: str
    ending: Ending
    reply: str = ""
    detail: str = ""
    cause: Cause | None = None
    confidence: float = 0.0
    reason: str = ""


class Trials:
    """Tries things at the doors that were found open.

    Attributes:
        attempts: What was tried, in order.
        record: What was said, without secrets.
    """

    def __init__(self, visits: Sequence[Visit], consent: Consent, manner: Manner) -> None:
        self._visits = [it for it in visits if it.is_open]
        self._consent = consent
        self._manner = manner
        self.attempts: list[Tried] = []
        self.record: list[Line] = []

    async def run(self) -> None:
        """Try all that there is consent for."""
        if self._consent.relay:
            for seen in self._doors(_MAIL_SERVICES):
                await self._try_unsigned(seen, Kind.RELAY_UNSIGNED)
        if not self._consent.user:
            return
        await self._try_signed()
        refused = [it for it in self.attempts if it.kind is Kind.RELAY_UNSIGNED]
        if self._consent.relay and any(it.ending is Ending.REFUSED for it in refused):
            await self._try_after_pop()

    # ---------------------------------------------------------------- which door

    def _doors(self, services: Sequence[Service]) -> list[Visit]:
        return [
            seen for service in services for seen in self._visits if seen.door.service is service
        ]

    def _safest(self, services: Sequence[Service]) -> Visit | None:
        """Return where a password may be said; the trusted ones come first."""
        found = [it for it in self._doors(services) if it.offer.mechanisms]
        trusted = [it for it in found if it.is_trusted]
        return next(iter(trusted or (found if self._consent.untrusted else ())), None)

    # ---------------------------------------------------------------- what is tried

    async def _try_unsigned(self, seen: Visit, kind: Kind) -> None:
        consent = self._consent
        try:
            opened = await open_door(_fresh(seen), self._manner, self.record)
        except TalkError as problem:
            self._broke(kind, seen, consent.recipient, problem)
            return
        try:
            reply = await self._envelope(opened, consent.sender, consent.recipient)
            self._note(kind, seen, consent.recipient, reply, signed_in=False)
        except TalkError as problem:
            self._broke(kind, seen, consent.recipient, problem)
        finally:
            await leave(opened)

    async def _try_signed(self) -> None:
        consent = self._consent
        seen = self._safest(_MAIL_SERVICES)
        if seen is None:
            self._skip(Kind.SIGN_IN, consent.user, _MAIL_SERVICES)
            return
        chosen = choose(seen.offer.mechanisms, consent.user, consent.password)
        if chosen is None:
            self._put(Kind.SIGN_IN, seen, consent.user, Ending.SKIPPED, detail="no-mechanism")
            return
        try:
            opened = await open_door(_fresh(seen), self._manner, self.record)
        except TalkError as problem:
            self._broke(Kind.SIGN_IN, seen, consent.user, problem)
            return
        try:
            reply = await opened.talk.sign_in(chosen)
            self._note(Kind.SIGN_IN, seen, consent.user, reply, signed_in=None)
            if reply.is_positive:
                await self._try_as_signed_in(opened)
        except TalkError as problem:
            self._broke(Kind.SIGN_IN, seen, consent.user, problem)
        finally:
            await leave(opened)

    async def _try_as_signed_in(self, opened: Opened) -> None:
        consent, seen = self._consent, opened.visit
        if consent.relay:
            reply = await self._envelope(opened, consent.sender, consent.recipient)
            self._note(Kind.RELAY_SIGNED, seen, consent.recipient, reply, signed_in=True)
        for sender in consent.senders:
            # Some servers look at the sender only once there is a recipient.
            reply = await self._envelope(opened, sender, consent.recipient)
            self._note(Kind.SENDER, seen, sender, reply, signed_in=True)

    async def _try_after_pop(self) -> None:
        """Fetch first, then say RCPT again where it was refused: POP before SMTP."""
        if not await self._pop_sign_in():
            return
        doors = {(seen.host, seen.door.port): seen for seen in self._visits}
        for it in list(self.attempts):
            if it.kind is Kind.RELAY_UNSIGNED and it.ending is Ending.REFUSED:
                await self._try_unsigned(doors[it.host, it.port], Kind.RELAY_AFTER_POP)
                if self.attempts[-1].ending is Ending.ACCEPTED:
                    return

    async def _pop_sign_in(self) -> bool:
        consent = self._consent
        services = (Service.POP3S, Service.POP3)
        seen = self._safest(services)
        if seen is None:
            self._skip(Kind.POP_SIGN_IN, consent.user, services)
            return False
        try:
            opened = await open_door(_fresh(seen), self._manner, self.record)
        except TalkError as problem:
            self._broke(Kind.POP_SIGN_IN, seen, consent.user, problem)
            return False
        try:
            answer = await opened.talk.pop(f"USER {consent.user}")
            if answer.positive:
                answer = await opened.talk.pop(f"PASS {consent.password}", shown="PASS ********")
            if answer.positive:
                await opened.talk.pop("STAT")  # some servers count only those who look
            ending = Ending.ACCEPTED if answer.positive else Ending.REFUSED
            self._put(Kind.POP_SIGN_IN, seen, consent.user, ending, reply=str(answer))
        except TalkError as problem:
            self._broke(Kind.POP_SIGN_IN, seen, consent.user, problem)
            return False
        finally:
            await leave(opened)
        return answer.positive

    @staticmethod
    async def _envelope(opened: Opened, sender: str, recipient: str) -> Reply:
        """Say MAIL and RCPT, then RSET; return what decided."""
        reply = await opened.talk.smtp(f"MAIL FROM:<{sender}>")
        if reply.is_positive:
            reply = await opened.talk.smtp(f"RCPT TO:<{recipient}>")
        if reply.code != 421:
            await opened.talk.smtp("RSET")
        return reply

    # ---------------------------------------------------------------- writing down

    def _note(
        self, kind: Kind, seen: Visit, what: str, reply: Reply, *, signed_in: bool | None
    ) -> None:
        words = str(reply)
        if reply.is_positive:
            self._put(kind, seen, what, Ending.ACCEPTED, reply=words)
            return
        ending = Ending.DEFERRED if reply.is_transient else Ending.REFUSED
        context = Context(where="dialog", signed_in=signed_in, port=seen.door.port)
        first = diagnose(words, context).findings[0]
        sure = first.confidence >= CONFIDENT
        cause = first.cause if sure or kind is not Kind.SIGN_IN else Cause.AUTH_FAILED
        self.attempts.append(
            Tried(
                kind=kind, host=seen.host, port=seen.door.port, what=what, ending=ending,
                reply=words, cause=cause, confidence=first.confidence, reason=_reason_in(words),
            )
        )  # fmt: skip

    def _put(
        self,
        kind: Kind,
        seen: Visit,
        what: str,
        ending: Ending,
        *,
        reply: str = "",
        detail: str = "",
    ) -> None:
        self.attempts.append(
            Tried(
                kind=kind, host=seen.host, port=seen.door.port, what=what, ending=ending,
                reply=reply, detail=detail,
            )
        )  # fmt: skip

    def _broke(self, kind: Kind, seen: Visit, what: str, problem: TalkError) -> None:
        self._put(kind, seen, what, Ending.FAILED, detail=str(problem))

    def _skip(self, kind: Kind, what: str, services: Sequence[Service]) -> None:
        doors = self._doors(services)
        if not doors:
            detail = "no-door"
        elif not any(it.offer.mechanisms for it in doors):
            detail = "no-mechanism"
        else:
            detail = "not-trusted"
        host, port = (doors[0].host, doors[0].door.port) if doors else (self._consent.host, 0)
        self.attempts.append(
            Tried(kind=kind, host=host, port=port, what=what, ending=Ending.SKIPPED, detail=detail)
        )


def choose(offered: Sequence[str], name: str, password: str) -> SignIn | None:
    """Return the client side of a mechanism that is offered and known here; None: there is none."""
    return choose_sign_in(MECHANISMS, offered, name, password)


def _fresh(seen: Visit) -> Visit:
    return Visit(host=seen.host, door=seen.door, reach=seen.reach, address=seen.address)


def _reason_in(words: str) -> str:
    found = _REASON.search(words)
    return found[1] if found and found[1] in set(Reason) else ""
