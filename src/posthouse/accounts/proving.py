"""What mechanisms that prove a secret are given of an account, there or not."""

from collections.abc import Sequence
from typing import Final

from posthouse.accounts import schemes
from posthouse.accounts.answers import Challenged
from posthouse.accounts.store import Credential
from posthouse.mail.address import AddressError, parse_mailbox
from posthouse.policy.facts import Account
from posthouse.protocol import cram_md5, scram
from posthouse.protocol.proofs import PlainSecret, ScramSecret

APOP: Final = "APOP"  # not of SASL, but it asks the same of an account (RFC 1939 §7)


def challenge(
    mechanism: str,
    name: str,
    account: Account | None,
    credentials: tuple[Credential, ...],
    salt_key: bytes,
) -> Challenged:
    """Return the secrets of an account for a mechanism, or a fake one that nothing matches."""
    if mechanism.startswith("SCRAM-"):
        return _scram(name, account, credentials, salt_key)
    if mechanism == APOP:
        return _apop(name, credentials, salt_key)
    found = [(secret, it) for it in credentials if (secret := schemes.cram_secret(it.hash))]
    if not found:
        return Challenged(name, [cram_md5.derive(_nobodys(name, salt_key))])
    return Challenged(name, [secret for secret, _ in found], tuple(it for _, it in found))


def _apop(name: str, credentials: tuple[Credential, ...], salt_key: bytes) -> Challenged:
    known = [(text, it) for it in credentials if (text := schemes.plain(it.hash)) is not None]
    if not known:
        return Challenged(name, [PlainSecret(_nobodys(name, salt_key))])
    return Challenged(name, [PlainSecret(text) for text, _ in known], tuple(it for _, it in known))


def _scram(
    name: str, account: Account | None, credentials: tuple[Credential, ...], salt_key: bytes
) -> Challenged:
    """All secrets of one salt, that of the account's own password: the salt is told first."""
    known: Sequence[tuple[ScramSecret, Credential]] = [
        (secret, it) for it in credentials if (secret := _scram_secret(it)) is not None
    ]
    if not known:
        return Challenged(name, [scram.fake_secret(_compared(name, account), salt_key)])
    salt, iterations = known[0][0].salt, known[0][0].iterations
    same = [it for it in known if (it[0].salt, it[0].iterations) == (salt, iterations)]
    return Challenged(name, [secret for secret, _ in same], tuple(it for _, it in same))


def _scram_secret(credential: Credential) -> ScramSecret | None:
    if credential.scram:
        return schemes.read_scram(credential.scram)
    return schemes.scram_secret(credential.hash)


def _compared(name: str, account: Account | None) -> str:
    """The form of a name that salts are made of: however it is spelled, the salt is the same."""
    if account is not None:
        return account.name
    try:
        return str(parse_mailbox(name).folded)
    except AddressError:
        return name.casefold()


def _nobodys(name: str, salt_key: bytes) -> str:
    """A password that nobody has."""
    return scram.fake_secret(name, salt_key).stored_key.hex()
