"""One mail transaction as our client leads it: what was said, what was answered."""

from posthouse.mail.reply import Reply
from posthouse.protocol.framing import DotWriter, dotted
from posthouse.protocol.smtp.outgoing import Outgoing


class Transaction:
    """State of one transaction.

    Attributes:
        number: Counts from 0 in a session.
        outgoing: What is asked for.
        content: All of it; None: it will be streamed.
        chunked: Content goes by BDAT and not by DATA.
        pipelined: All its commands left in one write.
        ends_by_data: DATA is the last of these.
        heard: Something was answered in it.
        sender_ok: MAIL was answered positively.
        replies: The deciding reply for each recipient, as far as known.
        recipients_asked: RCPT commands that are written.
        failed_chunk: The first negative answer to BDAT that was not the last.
    """

    def __init__(
        self, number: int, outgoing: Outgoing, content: bytes | None, *, chunked: bool
    ) -> None:
        self.number = number
        self.outgoing = outgoing
        self.content = content
        self.chunked = chunked
        self._dots = DotWriter()
        self.pipelined = self.ends_by_data = False
        self.heard = False
        self.sender_ok = False
        self.replies: list[Reply | None] = [None] * len(outgoing.recipients)
        self.recipients_asked = 0
        self.failed_chunk: Reply | None = None

    @property
    def accepted(self) -> list[int]:
        """Recipients without a refusal, once all are answered."""
        return [index for index, reply in enumerate(self.replies) if reply is None]

    @property
    def decided(self) -> tuple[Reply, ...]:
        """The replies, once all are decided."""
        replies = tuple(filter(None, self.replies))
        assert len(replies) == len(self.replies), "a recipient is not decided"
        return replies

    def decide_all(self, reply: Reply) -> None:
        """Let `reply` decide for each recipient that is not decided yet."""
        self.replies = [known or reply for known in self.replies]

    def wire_form(self, octets: bytes) -> bytes:
        """Return a block of content as it goes on the wire."""
        if self.chunked:
            return b"BDAT %d\r\n%b" % (len(octets), octets) if octets else b""
        return self._dots.write(octets)

    def wire_form_of_end(self) -> bytes:
        """Return what ends the content."""
        return b"BDAT 0 LAST\r\n" if self.chunked else self._dots.finish()

    def wire_form_of_all(self, content: bytes) -> bytes:
        """Return a whole content as it goes on the wire, with its end."""
        if self.chunked:
            return self.wire_form(content) + self.wire_form_of_end()
        return dotted(content)
