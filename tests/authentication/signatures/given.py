"""Keys, zones and messages for these tests; keys are made once, because RSA takes its time."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from posthouse.authentication.lookups import LookUpError
from posthouse.authentication.signatures.arriving import arrived
from posthouse.authentication.signatures.keys import Kind, generate, record_name, record_of
from posthouse.authentication.signatures.signing import Signer, sign_message
from posthouse.authentication.signatures.verification import Verified, verify_message

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
RSA = Signer("example.com", "r1", generate(Kind.RSA))
ED25519 = Signer("example.com", "e1", generate(Kind.ED25519))
ZONE: dict[str, tuple[str, ...]] = {
    record_name(signer.selector, signer.domain): (record_of(signer.key),)
    for signer in (RSA, ED25519)
}
MESSAGE = (
    b"From: Ann <ann@example.com>\r\n"
    b"To: bob@adatum.example\r\n"
    b"Subject:  The  post \r\n\tcoach\r\n"
    b"Date: Mon, 4 May 2026 12:00:00 +0000\r\n"
    b"Message-ID: <1@example.com>\r\n"
    b"\r\n"
    b"It leaves \t at noon. \r\n"
    b"\r\n"
    b"Be there.\r\n"
    b"\r\n"
    b"\r\n"
)


def zone(records: dict[str, tuple[str, ...]]) -> Callable[[str], Awaitable[tuple[str, ...]]]:
    """Names that are not in it are temporarily unknown if they contain "slow"."""

    async def look_up(name: str) -> tuple[str, ...]:
        if "slow" in name:
            raise LookUpError("no name server answered")
        return records.get(name, ())

    return look_up


def signed(message: bytes = MESSAGE, signers: Sequence[Signer] = (RSA,)) -> bytes:
    return sign_message(message, signers, NOON) + message


async def verified(
    message: bytes,
    records: dict[str, tuple[str, ...]] | None = None,
    now: datetime = NOON,
) -> tuple[Verified, ...]:
    return await verify_message(arrived(message), zone(ZONE if records is None else records), now)


async def only(
    message: bytes, records: dict[str, tuple[str, ...]] | None = None, now: datetime = NOON
) -> Verified:
    (result,) = await verified(message, records, now)
    return result
