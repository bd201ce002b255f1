"""Verifying the signatures of a message (RFC 6376 §6.1)."""

from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct

from posthouse.authentication.lookups import LookUpError, TextLookUp
from posthouse.authentication.results import Check, Result
from posthouse.authentication.signatures.arc_chain import Seal
from posthouse.authentication.signatures.arriving import ArrivingMessage
from posthouse.authentication.signatures.body_hash import BodyDigest
from posthouse.authentication.signatures.keys import (
    BadKeyError,
    KeyRecord,
    parse_key_record,
    record_name,
    verify,
)
from posthouse.authentication.signatures.signature import Signature, signed_octets
from posthouse.authentication.tags import TagError
from posthouse.mail.message import HeaderSection


class Verified(Struct, frozen=True):
    """What is known of one signature.

    Attributes:
        result: In one word.
        because: In a few.
        checks: Every question that was put.
        domain: Who signed; "" if that cannot be read. Believed only with `Result.PASS`.
        selector: Which of its keys.
        identity: ``i=`` as written.
        algorithm: Such as ``rsa-sha256``.
        begins: The first octets of the signature, in base64, to tell two of one domain apart
            (RFC 6008).
    """

    result: Result
    because: str
    checks: tuple[Check, ...] = ()
    domain: str = ""
    selector: str = ""
    identity: str = ""
    algorithm: str = ""
    begins: str = ""


class Trial:
    """One signature under examination; `checks` grows with each question."""

    def __init__(self) -> None:
        self.checks: list[Check] = []

    def ask(self, question: str, because: str, *, answer: bool) -> bool:
        """Note a question and its answer, and return the answer."""
        self.checks.append(Check(question, answer, because))
        return answer


class Ended(Struct, frozen=True):
    """How a trial ended."""

    result: Result
    because: str


async def verify_message(
    message: ArrivingMessage, look_up: TextLookUp, now: datetime
) -> tuple[Verified, ...]:
    """Return what is known of each signature, from the top; empty if there is none.

    Args:
        message: After `end`.
        look_up: Asks for the keys.
        now: The time, for signatures that expire.
    """
    results = []
    for _, signature in message.signatures:
        if isinstance(signature, TagError):
            check = Check("the signature can be read", answer=False, because=str(signature))
            results.append(Verified(Result.PERMERROR, str(signature), (check,)))
        else:
            results.append(await _verify(message, signature, look_up, now))
    return tuple(results)


async def _verify(
    message: ArrivingMessage, signature: Signature, look_up: TextLookUp, now: datetime
) -> Verified:
    trial = Trial()
    record = await fetch_key(trial, signature, look_up)
    ended = record if isinstance(record, Ended) else _judge(trial, message, signature, record, now)
    return Verified(
        ended.result,
        ended.because,
        tuple(trial.checks),
        signature.domain,
        signature.selector,
        signature.identity,
        signature.kind.algorithm,
        _begins(signature),
    )


async def fetch_key(
    trial: Trial, signature: Signature | Seal, look_up: TextLookUp
) -> KeyRecord | Ended:
    """Return the key that a signature names, or how the trial ends without one."""
    name = record_name(signature.selector, signature.domain)
    question = "the key is published"
    try:
        texts = await look_up(name)
    except LookUpError as error:
        trial.ask(question, str(error), answer=False)
        return Ended(Result.TEMPERROR, str(error))
    if not texts:
        trial.ask(question, f"there is no text record at {name}", answer=False)
        return Ended(Result.PERMERROR, f"no key at {name}")
    try:
        record = _first_key(texts)
    except BadKeyError as error:
        trial.ask(question, f"{name}: {error}", answer=False)
        return Ended(Result.PERMERROR, f"the key at {name} cannot be used: {error}")
    trial.ask(question, name, answer=True)
    return _unsuitable(trial, signature, record, name) or record


