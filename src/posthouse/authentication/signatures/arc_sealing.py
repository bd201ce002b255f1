"""Sealing a message that is forwarded (RFC 8617 §5.1)."""

import base64
import re
from datetime import datetime
from typing import Final

from posthouse.authentication.results import Result
from posthouse.authentication.signatures.arc_chain import INSTANCES_MAX, Chain, read_chain
from posthouse.authentication.signatures.arc_verification import sealed_octets
from posthouse.authentication.signatures.keys import kind_of, sign
from posthouse.authentication.signatures.signing import (
    FORMS,
    Signer,
    fields_to_sign,
    finish_field,
    folded,
    with_signature,
)
from posthouse.mail.message import Field, HeaderSection, split_header

_ARC_RESULT: Final = re.compile(rb"(?:^|;)\s*arc=(none|pass|fail)\b")


def chain_status(results: bytes) -> Result | None:
    """Return what a results field of ours says of the chain; None if it says nothing certain."""
    found = _ARC_RESULT.search(results)
    return Result(found[1].decode()) if found else None


def seal_fields(
    header: HeaderSection, digest: bytes, signer: Signer, results: bytes, now: datetime
) -> bytes:
    """Return the three fields of a new set, CRLF included, to be put before the message.

    Empty if the message cannot be sealed: it has fifty sets, an earlier forwarder found the chain
    broken, or `results` does not tell what the chain is like.

    Args:
        header: Of the message as it goes on.
        digest: Of its body, of the kind `signing.BODY_KIND`.
        signer: Who seals.
        results: Value of the results field that was written when the message came.
        now: The time.
    """
    chain, status = read_chain(header), chain_status(results)
    if status is None or (chain is None) is not (status is Result.NONE):
        return b""
    chain = chain or Chain()
    if chain.length >= INSTANCES_MAX or (chain.sets and chain.sets[-1].seal.chain == "fail"):
        return b""
    instance, seconds = chain.length + 1, int(now.timestamp())
    lines = results.replace(b"\r\n", b"").replace(b"\t", b"\r\n\t")  # as results_value folds
    aar = Field(b"ARC-Authentication-Results", b" i=%d; " % instance + lines)
    names = (*fields_to_sign(header), *_signatures(header))
    tags = [
        f"i={instance}",
        f"a={kind_of(signer.key).algorithm}",
        f"c={FORMS}",
        f"d={signer.domain}",
        f"s={signer.selector}",
        f"t={seconds}",
        f"h={':'.join(name.decode() for name in names)}",
        f"bh={base64.b64encode(digest).decode()}",
    ]
    signature = finish_field(b"ARC-Message-Signature", tags, header, names, signer.key)
    ams = split_header(signature).all_fields[0]
    unsigned = folded(b"ARC-Seal", [*tags[:2], *tags[3:6], f"cv={status}"])
    earlier = [one.fields for one in chain.sets] if status is Result.PASS else []
    octets = sealed_octets([*earlier, (aar, ams, unsigned)])
    seal = with_signature(unsigned, sign(signer.key, octets))
    return seal + signature + aar.name + b":" + aar.folded + b"\r\n"


def _signatures(header: HeaderSection) -> list[bytes]:
    """DKIM signatures are what the next host may still want to see unchanged."""
    return [field.key for field in header.all_fields if field.key == b"dkim-signature"]
