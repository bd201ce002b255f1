"""Both cores wired together: what the client was given is what the server gets."""

from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.address import Mailbox, ReversePath
from posthouse.mail.envelope import Notify, Recipient
from posthouse.protocol.framing import with_crlf
from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.client import ClientConnection, Outgoing
from posthouse.protocol.smtp.client_events import (
    ClientEvent,
    ContentWanted,
    Greeted,
    HelloAnswered,
    SignInAnswered,
    TransactionEnded,
)
from posthouse.protocol.smtp.events import MailReceived, RecipientReceived
from posthouse.protocol.smtp.offer import Offer, SessionLimits
from posthouse.protocol.smtp.server import ServerConnection
from tests.dialogue import Session

LIMITS = SessionLimits(errors_max=100, idle_commands_max=1000)
OFFER = Offer("mail.example", 0, mechanisms=("PLAIN", "LOGIN"), binarymime=True)


class Pair:
    """A client core that talks to a server core; octets go over in pieces of one size."""

    def __init__(self, *, piece_octets: int = 1 << 20, pipelining: bool = True) -> None:
        connection = ServerConnection(OFFER, LIMITS)
        connection.greet(replies.ready("mail.example"))
        self.server = Session(connection, frozenset({"no@example.org"}))
        self.client = ClientConnection()
        self.events: list[ClientEvent] = []
        self.stream: list[bytes] = []
        self._piece_octets = piece_octets
        self._pipelining = pipelining

    def talk(self) -> None:
        """Carry octets until nobody has anything to say."""
        while True:
            to_client = self.server.connection.bytes_to_send()
            if not self._pipelining:
                to_client = to_client.replace(b"250-PIPELINING\r\n", b"")
            for piece in self._pieces(to_client):
                self.client.receive(piece)
                self._listen()
            to_server = self.client.bytes_to_send()
            if not to_client and not to_server:
                return
            for piece in self._pieces(to_server):
                self.server.connection.receive(piece)
                self.server.run()

    def opened(self) -> "Pair":
        """Greeting and EHLO are over."""
        self.talk()
        self.client.hello("client.example")
        self.talk()
        return self

    def _listen(self) -> None:
        while (event := self.client.next_event()) is not None:
            self.events.append(event)
            if isinstance(event, ContentWanted):
                for block in self.stream:
                    self.client.write_content(block)
                self.client.end_content()

    def _pieces(self, octets: bytes) -> list[bytes]:
        step = self._piece_octets
        return [octets[at : at + step] for at in range(0, len(octets), step)]


CONTENTS = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"\r\n.\r\n", b"x", b"MAIL FROM:<e@v>\r\n"]),
    max_size=12,
).map(b"".join)
LOCAL_PARTS = st.sampled_from(["ann", "no", "a b", 'q"uo', "änn"])
RECIPIENTS = st.lists(
    st.builds(
        Recipient,
        LOCAL_PARTS.map(lambda name: Mailbox(name, "example.org")),
        st.frozensets(st.sampled_from([Notify.SUCCESS, Notify.DELAY, Notify.FAILURE])),
        st.sampled_from(["", "rfc822;old@example.org"]),
    ),
    min_size=1,
    max_size=4,
).map(tuple)
MESSAGES = st.lists(
    st.tuples(
        st.builds(
            Outgoing,
            st.sampled_from([None, Mailbox("ann", "example.com")]).map(ReversePath),
            RECIPIENTS,
            body=st.sampled_from(["7BIT", "8BITMIME", "BINARYMIME"]),
            envelope_id=st.sampled_from(["", "id"]),
        ),
        CONTENTS,
        st.booleans(),
    ),
    max_size=5,
)


def as_received(outgoing: Outgoing, content: bytes) -> bytes:
    if outgoing.body == "BINARYMIME" or not content:
        return content
    fit = with_crlf(content)
    return fit if fit.endswith(b"\r\n") else fit + b"\r\n"


@given(MESSAGES, st.integers(1, 50), st.booleans())
def test_what_is_sent_arrives(
    messages: list[tuple[Outgoing, bytes, bool]], piece_octets: int, pipelining: bool
) -> None:
    pair = Pair(piece_octets=piece_octets, pipelining=pipelining).opened()
    for outgoing, content, streamed in messages:
        if streamed:
            pair.stream = [content[:3], content[3:]]
            pair.client.send(outgoing)
            pair.talk()
        else:
            pair.client.send(outgoing, content)
    pair.talk()
    assert pair.client.is_idle
    expected = [
        as_received(outgoing, content)
        for outgoing, content, _ in messages
        if any(recipient.mailbox.local_part != "no" for recipient in outgoing.recipients)
    ]
    assert pair.server.messages == expected
    ended = [event for event in pair.events if isinstance(event, TransactionEnded)]
    assert [event.number for event in ended] == list(range(len(messages)))
    for event, (outgoing, _, _) in zip(ended, messages, strict=True):
        for reply, recipient in zip(event.replies, outgoing.recipients, strict=True):
            assert (reply.code == 550) == (recipient.mailbox.local_part == "no")


@given(MESSAGES)
def test_the_envelope_arrives(messages: list[tuple[Outgoing, bytes, bool]]) -> None:
    pair = Pair().opened()
    for outgoing, content, _ in messages:
        pair.client.send(outgoing, content)
    pair.talk()
    mails = [event for event in pair.server.events if isinstance(event, MailReceived)]
    recipients = [event for event in pair.server.events if isinstance(event, RecipientReceived)]
    assert [mail.reverse_path for mail in mails] == [it.reverse_path for it, _, _ in messages]
    assert [mail.envelope_id for mail in mails] == [it.envelope_id for it, _, _ in messages]
    sent = [recipient for outgoing, _, _ in messages for recipient in outgoing.recipients]
    received = [Recipient(it.forward_path, it.notify, it.original) for it in recipients]
    assert received == sent


def test_signing_in_goes_through() -> None:
    for mechanism in ("PLAIN", "LOGIN"):
        pair = Pair().opened()
        pair.client.sign_in("ann@example.com", "secret", (mechanism,))
        pair.talk()
        assert pair.events[-1] == SignInAnswered(replies.SIGNED_IN)
        assert pair.server.connection.signed_in


def test_opening_and_leaving() -> None:
    pair = Pair(piece_octets=1).opened()
    assert [type(event) for event in pair.events] == [Greeted, HelloAnswered]
    pair.client.quit()
    pair.talk()
    assert pair.client.closed
    assert pair.server.connection.wants_close
