"""From a name and a password to an open maildrop, or to the reply that says why not."""

import asyncio

from msgspec import Struct

from posthouse.accounts.verifier import Failed, Locked, Purpose, Unreadable, Verified
from posthouse.mailbox.maildir import MaildirError
from posthouse.mailbox.maildrop import Maildrop, MaildropInUseError
from posthouse.protocol.pop3 import replies
from posthouse.protocol.pop3.replies import Reply
from posthouse.protocol.sasl import Credentials
from posthouse.sessions.pop3_service import Address, Pop3Service
from posthouse.telemetry.events import SignedIn, SignInFailed, StoreFailed


class Attempt(Struct, frozen=True):
    """One try to sign in.

    Attributes:
        session: Short id of the session, for the log.
        client: Address of the client.
        claimed: What the client says.
        mechanism: ``PLAIN``, ``LOGIN`` or ``USER``.
    """

    session: str
    client: Address
    claimed: Credentials
    mechanism: str


class Opened(Struct, frozen=True):
    """The password was right and the maildrop is locked for this session."""

    account: str
    maildrop: Maildrop


class Refusal(Struct, frozen=True):
    """No maildrop was opened.

    Attributes:
        reply: What to answer.
        is_guess: The password was wrong: a connection may not try for ever.
    """

    reply: Reply
    is_guess: bool = False


async def sign_in(service: Pop3Service, attempt: Attempt) -> Opened | Refusal:
    """Check the password, tell of the sign-in, and open the maildrop in a thread."""
    claimed = attempt.claimed
    answer = await service.verifier.verify(
        claimed.name, claimed.password, address=attempt.client, purpose=Purpose.FETCH
    )
    match answer:
        case Verified(account=account) if _acts_for_itself(claimed, account.name):
            return await _open(service, attempt, account.name)
        case Verified() | Failed():
            _log_failure(service, attempt, "sign-in-failed")
            await asyncio.sleep(service.limits.failure_pause.total_seconds())
            return Refusal(replies.SIGN_IN_FAILED, is_guess=True)
        case Locked(minutes=minutes):
            _log_failure(service, attempt, "sign-in-locked")
            await asyncio.sleep(service.limits.failure_pause.total_seconds())
            return Refusal(replies.locked_out(minutes), is_guess=True)
        case Unreadable(problem=problem):
            _log_failure(service, attempt, "sign-in-unreadable")
            service.log(StoreFailed("accounts", problem))
            return Refusal(replies.SIGN_IN_UNAVAILABLE)


async def _open(service: Pop3Service, attempt: Attempt, account: str) -> Opened | Refusal:
    service.note_sign_in(account, attempt.client, service.now())
    signed_in = SignedIn(
        attempt.session, str(attempt.client), service.listener, account, attempt.mechanism
    )
    service.log(signed_in)
    loop = asyncio.get_running_loop()
    try:
        maildrop = await loop.run_in_executor(service.executor, service.open_maildrop, account)
    except MaildropInUseError:
        return Refusal(replies.MAILDROP_IN_USE)
    except MaildirError as error:
        service.log(StoreFailed("mailbox", str(error)))
        return Refusal(replies.MAILDROP_UNREADABLE)
    return Opened(account, maildrop)


def _log_failure(service: Pop3Service, attempt: Attempt, why: str) -> None:
    client, name = str(attempt.client), attempt.claimed.name
    service.log(SignInFailed(attempt.session, client, service.listener, name, why))


def _acts_for_itself(claimed: Credentials, account: str) -> bool:
    """Whether the authorization identity is empty or the same account (RFC 4616 section 2)."""
    return claimed.authorization.casefold() in ("", claimed.name.casefold(), account.casefold())
