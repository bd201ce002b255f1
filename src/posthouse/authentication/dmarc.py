"""Whether the author's domain stands behind a message, and what it asks for if not (RFC 9989).

RFC 9989 replaced RFC 7489: which domains belong together is found by a walk up the tree of DNS
instead of by a list of public suffixes.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct

from posthouse.authentication.lookups import LookUp, LookUpError
from posthouse.authentication.results import Check, Result
from posthouse.authentication.signatures.verification import Verified
from posthouse.authentication.spf import Spf
from posthouse.authentication.tags import TagError, parse_tags

QUERIES_MAX: Final = 8  # of one walk (RFC 9989 §4.10)
IDENTIFIERS_MAX: Final = 6  # that passed and are looked at for alignment


class Policy(StrEnum):
    """What a domain asks for."""

    NONE = "none"
    QUARANTINE = "quarantine"
    REJECT = "reject"


class PolicyRecord(Struct, frozen=True):
    """A record at ``_dmarc.domain`` (RFC 9989 §4.7).

    Attributes:
        domain: At which it stands.
        policy: For the domain itself, ``p=``.
        subdomains: For what is below it, ``sp=``.
        missing: For names below it that do not exist, ``np=``.
        strict_dkim: Only the very same domain counts, ``adkim=s``.
        strict_spf: The same for SPF, ``aspf=s``.
        testing: Ask for one step less, ``t=y``.
        public_suffix: ``psd=``: "y", "n" or "u".
    """

    domain: str
    policy: Policy
    subdomains: Policy
    missing: Policy
    strict_dkim: bool = False
    strict_spf: bool = False
    testing: bool = False
    public_suffix: str = "u"


class Dmarc(Struct, frozen=True):
    """What DMARC says of a message.

    Attributes:
        result: In one word.
        because: In a few.
        checks: Every question that was put.
        author_domain: Of the From field; "" if there is not exactly one.
        policy: What the domain asks for where the result is `FAIL`; None without a record.
        record_domain: Where the record stands.
    """

    result: Result
    because: str
    checks: tuple[Check, ...] = ()
    author_domain: str = ""
    policy: Policy | None = None
    record_domain: str = ""


def parse_record(domain: str, text: str) -> PolicyRecord | None:
    """Return the record in a text; None if it is none or says nothing that can be used."""
    if not text.lstrip().startswith("v"):
        return None
    try:
        tags = parse_tags(text.encode("utf-8", "replace"))
    except TagError:
        return None
    if next(iter(tags)) != "v" or tags["v"] != b"DMARC1":
        return None
    values = {name: value.decode("utf-8", "replace").lower() for name, value in tags.items()}
    try:
        policy = Policy(values.get("p", "none"))
        subdomains = Policy(values.get("sp", policy))
        missing = Policy(values.get("np", subdomains))
    except ValueError:
        if "mailto:" not in values.get("rua", ""):
            return None
        policy = subdomains = missing = Policy.NONE  # they look at reports, so they try
    return PolicyRecord(
        domain,
        policy,
        subdomains,
        missing,
        strict_dkim=values.get("adkim") == "s",
        strict_spf=values.get("aspf") == "s",
        testing=values.get("t") == "y",
        public_suffix=values.get("psd", "u"),
    )


def walk_names(domain: str) -> Iterator[str]:
    """Yield the domains of a walk up the tree, from `domain` to its top level (RFC 9989 §4.10)."""
    labels = domain.split(".")
    yield domain
    rest = labels[-(QUERIES_MAX - 1) :] if len(labels) > QUERIES_MAX else labels[1:]
    for place in range(len(rest)):
        yield ".".join(rest[place:])


def organizational_domain(domain: str, records: Sequence[PolicyRecord]) -> str:
    """Return the domain that answers for `domain` (RFC 9989 §4.10.2).

    Args:
        domain: Where the walk began.
        records: What was found, in the order of the walk.
    """
    for record in records:
        if record.public_suffix == "n":
            return record.domain
        if record.public_suffix == "y" and record.domain != domain:
            return _one_below(record.domain, domain)
    return records[-1].domain if records else domain


async def evaluate(
    author_domain: str, spf: Spf, signatures: Sequence[Verified], look_up: LookUp
) -> Dmarc:
    """Return what the author's domain says.

    Args:
        author_domain: Of the one From field's one mailbox; "" if there is not exactly one.
        spf: Of the transaction.
        signatures: Of the message.
        look_up: Asks DNS.
    """
    if not author_domain or author_domain.startswith("["):
        because = "the message does not have exactly one author with a domain name"
        check = Check("the message has one author domain", answer=False, because=because)
        return Dmarc(Result.PERMERROR, because, (check,))
    trial = _Trial(author_domain, look_up)
    try:
        return await trial.judge(spf, signatures)
    except LookUpError as error:
        check = Check("its records can be looked up", answer=False, because=str(error))
        checks = (*trial.checks, check)
        return Dmarc(Result.TEMPERROR, str(error), checks, author_domain)


class _Identifier(Struct, frozen=True):
    """A domain that SPF or DKIM speaks for."""

    method: str
    domain: str
    result: Result
    strict: bool


class _Trial:
    """One evaluation."""

    def __init__(self, author_domain: str, look_up: LookUp) -> None:
        self.checks: list[Check] = []
        self._author = author_domain
        self._look_up = look_up
        self._found: dict[str, PolicyRecord | None] = {}

    async def judge(self, spf: Spf, signatures: Sequence[Verified]) -> Dmarc:
        record = await self._record(self._author) or await self._inherited()
        if record is None:
            because = f"{self._author} publishes no DMARC record"
            self._ask("there is a DMARC record", because, answer=False)
            return self._told(Result.NONE, because)
        self._ask("there is a DMARC record", f"_dmarc.{record.domain}", answer=True)
        unknown = ""
        for one in _identifiers(spf, signatures, record):
            if not await self._is_aligned(one):
                continue
            if one.result is Result.PASS:
                because = f"{one.method} passed for {one.domain}"
                return self._told(Result.PASS, because, record)
            unknown = f"{one.method} of {one.domain} is not known at the moment"
        if unknown:
            return self._told(Result.TEMPERROR, unknown, record)
        policy = await self._policy(record)
        because = f"neither SPF nor DKIM passed for {self._author}"
        return self._told(Result.FAIL, because, record, policy)

    async def _walk(self, domain: str) -> list[PolicyRecord]:
        """The records from `domain` upwards, as far as RFC 9989 §4.10 looks."""
        records = []
        for name in walk_names(domain):
            record = await self._record(name)
            if record is None:
                continue
            records.append(record)
            if record.public_suffix == "n" or (record.public_suffix == "y" and name != domain):
                break
        return records

    async def _record(self, domain: str) -> PolicyRecord | None:
        if domain not in self._found:
            texts = (await self._look_up(f"_dmarc.{domain}", "TXT")).values
            read = [record for text in texts if (record := parse_record(domain, text))]
            self._found[domain] = read[0] if len(read) == 1 else None  # several count as none
        return self._found[domain]

    async def _inherited(self) -> PolicyRecord | None:
        """The record of the author domain's organization, else its public suffix's."""
        records = await self._walk(self._author)
        organization = organizational_domain(self._author, records)
        suffixes = [record for record in records if record.public_suffix == "y"]
        of_organization = {record.domain: record for record in records}.get(organization)
        return of_organization or (suffixes[-1] if suffixes else None)

    async def _is_aligned(self, one: _Identifier) -> bool:
        """Ask no more of DNS than it takes: what is above both may not answer (§4.10.2)."""
        question = f"{one.method} speaks for the author"
        because = f"{one.domain} for {self._author}"
        if one.domain == self._author:
            return self._ask(question, because, answer=True)
        if one.strict:
            return self._ask(question, f"{because}, which wants the same", answer=False)
        same_top = one.domain.rpartition(".")[2] == self._author.rpartition(".")[2]
        if not same_top:
            return self._ask(question, because, answer=False)
        ours, theirs = [
            organizational_domain(domain, await self._walk(domain))
            for domain in (self._author, one.domain)
        ]
        return self._ask(question, because, answer=ours == theirs)

    async def _policy(self, record: PolicyRecord) -> Policy:
        """What is asked for (RFC 9989 §4.7, §5.3)."""
        policy = record.policy
        if record.domain != self._author:
            exists = (await self._look_up(self._author, "A")).exists
            policy = record.subdomains if exists else record.missing
        if record.testing:
            return Policy.QUARANTINE if policy is Policy.REJECT else Policy.NONE
        return policy

    def _ask(self, question: str, because: str, *, answer: bool) -> bool:
        self.checks.append(Check(question, answer, because))
        return answer

    def _told(
        self,
        result: Result,
        because: str,
        record: PolicyRecord | None = None,
        policy: Policy | None = None,
    ) -> Dmarc:
        domain = record.domain if record else ""
        published = policy or (record.policy if record else None)
        return Dmarc(result, because, tuple(self.checks), self._author, published, domain)


def _identifiers(
    spf: Spf, signatures: Sequence[Verified], record: PolicyRecord
) -> list[_Identifier]:
    """What may speak for the author, the certain before the uncertain."""
    found = [_Identifier("DKIM", one.domain, one.result, record.strict_dkim) for one in signatures]
    found.append(_Identifier("SPF", spf.domain, spf.result, record.strict_spf))
    passed = [one for one in found if one.result is Result.PASS]
    unknown = [one for one in found if one.result is Result.TEMPERROR and one.domain]
    return (passed + unknown)[:IDENTIFIERS_MAX]


def _one_below(suffix: str, domain: str) -> str:
    """The domain one label below `suffix` on the way to `domain`."""
    labels = domain.removesuffix(f".{suffix}").split(".")
    return f"{labels[-1]}.{suffix}"
