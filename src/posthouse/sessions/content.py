"""Content while it arrives: into the spool in blocks, looked at on the way."""

from collections.abc import Callable

from posthouse.authentication.authentication_results import ForgedResults
from posthouse.authentication.signatures.arriving import ArrivingMessage
from posthouse.mail.message import HEADER_OCTETS_MAX, HeaderSection, split_header
from posthouse.policy.facts import Finding
from posthouse.sessions.scanning import Screening
from posthouse.spool.intake import Intake
from posthouse.spool.records import StorageError


class IncomingContent:
    """One message between 354 and the answer to its final dot.

    The spool may fail while the client is still sending. The rest is then taken and thrown away,
    because the client listens only after its final dot; `trouble` tells at that moment.

    Attributes:
        examined: Takes the message as it came, where it is examined; else None.
    """

    def __init__(
        self,
        intake: Intake,
        screening: Screening,
        ended: Callable[[], None] = lambda: None,
        *,
        hostname: str = "",
        examined: ArrivingMessage | None = None,
    ) -> None:
        """Begin; `ended` is called once, when the content is handed over or thrown away.

        Results fields that claim to be from `hostname` are taken away.
        """
        self.examined = examined
        self._forged = ForgedResults(hostname)
        self._intake: Intake | None = intake
        self._ended = ended
        self._screening = screening
        self._header: HeaderSection | None = None

    def take(self, octets: bytes) -> None:
        """Take the next part; never raises."""
        if self._intake is not None:
            self._intake.write(self._forged.take(octets))
            self._screening.look(octets)
            if self.examined is not None:
                self.examined.take(octets)

    def finish(self) -> None:
        """Take no more: the last part has come."""
        self._open_intake().write(self._forged.end())
        if self.examined is not None:
            self.examined.end()

    @property
    def octets(self) -> int:
        """Octets of content so far."""
        return self._open_intake().octets

    @property
    def trouble(self) -> StorageError | None:
        """Why the spool could not take it."""
        return self._open_intake().error

    @property
    def header(self) -> HeaderSection:
        """The header section, read once, after the last part."""
        if self._header is None:
            self._header = split_header(self._open_intake().head(HEADER_OCTETS_MAX))
        return self._header

    @property
    def header_is_too_big(self) -> bool:
        """Whether fields may lie beyond what was read: nobody could tell whose message it is."""
        return not self.header.complete and self.octets > HEADER_OCTETS_MAX

    def findings(self) -> tuple[Finding, ...]:
        """What the checks say, after the last part."""
        return self._screening.findings()

    def surrender(self) -> Intake:
        """Hand the intake over for its commit; from now on nothing here abandons it."""
        intake = self._open_intake()
        self._intake = None
        self._ended()
        return intake

    def abandon(self) -> None:
        """Throw the content away; may be repeated."""
        if self._intake is not None:
            self._intake.abandon()
            self._intake = None
            self._ended()

    def _open_intake(self) -> Intake:
        assert self._intake is not None, "the content is gone"
        return self._intake
