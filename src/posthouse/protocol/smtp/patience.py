"""How many errors and idle commands a session bears before it is ended with 421."""

from typing import Final

from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.events import (
    AuthRequested,
    ClientTold,
    CommandRefused,
    ConnectionAbused,
    Event,
    ExpandReceived,
    HelloReceived,
    HelpReceived,
    NoopReceived,
    OriginTold,
    RecipientReceived,
    ResetReceived,
    VerifyReceived,
)
from posthouse.protocol.smtp.offer import SessionLimits

SMALL_CHUNK_OCTETS: Final = 1024

_IDLE: Final = frozenset(
    {
        HelloReceived,
        AuthRequested,
        ClientTold,
        OriginTold,
        ResetReceived,
        NoopReceived,
        HelpReceived,
        VerifyReceived,
        ExpandReceived,
        CommandRefused,  # one that is no error
    }
)
# A client that pipelines says RCPT and DATA before it knows that MAIL or all RCPT are refused
# (RFC 2920 §3.1); these refusals follow from the first and are no errors of their own.
_FOLLOWING: Final = frozenset({replies.MAIL_FIRST, replies.RECIPIENT_FIRST})


class Patience:
    """Counts since the last accepted message."""

    __slots__ = ("_errors", "_idle_commands", "_limits", "_recipients", "_small_chunks")

    def __init__(self, limits: SessionLimits) -> None:
        self._limits = limits
        self._errors = 0
        self._idle_commands = 0
        self._recipients = 0
        self._small_chunks = 0

    def restore(self) -> None:
        """A message was accepted: count from zero again."""
        self._errors = self._idle_commands = self._recipients = self._small_chunks = 0

    def count_chunk(self, octets: int) -> ConnectionAbused | None:
        """Count a chunk that is not the last of its message; each costs as much as a command."""
        self._small_chunks += octets < SMALL_CHUNK_OCTETS
        if self._small_chunks > self._limits.small_chunks_max:
            return ConnectionAbused(replies.TOO_MANY_CHUNKS, "content by a few octets at a time")
        return None

    def count(self, event: Event) -> Event:
        """Return the event, or `ConnectionAbused` in its place when it is one too many."""
        kind = type(event)
        if kind is RecipientReceived:
            self._recipients += 1
            if self._recipients > self._limits.recipients_max:
                return ConnectionAbused(replies.TOO_MANY_RECIPIENTS, "recipients without mail")
        elif isinstance(event, CommandRefused) and event.reply not in _FOLLOWING:
            self._errors += 1
            if self._errors > self._limits.errors_max:
                return ConnectionAbused(replies.TOO_MANY_ERRORS, "too many refused commands")
        elif kind in _IDLE:
            self._idle_commands += 1
            if self._idle_commands > self._limits.idle_commands_max:
                return ConnectionAbused(replies.TOO_MANY_IDLE_COMMANDS, "commands without mail")
        return event
