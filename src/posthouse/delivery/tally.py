"""What an attempt's outcomes mean for the spool and for the sender: a function of its arguments."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct, structs

from posthouse.delivery.outcomes import Deferred, Delivered, Expanded, Failed, Outcome
from posthouse.delivery.retry import Patience, next_attempt, should_tell_sender
from posthouse.mail.address import Mailbox
from posthouse.mail.envelope import Notify, Recipient
from posthouse.spool.records import Again, Ending, RecipientState, Result, Settled, Work

KEPT_FOR_A_PERSON: timedelta = timedelta(days=3650)


class Ended(Struct, frozen=True):
    """One recipient after an attempt.

    Attributes:
        state: As it was before the attempt.
        recipient: Its entry in the envelope.
        outcome: How it ended; a message that has waited too long has failed.
        result: The same as the spool keeps it.
        forwards: Addresses that a copy goes on to.
    """

    state: RecipientState
    recipient: Recipient
    outcome: Outcome
    result: Result
    forwards: tuple[Mailbox, ...] = ()


class Tally(Struct, frozen=True):
    """All recipients of one work, and of whom the sender is to be told."""

    work: Work
    now: datetime
    ended: tuple[Ended, ...]

    @property
    def results(self) -> dict[int, Result]:
        """What `Spool.settle` wants."""
        return {one.state.index: one.result for one in self.ended}

    @property
    def lost(self) -> tuple[Ended, ...]:
        """Failed recipients, whether their sender wants to know or not."""
        return tuple(one for one in self.ended if isinstance(one.outcome, Failed))

    @property
    def failures(self) -> tuple[Ended, ...]:
        """Failed recipients whose sender wants to know; NOTIFY=NEVER is honoured."""
        return tuple(one for one in self.lost if _wants(one.recipient, Notify.FAILURE))

    @property
    def delays(self) -> tuple[Ended, ...]:
        """Recipients of whose delay the sender is told now, and only now."""
        return tuple(
            one
            for one in self.ended
            if isinstance(one.result, Again)
            and one.result.delay_told
            and not one.state.delay_told
            and not self.work.envelope.reverse_path.is_null
            and self._is_told_of_delay(one)
        )

    @property
    def successes(self) -> tuple[Ended, ...]:
        """Recipients whose success was asked for and nobody else will report."""
        return tuple(
            one
            for one in self.ended
            if isinstance(one.outcome, Delivered | Expanded)
            and (Notify.SUCCESS in one.recipient.notify or self._is_traced(one))
            and not (isinstance(one.outcome, Delivered) and one.outcome.reports)
        )

    @property
    def is_quiet(self) -> bool:
        """Whether all is delivered, and nobody has to hear of it: so it is with most mail."""
        if self.work.envelope.deliver_by is not None:
            return False
        for one in self.ended:
            notify = one.recipient.notify
            if type(one.outcome) is not Delivered or (notify and Notify.SUCCESS in notify):
                return False
        return True

    def _is_told_of_delay(self, one: Ended) -> bool:
        """A deadline is reason enough to tell, unless nothing is to be told (RFC 2852 §4)."""
        asked = self.work.envelope.deliver_by is not None
        wants = Notify.NEVER not in one.recipient.notify if asked else False
        return wants or _wants(one.recipient, Notify.DELAY)

    def _is_traced(self, one: Ended) -> bool:
        """Whether the sender is told that mail with a deadline has left us (RFC 2852 §4)."""
        envelope, outcome = self.work.envelope, one.outcome
        if envelope.deliver_by is None or Notify.NEVER in one.recipient.notify:
            return False
        if not isinstance(outcome, Delivered) or outcome.final or not outcome.host:
            return False
        return envelope.traced or outcome.forgets_deadline

    def kept(self, why: str) -> "Tally":
        """The same, but what failed stays in the spool, for a person to look at."""
        return structs.replace(self, ended=tuple(self._kept(one, why) for one in self.ended))

    def _kept(self, one: Ended, why: str) -> Ended:
        if not isinstance(one.outcome, Failed):
            return one
        reply = f"{why}: {one.result.reply}"
        result = Again(self.now + KEPT_FOR_A_PERSON, reply, one.result.host, delay_told=True)
        return structs.replace(one, result=result)


def tally(
    work: Work,
    outcomes: Mapping[int, Outcome],
    now: datetime,
    patience: Patience,
    *,
    spread: float,
) -> Tally:
    """Return what becomes of each recipient.

    Args:
        work: What was tried.
        outcomes: For every recipient of `work`, by its place in the envelope.
        now: End of the attempt.
        patience: How long we try.
        spread: See `retry.next_attempt`.
    """
    every = []
    for state in work.recipients:
        recipient, outcome = work.envelope.recipients[state.index], outcomes[state.index]
        match outcome:
            case Deferred():
                ended = _waits(work, state, outcome, now, patience, spread)
            case Expanded(forwards=forwards):
                ended = Ended(state, recipient, outcome, _settled(outcome, work), forwards)
            case _:
                ended = Ended(state, recipient, outcome, _settled(outcome, work))
        every.append(ended)
    return Tally(work, now, tuple(every))


def _waits(
    work: Work,
    state: RecipientState,
    outcome: Deferred,
    now: datetime,
    patience: Patience,
    spread: float,
) -> Ended:
    """It is tried again, unless it has waited too long."""
    recipient, accepted = work.envelope.recipients[state.index], work.envelope.due
    patience = patience.with_deadline(work.envelope)
    due = next_attempt(accepted, now, state.attempts + 1, patience, spread=spread)
    copies = outcome.forwarded
    if due is None:
        expired = Failed("5.4.7", outcome.words, outcome.host, outcome.tls)
        return Ended(state, recipient, expired, _settled(expired, work), copies)
    due = max(due, work.envelope.release or due)
    told = state.delay_told or should_tell_sender(accepted, now, patience)
    again = Again(due, outcome.words, outcome.host, delay_told=told, tls=outcome.tls)
    return Ended(state, recipient, outcome, again, copies)


def _settled(outcome: Delivered | Expanded | Failed, work: Work) -> Settled:
    match outcome:
        case Delivered():
            return Settled("delivered", outcome.words, outcome.host, outcome.tls)
        case Expanded():
            return Settled("expanded", outcome.words)
        case Failed():
            kind: Ending = "bounced" if work.bounce else "failed"
            return Settled(kind, outcome.words, outcome.host, outcome.tls)


def _wants(recipient: Recipient, what: Notify) -> bool:
    """Without NOTIFY a sender is told of failures and delays (RFC 3461 §4.1)."""
    return not recipient.notify or what in recipient.notify
