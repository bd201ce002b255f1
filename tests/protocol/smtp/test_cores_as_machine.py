"""Both cores wired together, orders and octets in any order: a model knows what must come of it."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from posthouse.mail.address import Mailbox, ReversePath
from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.client import ClientConnection, Outgoing
from posthouse.protocol.smtp.client_events import (
    ClientEvent,
    Closed,
    ContentWanted,
    Greeted,
    HelloAnswered,
    SignInAnswered,
    TlsReady,
    TransactionEnded,
)
from posthouse.protocol.smtp.offer import Offer, SessionLimits
from posthouse.protocol.smtp.server import ServerConnection
from posthouse.protocol.smtp.states import Phase
from tests.dialogue import PASSWORDS, Session
from tests.protocol.smtp.test_cores_together import CONTENTS, RECIPIENTS, as_received

OFFER = Offer("mail.example", 0, starttls=True, mechanisms=("PLAIN", "LOGIN"), binarymime=True)
LIMITS = SessionLimits(errors_max=1000, idle_commands_max=10_000)
REFUSED = "no@example.org"
OUTGOING = st.builds(
    Outgoing,
    st.sampled_from([None, Mailbox("ann", "example.com")]).map(ReversePath),
    RECIPIENTS,
    body=st.sampled_from(["7BIT", "8BITMIME", "BINARYMIME"]),
)
ANN = "ann@example.com"


class Cores(RuleBasedStateMachine):
    """A client, a server, and the octets that are on the way between them."""

    def __init__(self) -> None:
        super().__init__()
        connection = ServerConnection(OFFER, LIMITS)
        connection.greet(replies.ready("mail.example"))
        self.server = Session(connection, frozenset({REFUSED}))
        self.client = ClientConnection()
        self.to_server, self.to_client = bytearray(), bytearray()
        self.ready = self.encrypted = self.signed_in = self.quitting = self.talking = False
        self.password_is_right = False
        self.asked: list[tuple[Outgoing, bytes]] = []
        self.ended: list[TransactionEnded] = []

    # ---------------------------------------------------------------- orders

    @precondition(lambda self: self.ready and not self.quitting and not self.talking)
    @rule(outgoing=OUTGOING, content=CONTENTS, streamed=st.booleans())
    def send(self, outgoing: Outgoing, content: bytes, streamed: bool) -> None:
        self.asked.append((outgoing, content))
        number = self.client.send(outgoing, None if streamed else content)
        assert number == len(self.asked) - 1

    @precondition(lambda self: self.ready and self.client.is_idle and not self.quitting)
    @rule(
        password=st.sampled_from(["secret", "wrong"]), mechanism=st.sampled_from(["PLAIN", "LOGIN"])
    )
    def sign_in(self, password: str, mechanism: str) -> None:
        self.password_is_right = password == PASSWORDS[ANN]
        self.talking = True  # AUTH and STARTTLS stand alone (RFC 4954 §4, RFC 3207 §4)
        self.client.sign_in(ANN, password, (mechanism,))

    @precondition(lambda self: self.ready and self.client.is_idle and not self.encrypted)
    @rule()
    def start_tls(self) -> None:
        self.talking = True
        self.client.start_tls()

    @precondition(lambda self: self.ready and self.client.is_idle)
    @rule()
    def reset(self) -> None:
        self.client.reset()

    @precondition(lambda self: self.ready and self.client.is_idle and len(self.asked) > 2)
    @rule()
    def quit(self) -> None:
        self.quitting = True
        self.client.quit()

    # ---------------------------------------------------------------- octets

    @rule(octets=st.integers(1, 60))
    def carry_to_server(self, octets: int) -> None:
        self.to_server += self.client.bytes_to_send()
        self.server.connection.receive(bytes(self.to_server[:octets]))
        del self.to_server[:octets]
        self.server.run()

    @rule(octets=st.integers(1, 60))
    def carry_to_client(self, octets: int) -> None:
        self.to_client += self.server.connection.bytes_to_send()
        self.client.receive(bytes(self.to_client[:octets]))
        del self.to_client[:octets]
        while (event := self.client.next_event()) is not None:
            self.hear(event)

    @rule()
    def carry_all(self) -> None:
        while True:
            self.carry_to_client(1 << 20)
            self.carry_to_server(1 << 20)
            if not (self.to_client or self.to_server or self.server.connection._unsent):
                return

    def hear(self, event: ClientEvent) -> None:
        match event:
            case Greeted():
                self.client.hello("client.example")
            case HelloAnswered(reply=reply):
                assert reply.code == 250
                self.ready, self.talking = True, False
            case TlsReady():
                assert not self.to_client, "nothing comes behind the answer to STARTTLS"
                self.ready, self.encrypted, self.signed_in = False, True, False
                self.client.tls_started()
                server = self.server.connection
                server.tls_started()
                server.set_offer(replace(OFFER, starttls=False, tls=True))
                self.client.hello("client.example")
            case SignInAnswered(reply=reply):
                self.talking = False
                assert reply.is_positive == (self.password_is_right and not self.signed_in)
                self.signed_in = self.signed_in or reply.is_positive
            case ContentWanted(number=number):
                content = self.asked[number][1]
                self.client.write_content(content[:5])
                self.client.write_content(content[5:])
                self.client.end_content()
            case TransactionEnded():
                self.ended.append(event)
            case Closed(reply=reply):
                assert self.quitting
                assert reply == replies.BYE
            case _:
                pass

    # ---------------------------------------------------------------- what must be

    @invariant()
    def messages_arrive_whole_and_in_order(self) -> None:
        expected = [
            as_received(outgoing, content)
            for outgoing, content in self.asked
            if any(str(it.mailbox) != REFUSED for it in outgoing.recipients)
        ]
        assert self.server.messages == expected[: len(self.server.messages)]

    @invariant()
    def each_recipient_has_the_reply_that_is_his(self) -> None:
        for number, event in enumerate(self.ended):
            outgoing, _ = self.asked[number]
            assert event.number == number
            for reply, recipient in zip(event.replies, outgoing.recipients, strict=True):
                assert (reply.code == 550) == (str(recipient.mailbox) == REFUSED)

    @invariant()
    def both_agree_on_what_has_been_proved(self) -> None:
        if self.client.is_idle and self.ready:
            assert self.server.connection.signed_in == self.signed_in

    def teardown(self) -> None:
        self.carry_all()
        self.messages_arrive_whole_and_in_order()
        self.each_recipient_has_the_reply_that_is_his()
        assert len(self.ended) == len(self.asked)
        assert self.client.is_idle or self.client.closed
        assert self.client.closed == self.quitting == self.server.connection.wants_close
        assert self.quitting or self.server.connection.phase is Phase.READY


TestCores = Cores.TestCase
TestCores.settings = settings(stateful_step_count=50)
