"""The mail transactions of a client session, one behind the other (RFC 5321 §3.3, RFC 2920 §3.1).

With PIPELINING, MAIL, every RCPT and DATA leave in one write, and the next transaction in the
same write as the content before it. Without, each command waits for its answer.
"""

from collections import deque

from posthouse.mail.reply import Reply
from posthouse.protocol.smtp.answers import PeerError
from posthouse.protocol.smtp.client_events import (
    ContentOut,
    ContentWanted,
    Extensions,
    TransactionEnded,
)
from posthouse.protocol.smtp.exchange import Asked, Exchange
from posthouse.protocol.smtp.outgoing import Outgoing, mail_command, obstacle, recipient_command
from posthouse.protocol.smtp.transaction import Transaction


class Transactions:
    """What is asked for, what is under way.

    Attributes:
        extensions: What the server offers.
        ready: EHLO is answered.
        is_streaming: A content is wanted, or its end.
    """

    def __init__(self, exchange: Exchange, *, lmtp: bool) -> None:
        self.extensions = Extensions()
        self.ready = False
        self.is_streaming = False
        self._exchange = exchange
        self._lmtp = lmtp
        self._waiting: deque[Transaction] = deque()
        self._current: Transaction | None = None  # its content is not written yet
        self._open: dict[int, Transaction] = {}  # all that have not ended
        self._count = 0

    @property
    def is_idle(self) -> bool:
        """Whether none waits or has content to be written."""
        return self._current is None and not self._waiting

    def heard_of(self, number: int) -> tuple[bool, tuple[Reply | None, ...]]:
        """See `ClientConnection.heard_of`."""
        transaction = self._open[number]
        return transaction.heard, tuple(transaction.replies)

    def send(self, outgoing: Outgoing, content: bytes | None, *, fits: bool) -> int:
        """Ask for a transaction; see `ClientConnection.send`."""
        assert outgoing.recipients, "a transaction needs a recipient"
        assert self.ready, "EHLO comes first"
        number = self._count
        self._count += 1
        refusal = None if fits else obstacle(outgoing, self.extensions)
        if refusal is not None:
            replies = (refusal,) * len(outgoing.recipients)
            self._exchange.events.append(TransactionEnded(number, replies))
            return number
        chunked = outgoing.body == "BINARYMIME"
        transaction = Transaction(number, outgoing, content, chunked=chunked)
        self._open[number] = transaction
        self._waiting.append(transaction)
        if self._current is None:
            self.start_next()
        return number

    def write_content(self, octets: bytes) -> None:
        """Stream a block of content; dots and line ends are taken care of."""
        transaction = self._streaming()
        if transaction.chunked and octets:
            self._exchange.ask(Asked.CHUNK, transaction)
        self._exchange.say(transaction.wire_form(octets))

    def end_content(self) -> None:
        """End the content that is streamed."""
        transaction = self._streaming()
        self._exchange.say(transaction.wire_form_of_end())
        self.is_streaming = False
        self._content_is_out(transaction)

    def _content_is_out(self, transaction: Transaction) -> None:
        """All of it is said: another transaction may follow."""
        self._current = None
        for index in transaction.accepted if self._lmtp else [-1]:
            self._exchange.ask(Asked.CONTENT, transaction, index)
        self._exchange.events.append(ContentOut(transaction.number))
        if self._waiting:
            self.start_next()

    def take(self, asked: Asked, transaction: Transaction, index: int, reply: Reply) -> None:
        """Take the answer to what was asked in a transaction."""
        transaction.heard = True
        match asked:
            case Asked.SENDER if transaction.pipelined and reply.code < 400:
                transaction.sender_ok = True
            case Asked.SENDER:
                self._sender_answered(transaction, reply)
            case Asked.RECIPIENT if transaction.ends_by_data and reply.code < 400:
                pass
            case Asked.RECIPIENT:
                self._recipient_answered(transaction, index, reply)
            case Asked.DATA:
                self._data_answered(transaction, reply)
            case Asked.CHUNK:
                transaction.failed_chunk = transaction.failed_chunk or _refusal(reply)
            case Asked.CONTENT:
                self._content_answered(transaction, index, reply)
            case _:
                self._end(transaction)

    # ---------------------------------------------------------------- asking

    def _streaming(self) -> Transaction:
        transaction = self._current
        assert transaction is not None, "no transaction is open"
        assert self.is_streaming, "the content is not wanted yet"
        return transaction

    def start_next(self) -> None:
        """Begin the next transaction that waits, if one may begin now."""
        free = self.extensions.pipelining or not self._exchange.asked
        if not (self._waiting and self._current is None and free):
            return
        transaction = self._current = self._waiting.popleft()
        transaction.pipelined = self.extensions.pipelining
        asks_for_data = not (transaction.chunked or transaction.outgoing.probe)
        transaction.ends_by_data = transaction.pipelined and asks_for_data
        text = mail_command(transaction.outgoing, self.extensions)
        self._exchange.command(text, Asked.SENDER, transaction)
        if transaction.pipelined:
            for _ in transaction.outgoing.recipients:
                self._ask_recipient(transaction)
            if asks_for_data:
                self._exchange.command("DATA", Asked.DATA, transaction)

    def _ask_recipient(self, transaction: Transaction) -> None:
        index = transaction.recipients_asked
        transaction.recipients_asked += 1
        text = recipient_command(transaction.outgoing.recipients[index], self.extensions)
        self._exchange.command(text, Asked.RECIPIENT, transaction, index)

    def _open_content(self, transaction: Transaction) -> None:
        if transaction.content is None:
            self.is_streaming = True
            self._exchange.events.append(ContentWanted(transaction.number))
            return
        if transaction.chunked and transaction.content:
            self._exchange.ask(Asked.CHUNK, transaction)
        self._exchange.say(transaction.wire_form_of_all(transaction.content))
        self._content_is_out(transaction)

    def _end(self, transaction: Transaction, *, reset: bool = False) -> None:
        """The transaction is decided for every recipient."""
        replies = transaction.decided
        del self._open[transaction.number]
        self._exchange.events.append(TransactionEnded(transaction.number, replies))
        if reset:
            self._exchange.command("RSET", Asked.RESET_QUIETLY)
        if self._current is transaction:
            self._current = None
        if self._waiting:
            self.start_next()

    # ---------------------------------------------------------------- answers about mail

    def _sender_answered(self, transaction: Transaction, reply: Reply) -> None:
        transaction.sender_ok = reply.is_positive
        if not reply.is_positive:
            transaction.decide_all(reply)
        if transaction.pipelined:
            return
        if transaction.sender_ok:
            self._ask_recipient(transaction)
        else:
            self._end(transaction)

    def _recipient_answered(self, transaction: Transaction, index: int, reply: Reply) -> None:
        # Where MAIL was refused this is 503, which says nothing about the recipient.
        if transaction.sender_ok and (not reply.is_positive or transaction.outgoing.probe):
            transaction.replies[index] = reply
        if index + 1 < len(transaction.replies):
            if not transaction.pipelined:
                self._ask_recipient(transaction)
        elif transaction.chunked or transaction.outgoing.probe or not transaction.pipelined:
            self._recipients_known(transaction)

    def _recipients_known(self, transaction: Transaction) -> None:
        if not transaction.accepted:
            self._end(transaction, reset=transaction.sender_ok)
        elif transaction.chunked:
            self._open_content(transaction)
        else:
            self._exchange.command("DATA", Asked.DATA, transaction)

    def _data_answered(self, transaction: Transaction, reply: Reply) -> None:
        if reply.code // 100 == 2:
            raise PeerError(f"{reply.code} is no answer to DATA")
        if None not in transaction.replies:  # nobody was accepted
            if reply.code == 354 and self._lmtp:
                raise PeerError("354 without a recipient")  # RFC 2033 §4.2 demands 503
            if reply.code == 354:  # RFC 2920 §3.1: then nothing but the end may be sent
                self._exchange.command(".", Asked.CONTENT_OF_NOTHING, transaction)
            else:
                self._end(transaction, reset=transaction.sender_ok)
            return
        if reply.code == 354:
            self._open_content(transaction)
        else:
            transaction.decide_all(reply)
            self._end(transaction, reset=True)

    def _content_answered(self, transaction: Transaction, index: int, reply: Reply) -> None:
        failed = transaction.failed_chunk
        reply = failed or reply
        if self._lmtp:
            transaction.replies[index] = reply
            if transaction.accepted:
                return
        transaction.decide_all(reply)
        self._end(transaction, reset=failed is not None)


def _refusal(reply: Reply) -> Reply | None:
    return None if reply.is_positive else reply
