"""Whether the chain of forwarders holds (RFC 8617 §5.2)."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from posthouse.authentication.lookups import TextLookUp
from posthouse.authentication.results import Check, Result
from posthouse.authentication.signatures.arc_chain import ArcSet, Chain, Seal
from posthouse.authentication.signatures.arriving import ArrivingMessage
from posthouse.authentication.signatures.canonical import Form, canonical_field
from posthouse.authentication.signatures.keys import KeyRecord, verify
from posthouse.authentication.signatures.signature import without_signature
from posthouse.authentication.signatures.verification import (
    Ended,
    Trial,
    fetch_key,
    is_genuine,
    is_whole,
)
from posthouse.mail.message import Field

NOBODY: Final = "nobody sealed it"


class Arc(Struct, frozen=True):
    """What is known of a chain.

    Attributes:
        result: `Result.NONE` if there is none.
        because: In a few words.
        checks: Every question that was put.
        length: How many sets there are.
        domain: Who sealed last; "" if that cannot be read.
    """

    result: Result
    because: str
    checks: tuple[Check, ...] = ()
    length: int = 0
    domain: str = ""


async def verify_chain(message: ArrivingMessage, look_up: TextLookUp) -> Arc:
    """Return what is known of the message's chain.

    Args:
        message: After `end`.
        look_up: Asks for the keys, two for each set at most.
    """
    chain = message.chain
    if chain is None:
        return Arc(Result.NONE, NOBODY)
    domain = chain.sets[-1].seal.domain if chain.sets else ""
    trial = Trial()
    ended = await _judge(trial, chain, message, look_up)
    return Arc(ended.result, ended.because, tuple(trial.checks), chain.length, domain)


async def _judge(
    trial: Trial, chain: Chain, message: ArrivingMessage, look_up: TextLookUp
) -> Ended:
    if not trial.ask("the sets make a chain", chain.trouble, answer=not chain.trouble):
        return Ended(Result.FAIL, chain.trouble)
    newest = chain.sets[-1].signature
    record = await fetch_key(trial, newest, look_up)
    if isinstance(record, Ended):
        return _as_chain(record)
    digest = message.digest(newest.body_kind)
    if digest is None or not is_whole(trial, newest, digest) or digest.hashed < digest.octets:
        return Ended(Result.FAIL, "the body was changed after it was last sealed")
    if not is_genuine(trial, newest, record, message.header):
        return Ended(Result.FAIL, "signed fields were changed after it was last sealed")
    for place in range(len(chain.sets) - 1, -1, -1):
        seal = chain.sets[place].seal
        record = await fetch_key(trial, seal, look_up)
        if isinstance(record, Ended):
            return _as_chain(record)
        if not _is_sealed(trial, chain.sets[: place + 1], seal, record):
            return Ended(Result.FAIL, f"seal {place + 1} is wrong")
    by = ", ".join(one.seal.domain for one in chain.sets)
    return Ended(Result.PASS, f"sealed by {by}")


def _is_sealed(trial: Trial, sets: Sequence[ArcSet], seal: Seal, record: KeyRecord) -> bool:
    assert record.key is not None
    genuine = verify(record.key, seal.octets, sealed_octets([one.fields for one in sets]))
    return trial.ask(f"seal {len(sets)} is genuine", seal.domain, answer=genuine)


def sealed_octets(sets: Sequence[tuple[Field, Field, Field]]) -> bytes:
    """Return what a seal signs: all sets, the oldest first, and itself without its ``b=``.

    Each set in the order results, signature, seal (RFC 8617 §5.1.1).
    """
    fields = [field for one in sets for field in one]
    own = canonical_field(without_signature(fields.pop()), Form.RELAXED).removesuffix(b"\r\n")
    return b"".join(canonical_field(field, Form.RELAXED) for field in fields) + own


def _as_chain(ended: Ended) -> Ended:
    """A chain holds or not; there is no permanent error of its own (RFC 8617 §4.4)."""
    if ended.result is Result.TEMPERROR:
        return ended
    return Ended(Result.FAIL, ended.because)