def _unsuitable(
    trial: Trial, signature: Signature | Seal, record: KeyRecord, name: str
) -> Ended | None:
    if record.key is None:
        trial.ask("the key still counts", "it was revoked: its p= is empty", answer=False)
        return Ended(Result.PERMERROR, f"the key at {name} was revoked")
    if record.kind is not signature.kind:
        because = f"a={signature.kind.algorithm}, k={record.kind.value}"
        trial.ask("the key is of the kind that signed", because, answer=False)
        return Ended(Result.PERMERROR, "the key is of another kind than the signature")
    _, at, domain = signature.identity.lower().rpartition("@")  # ARC has a number there
    if record.strict and at and domain != signature.domain:
        trial.ask("the key may sign for the subdomain", f"t=s, i={domain}", answer=False)
        return Ended(Result.PERMERROR, "the key may not sign for subdomains")
    return None


def _judge(
    trial: Trial,
    message: ArrivingMessage,
    signature: Signature,
    record: KeyRecord,
    now: datetime,
) -> Ended:
    """What remains when the key is there."""
    bad = Result.NEUTRAL if record.testing else Result.FAIL  # RFC 6376 §3.6.1: t=y
    if signature.expires is not None:
        when = f"{signature.expires:%Y-%m-%d %H:%M} UTC"
        if not trial.ask("it has not expired", when, answer=now <= signature.expires):
            return Ended(bad, f"it expired at {when}")
    digest = message.digest(signature.body_kind)
    if digest is None:
        trial.ask("the body was hashed", "too many different signatures", answer=False)
        return Ended(Result.NEUTRAL, "too many different signatures")
    if not is_whole(trial, signature, digest):
        return Ended(bad, "the body was changed after it was signed")
    if not is_genuine(trial, signature, record, message.header):
        return Ended(bad, "the signature is wrong: signed fields were changed, or it is forged")
    if digest.hashed < digest.octets:
        because = f"only {digest.hashed} of {digest.octets} octets of the body are signed"
        trial.ask("all of the body is signed", because, answer=False)
        return Ended(Result.POLICY, because)
    tried = ", whose key is only being tried (t=y)" if record.testing else ""
    return Ended(Result.PASS, f"{signature.kind.algorithm} by {signature.domain}{tried}")


def is_whole(trial: Trial, signature: Signature, digest: BodyDigest) -> bool:
    """Ask whether the body is as it was signed."""
    same = digest.digest == signature.body_digest
    short = (signature.body_octets_max or 0) > digest.octets
    because = f"{digest.hashed} octets, {signature.forms.body.value} form"
    return trial.ask("the body is as it was signed", because, answer=same and not short)


def is_genuine(
    trial: Trial, signature: Signature, record: KeyRecord, header: HeaderSection
) -> bool:
    """Ask whether the signature is the key's, over the fields that it names."""
    assert record.key is not None
    octets = signed_octets(header, signature.signed_fields, signature.forms.header, signature.field)
    because = ", ".join(_in_short(signature.signed_fields))
    genuine = verify(record.key, signature.octets, octets)
    return trial.ask("the signed fields are as they were", because, answer=genuine)


def _in_short(names: tuple[bytes, ...]) -> Iterator[str]:
    seen = dict.fromkeys(names)
    yield from (name.decode("ascii", "replace") for name in list(seen)[:20])
    if len(seen) > 20:
        yield "..."


def _first_key(texts: tuple[str, ...]) -> KeyRecord:
    """The first text that is a key: a name may have other texts, by a wildcard for example."""
    trouble: BadKeyError | None = None
    for text in texts:
        try:
            return parse_key_record(text)
        except BadKeyError as error:
            trouble = trouble or error
    assert trouble is not None, "there is a text"
    raise trouble


def _begins(signature: Signature) -> str:
    for part in signature.field.folded.split(b";"):
        name, _, value = part.partition(b"=")
        if name.strip() == b"b":
            return b"".join(value.split())[:8].decode("ascii", "replace")
    return ""
