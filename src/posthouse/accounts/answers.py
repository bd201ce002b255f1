"""What comes of a sign-in, and what it is for."""

from enum import Enum

from msgspec import Struct

from posthouse.accounts.store import Credential, CredentialKind
from posthouse.policy.facts import Account
from posthouse.protocol.proofs import Secrets


class Purpose(Enum):
    """What somebody signs in for."""

    FETCH = "fetch"  # POP3: only the account's own password
    SEND = "send"  # submission: any password; the door says which of them it takes


class Verified(Struct, frozen=True):
    """The password, proof or token is right.

    Attributes:
        account: Who it is.
        credential: The password; `AccountStore.is_valid` tells whether it still is one. For tokens
            and passwords that are checked elsewhere, the account's own.
    """

    account: Account
    credential: Credential

    @property
    def submission_password(self) -> bool:
        """Whether it was a separate password for sending."""
        return self.credential.kind is CredentialKind.SUBMISSION


class Failed(Struct, frozen=True):
    """No account, another password, or disabled: nobody outside may know which."""


class Locked(Struct, frozen=True):
    """Too many failures for this account from this address lately; nothing was checked.

    Attributes:
        minutes: Until one more attempt is possible.
    """

    minutes: int


class Unreadable(Struct, frozen=True):
    """It cannot be said now: answered 454 4.7.0 (RFC 4954 §6).

    Attributes:
        problem: Why, for the log.
    """

    problem: str


Answer = Verified | Failed | Locked | Unreadable


class Challenged(Struct, frozen=True):
    """What a mechanism that proves a secret is given.

    Attributes:
        name: Who signs in, as the client says.
        secrets: One at least: somebody unknown has a fake one.
        credentials: The passwords they belong to, in the same order; empty for a fake.
    """

    name: str
    secrets: Secrets
    credentials: tuple[Credential, ...] = ()


class Elsewhere(Enum):
    """What somebody else said of a name and a password."""

    RIGHT = "right"
    WRONG = "wrong"


class ElsewhereError(Exception):
    """They could not be asked, or did not answer; the message says why, for the log."""


class TokenError(Exception):
    """The token is not good; the message says why, for the log."""
