"""Who is at the other end of an SMTP session, as far as it is known, and what it is offered."""

from typing import Any

from msgspec.structs import replace

from posthouse.mail.reply import Reply
from posthouse.policy.facts import Address, Client, Load, Request
from posthouse.policy.limits import decide_connection
from posthouse.policy.rules import ListenerRule
from posthouse.protocol.smtp.offer import Offer
from posthouse.sessions.gathering import SignedIn
from posthouse.sessions.smtp_service import SmtpService
from posthouse.wire.stream import StreamProtocol


class Peer:
    """The other end.

    Attributes:
        listener: Where it came to, as the rules in force have it.
        signed_in: AUTH on this connection.
    """

    __slots__ = ("_client", "_service", "_stream", "listener", "signed_in")

    def __init__(
        self, service: SmtpService, listener: ListenerRule, stream: StreamProtocol
    ) -> None:
        self.listener = listener
        self.signed_in: SignedIn | None = None
        self._service = service
        self._stream = stream
        self._client: Client | None = None

    def connected(self, address: Address) -> None:
        """It is there."""
        self._client = Client(address, self.listener.name)

    @property
    def is_there(self) -> bool:
        """Whether it ever was."""
        return self._client is not None

    @property
    def client(self) -> Client:
        """What the policy is told of it."""
        assert self._client is not None, "the stream is open"
        return self._client

    def becomes(self, **changes: Any) -> Client:  # noqa: ANN401 - fields of Client
        """Take note of what is new about it."""
        self._client = replace(self.client, **changes)
        return self._client

    def refusal(self, load: Load) -> Reply | None:
        """Return why it is not served, and record that; None if it is."""
        service = self._service
        request = Request(service.now(), self.client, load=load)
        decision = decide_connection(request, service.rules)
        if decision.accepted:
            return None
        return service.recorder.record(decision, request, service.rules).reply

    def offer(self) -> Offer:
        """Return what it may use now: after TLS, after a sign-in, after a reload."""
        service, stream = self._service, self._stream
        self.listener = service.rules.listeners.get(self.listener.name, self.listener)
        return service.offer(
            self.listener,
            tls=stream.is_encrypted,
            signed_in=self.signed_in is not None,
            can_bind=bool(stream.bindings),
            tells=self._may_tell(),
        )

    def _may_tell(self) -> bool:
        """Whether it is a server that may speak for others; not once it does."""
        trusted = self.listener.told_from
        return trusted is not None and bool(trusted.find(self.client.address))
