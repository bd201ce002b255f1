"""One sign-in by AUTH, whatever the protocol around it: from the first response to an answer.

The machine of the mechanism speaks with the client, the accounts are asked in between, and some
mechanisms have a last word to the client before the outcome may be told.
"""

import secrets
from collections.abc import Awaitable, Callable
from typing import Protocol

from msgspec import Struct

from posthouse.accounts.answers import Answer, Challenged, Purpose, Unreadable, Verified
from posthouse.policy.facts import Address
from posthouse.protocol import oauth
from posthouse.protocol.cram_md5 import CramMd5Server
from posthouse.protocol.mechanisms import NEED_TOKEN, Machine, Turn
from posthouse.protocol.proofs import NONCE_OCTETS, BearerToken, Proof, SecretWanted
from posthouse.protocol.sasl import Challenge, Credentials, SaslError
from posthouse.protocol.scram import ScramServer


class Verifier(Protocol):
    """Who knows passwords, secrets and tokens: `accounts.verifier.Verifier`."""

    def mechanisms(self) -> tuple[str, ...]:
        """Return the mechanisms that every account can use now, the best first."""
        ...

    async def verify(
        self, name: str, password: str, *, address: Address, purpose: Purpose
    ) -> Answer:
        """Return whose password it is, or why it is not taken; never raises."""
        ...

    def challenge(self, mechanism: str, name: str, *, purpose: Purpose) -> Challenged | Unreadable:
        """Return what a mechanism needs of an account, or of one that is not there."""
        ...

    async def prove(
        self, challenged: Challenged, matched: int | None, *, address: Address
    ) -> Answer:
        """Return what comes of a proof; never raises."""
        ...

    async def verify_token(
        self, given: BearerToken, *, address: Address, purpose: Purpose
    ) -> Answer:
        """Return whose token it is, or why it is not taken; never raises."""
        ...


class Asker(Struct, frozen=True):
    """Whom an exchange asks, and for whom.

    Attributes:
        verifier: Knows the accounts.
        address: Of the client.
        purpose: What it signs in for.
    """

    verifier: Verifier
    address: Address
    purpose: Purpose


class Question(Struct, frozen=True):
    """What the accounts are to be asked now: await `ask`, then call `Exchange.judged`.

    Attributes:
        name: Who signs in, as the client says.
        authorization: Whom it wants to act as; "" for itself.
        ask: Gives the answer.
    """

    name: str
    authorization: str
    ask: Callable[[], Awaitable[Answer]]


class Settled(Struct, frozen=True):
    """The outcome may be told now.

    Attributes:
        name: Who signed in, as the client says.
        authorization: Whom it wants to act as; "" for itself.
        answer: What the accounts say.
    """

    name: str
    authorization: str
    answer: Answer

    @property
    def verified(self) -> Verified | None:
        """Who is there; None if nobody signed in, or somebody who wants to be somebody else."""
        if not isinstance(self.answer, Verified):
            return None
        wanted = self.authorization.casefold()  # RFC 4616 §2: itself, in any spelling
        allowed = ("", self.name.casefold(), self.answer.account.name.casefold())
        return self.answer if wanted in allowed else None


class Exchange:
    """One sign-in.

    Attributes:
        mechanism: Its name.
    """

    def __init__(self, mechanism: str, machine: Machine, asker: Asker) -> None:
        self.mechanism = mechanism
        self._machine = machine
        self._asker = asker
        self._last_word = b""
        self._challenged: Challenged | None = None
        self._waiting: Settled | None = None  # for the client's answer to the last word

    def respond(self, response: bytes | None) -> Challenge | Question | Settled:
        """Take the client's response.

        Raises:
            SaslError: If it is not what the mechanism demands; the exchange is over then.
        """
        if self._waiting is not None:
            if response and self._waiting.verified is not None:
                raise SaslError("nothing more was to be said")
            return self._waiting
        return self._turn(self._machine.respond(response))

    def judged(self, question: Question, answer: Answer) -> Challenge | Settled:
        """Go on with the answer to a question."""
        settled = Settled(question.name, question.authorization, answer)
        if self._last_word and settled.verified is not None:
            self._waiting = settled
            return Challenge(self._last_word)
        if self.mechanism in NEED_TOKEN and settled.verified is None:
            self._waiting = settled
            return Challenge(oauth.refusal())
        return settled

    def _turn(self, turn: Turn) -> Challenge | Question | Settled:
        asker = self._asker
        verifier, address, purpose = asker.verifier, asker.address, asker.purpose
        match turn:
            case Challenge():
                return turn
            case Credentials(name=name, password=password, authorization=authorization):
                return Question(
                    name,
                    authorization,
                    lambda: verifier.verify(name, password, address=address, purpose=purpose),
                )
            case BearerToken(name=name):
                return Question(
                    name, "", lambda: verifier.verify_token(turn, address=address, purpose=purpose)
                )
            case SecretWanted():
                return self._provide(turn)
            case Proof():
                return self._proved(turn)

    def _provide(self, wanted: SecretWanted) -> Challenge | Question | Settled:
        """Give the machine the secrets of an account, or fake ones."""
        asker = self._asker
        challenged = asker.verifier.challenge(self.mechanism, wanted.name, purpose=asker.purpose)
        if isinstance(challenged, Unreadable):
            return Settled(wanted.name, wanted.authorization, challenged)
        self._challenged = challenged
        assert isinstance(self._machine, ScramServer | CramMd5Server), "no other wants a secret"
        return self._turn(self._machine.provide(challenged.secrets))  # type: ignore[arg-type]  # they are of this mechanism

    def _proved(self, proof: Proof) -> Question:
        challenged, asker = self._challenged, self._asker
        assert challenged is not None, "a proof follows a secret"
        self._last_word = proof.last_word
        return Question(
            proof.name,
            proof.authorization,
            lambda: asker.verifier.prove(challenged, proof.matched, address=asker.address),
        )


def fresh_nonce() -> str:
    """Return what nobody can guess, of letters, digits, ``-`` and ``_``."""
    return secrets.token_urlsafe(NONCE_OCTETS)
