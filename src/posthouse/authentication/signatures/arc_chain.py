"""The sets of fields that forwarders leave on a message, read (RFC 8617 §4)."""

from typing import Final

from msgspec import Struct

from posthouse.authentication.signatures.keys import Kind
from posthouse.authentication.signatures.signature import (
    Signature,
    algorithm_in,
    domain_in,
    read_signature,
    selector_in,
)
from posthouse.authentication.tags import TagError, encoded, number, parse_tags, text
from posthouse.mail.message import Field, HeaderSection

INSTANCES_MAX: Final = 50  # RFC 8617 §4.2.1
RESULTS: Final = b"arc-authentication-results"
MESSAGE_SIGNATURE: Final = b"arc-message-signature"
SEAL: Final = b"arc-seal"


class Seal(Struct, frozen=True):
    """An ARC-Seal field (RFC 8617 §4.1.3).

    Attributes:
        field: The field itself.
        kind: Of the key.
        domain: Who sealed.
        selector: Which of its keys.
        chain: What the chain was like before: ``none``, ``pass`` or ``fail``, ``cv=``.
        octets: The signature proper.
        identity: Always "": a seal is nobody's but the domain's.
    """

    field: Field
    kind: Kind
    domain: str
    selector: str
    chain: str
    octets: bytes
    identity: str = ""


class ArcSet(Struct, frozen=True):
    """What one forwarder added.

    Attributes:
        instance: From 1 on, ``i=``.
        results: What it had found, as a field.
        signature: Over the message as it went on.
        seal: Over all sets.
    """

    instance: int
    results: Field
    signature: Signature
    seal: Seal

    @property
    def fields(self) -> tuple[Field, Field, Field]:
        """In the order in which they are sealed (RFC 8617 §5.1.1)."""
        return self.results, self.signature.field, self.seal.field


class Chain(Struct, frozen=True):
    """All sets of a message.

    Attributes:
        sets: The oldest first; those that could be read if there is trouble.
        length: The highest instance number that occurs.
        trouble: Why it is no chain, in plain words; "" if it is one.
    """

    sets: tuple[ArcSet, ...] = ()
    length: int = 0
    trouble: str = ""


def read_chain(header: HeaderSection) -> Chain | None:
    """Return the chain in a header section; None if there is none."""
    found: dict[tuple[int, bytes], Field] = {}
    highest, trouble = 0, ""
    for field in header.all_fields:
        if field.key not in (RESULTS, MESSAGE_SIGNATURE, SEAL):
            continue
        instance = _instance(field)
        if not 1 <= instance <= INSTANCES_MAX:
            trouble = "a field has no instance number from 1 to 50"
        elif (instance, field.key) in found:
            trouble = f"set {instance} has a field twice"
        else:
            found[instance, field.key] = field
        highest = max(highest, instance)
    if not highest and not trouble:
        return None
    if trouble:
        return Chain((), min(highest, INSTANCES_MAX), trouble)
    return _chain(found, highest)


def _chain(found: dict[tuple[int, bytes], Field], highest: int) -> Chain:
    sets: list[ArcSet] = []
    for instance in range(1, highest + 1):
        try:
            sets.append(_set(instance, found))
        except TagError as error:
            return Chain(tuple(sets), highest, f"set {instance}: {error}")
        expected = "none" if instance == 1 else "pass"
        if sets[-1].seal.chain != expected:
            trouble = f"set {instance} says the chain before it was {sets[-1].seal.chain}"
            return Chain(tuple(sets), highest, trouble)
    return Chain(tuple(sets), highest)


def _set(instance: int, found: dict[tuple[int, bytes], Field]) -> ArcSet:
    fields = [found.get((instance, key)) for key in (RESULTS, MESSAGE_SIGNATURE, SEAL)]
    results, signed, seal = fields
    if results is None or signed is None or seal is None:
        raise TagError("a field is missing")
    signature = read_signature(signed, parse_tags(signed.folded))
    if SEAL in signature.signed_fields:
        raise TagError("the signature covers a seal")
    return ArcSet(instance, results, signature, _seal(seal))


def _seal(field: Field) -> Seal:
    tags = parse_tags(field.folded)
    if "h" in tags:
        raise TagError("a seal has no h=")
    chain = text(tags, "cv").lower()
    if chain not in ("none", "pass", "fail"):
        raise TagError("cv= is not none, pass or fail")
    return Seal(
        field, algorithm_in(tags), domain_in(tags), selector_in(tags), chain, encoded(tags, "b")
    )


def _instance(field: Field) -> int:
    """The number in ``i=``; 0 if there is none. What follows it in a results field is no tag."""
    folded = field.folded
    if field.key == RESULTS:
        folded = folded.partition(b";")[0]
    try:
        return number(parse_tags(folded), "i") or 0
    except TagError:
        return 0
